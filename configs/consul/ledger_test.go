package consul

import (
	"slices"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// heard makes an answer of models at their indexes, complete and with a
// sentinel created at 5.
func heard(index uint64, models map[string]uint64) answer {
	a := answer{index: index, models: map[string]configs.Entry{}, overrides: map[string]configs.Entry{}, complete: true,
		settings: &configs.Entry{Index: 5}, sentinel: 5}
	for name, at := range models {
		a.models[name] = configs.Entry{Name: name, Index: at, Value: []byte(name)}
	}
	return a
}

func with(a answer, change func(*answer)) answer { change(&a); return a }

func TestLedgerTellsDeletionFromLoss(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	hold := func(a *answer) {
		a.overrides["a"] = configs.Entry{Name: "a", Index: 7, Value: []byte(`{"until": "2026-01-02T04:00:00Z"}`)}
	}
	type step struct {
		answer        answer
		later         time.Duration
		refused       bool
		authoritative bool
		lost          []string
	}
	both := map[string]uint64{"a": 10, "b": 11}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a deletion raises the index", []step{
			{answer: heard(11, both), authoritative: true},
			{answer: heard(12, map[string]uint64{"a": 10}), authoritative: true},
		}},
		{"an index that fell says nothing of what is missing", []step{
			{answer: heard(11, both), authoritative: true},
			{answer: heard(10, map[string]uint64{"a": 10}), lost: []string{"models/b"}},
			{answer: heard(12, map[string]uint64{"a": 12}), lost: []string{"models/b"}},
			{answer: heard(13, map[string]uint64{"a": 12, "b": 13}), authoritative: true},
			{answer: heard(14, map[string]uint64{"a": 12}), authoritative: true},
		}},
		{"a fall that a watch saw counts though the entries are as before", []step{
			{answer: heard(11, both), authoritative: true},
			{answer: with(heard(11, map[string]uint64{"a": 10}), func(a *answer) { a.wentBack = true }), lost: []string{"models/b"}},
		}},
		{"a key of a new cluster is back under a lower index", []step{
			{answer: heard(100, map[string]uint64{"a": 99, "b": 100}), authoritative: true},
			{answer: heard(20, map[string]uint64{"a": 20}), lost: []string{"models/b"}},
			{answer: heard(21, map[string]uint64{"a": 20, "b": 21}), authoritative: true},
		}},
		{"a fall without a loss ends with the next answer", []step{
			{answer: heard(20, both), authoritative: true},
			{answer: heard(11, both)},
			{answer: heard(11, both), authoritative: true},
		}},
		{"a new cluster with a higher index shows by its sentinel", []step{
			{answer: heard(11, both), authoritative: true},
			{answer: with(heard(30, map[string]uint64{"a": 30}), func(a *answer) { a.sentinel = 29 }), lost: []string{"models/b"}},
		}},
		{"a new cluster with a higher index shows by an older entry", []step{
			{answer: heard(11, both), authoritative: true},
			{answer: heard(30, map[string]uint64{"a": 9}), lost: []string{"models/b"}},
		}},
		{"an empty cluster loses all", []step{
			{answer: heard(11, both), authoritative: true},
			{answer: with(heard(1, nil), func(a *answer) { a.settings, a.sentinel = nil, 0 }), lost: []string{"models/a", "models/b"}},
			{answer: with(heard(3, nil), func(a *answer) { a.sentinel = 3 }), lost: []string{"models/a", "models/b"}},
		}},
		{"what is filtered is not deleted, and is missed when rights return", []step{
			{answer: heard(11, both), authoritative: true},
			{answer: with(heard(11, map[string]uint64{"a": 10}), func(a *answer) { a.complete = false })},
			{answer: heard(12, map[string]uint64{"a": 10}), authoritative: true},
		}},
		{"a lost hold is missed until its time is over", []step{
			{answer: with(heard(11, both), hold), authoritative: true},
			{answer: heard(10, map[string]uint64{"a": 9, "b": 9}), lost: []string{"overrides/a"}},
			{answer: heard(12, map[string]uint64{"a": 9, "b": 9}), later: 50 * time.Minute, lost: []string{"overrides/a"}},
			{answer: heard(12, map[string]uint64{"a": 9, "b": 9}), later: 10 * time.Minute, authoritative: true},
		}},
		{"a stale answer is taken where it has more, and is no authority", []step{
			{answer: heard(20, both), authoritative: true},
			{answer: with(heard(12, map[string]uint64{"a": 12, "b": 11}), func(a *answer) { a.stale = true })},
			{answer: with(heard(11, both), func(a *answer) { a.stale = true }), refused: true},
			{answer: with(heard(12, map[string]uint64{"a": 12}), func(a *answer) { a.stale = true }), refused: true},
			{answer: with(heard(12, nil), func(a *answer) { a.stale = true }), refused: true},
			{answer: heard(21, map[string]uint64{"a": 12}), authoritative: true},
		}},
		{"nothing stale and empty is taken at start", []step{
			{answer: with(heard(12, nil), func(a *answer) { a.stale = true }), refused: true},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, at := newLedger(configs.Snapshot{}, false), now
			for i, s := range c.steps {
				at = at.Add(s.later)
				got, ok := l.judge(s.answer, at)
				if ok == s.refused {
					t.Fatalf("step %d: taken %v", i, ok)
				}
				if ok && got.Authoritative != s.authoritative {
					t.Fatalf("step %d: authoritative %v", i, got.Authoritative)
				}
				if lost := l.lostKeys(); !slices.Equal(lost, s.lost) {
					t.Fatalf("step %d: lost %v, want %v", i, lost, s.lost)
				}
			}
		})
	}
}

func TestTheCopyKeepsWhatWasLostAndTheNextProcessKnows(t *testing.T) {
	now := time.Now()
	l := newLedger(configs.Snapshot{}, false)
	l.judge(heard(11, map[string]uint64{"a": 10, "b": 11}), now)
	l.judge(heard(6, map[string]uint64{"a": 6}), now)
	saved := l.toSave()
	if len(saved.Models) != 2 || saved.Models["a"].Index != 6 || saved.Settings == nil {
		t.Fatalf("copy %+v", saved)
	}
	if shown := fromDisk(saved); shown.Index != 11 {
		t.Errorf("the copy is published with index %d, want 11", shown.Index)
	}
	next := newLedger(saved, true)
	s, ok := next.judge(heard(50, map[string]uint64{"a": 6}), now)
	if !ok || s.Authoritative || !slices.Equal(next.lostKeys(), []string{"models/b"}) {
		t.Errorf("after a restart: authoritative %v, lost %v", s.Authoritative, next.lostKeys())
	}
	s, _ = next.judge(heard(51, map[string]uint64{"a": 6, "b": 51}), now)
	if saved := next.toSave(); !s.Authoritative || saved.Index != 51 {
		t.Errorf("after the key is back: authoritative %v, copy at %d", s.Authoritative, saved.Index)
	}
}

func TestADeletionWhileTheProcessWasDownCounts(t *testing.T) {
	first := newLedger(configs.Snapshot{}, false)
	first.judge(heard(11, map[string]uint64{"a": 10, "b": 11}), time.Now())
	next := newLedger(first.toSave(), true)
	if s, _ := next.judge(heard(12, map[string]uint64{"a": 10}), time.Now()); !s.Authoritative {
		t.Error("not authoritative")
	}
}
