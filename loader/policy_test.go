package loader

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestPlan(t *testing.T) {
	now := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	a, b := Wanted{Model: "m", Version: "1"}, Wanted{Model: "m", Version: "2"}
	otherDigest := Wanted{Model: "m", Version: "1", Digest: "sha256:2"}
	in := func(w Wanted, s State) view { return view{wanted: w, state: s, since: now} }
	failed := func(retryAt time.Time) view { return view{wanted: a, state: StateFailed, retryAt: retryAt} }
	permanent := view{wanted: a, state: StateFailed, permanent: true}
	cancelled := view{wanted: a, state: StateProbing, cancelled: true}
	names := map[actionKind]string{actionStart: "start", actionRetry: "retry", actionCancel: "cancel",
		actionDrain: "drain", actionBury: "bury", actionForget: "forget"}
	for _, c := range []struct {
		name   string
		wanted []Wanted
		tries  []view
		want   []string // "start 1" names a version, others a position
		wake   time.Duration
	}{
		{"nothing", nil, nil, nil, 0},
		{"new ones start in order", []Wanted{b, a}, nil, []string{"start 2", "start 1"}, 0},
		{"duplicates start once", []Wanted{a, a}, nil, []string{"start 1"}, 0},
		{"loading goes on", []Wanted{a}, []view{in(a, StateProbing)}, nil, 0},
		{"ready stays", []Wanted{a}, []view{in(a, StateReady)}, nil, 0},
		{"unwanted while waiting", nil, []view{in(a, StateWanted)}, []string{"cancel 0"}, 0},
		{"unwanted while warming", nil, []view{in(a, StateWarming)}, []string{"cancel 0"}, 0},
		{"cancelled once", nil, []view{cancelled}, nil, 0},
		{"wanted again while it is being cancelled", []Wanted{a}, []view{cancelled}, []string{"start 1"}, 0},
		{"unwanted drains", nil, []view{in(a, StateReady)}, []string{"drain 0"}, 0},
		{"draining goes on", nil, []view{in(a, StateDraining)}, nil, 0},
		{"wanted again while draining is a new one", []Wanted{a}, []view{in(a, StateDraining)}, []string{"start 1"}, 0},
		{"wanted again after it was gone", []Wanted{a}, []view{in(a, StateGone)}, []string{"start 1"}, keepGone},
		{"another digest is another version", []Wanted{otherDigest}, []view{in(a, StateReady)}, []string{"drain 0", "start 1"}, 0},
		{"freeing comes before taking", []Wanted{b}, []view{in(a, StateOpening)}, []string{"cancel 0", "start 2"}, 0},
		{"failed waits", []Wanted{a}, []view{failed(now.Add(time.Minute))}, nil, time.Minute},
		{"failed is due", []Wanted{a}, []view{failed(now)}, []string{"retry 0"}, 0},
		{"failed for good", []Wanted{a}, []view{permanent}, nil, 0},
		{"failed and unwanted", nil, []view{failed(now), permanent}, []string{"bury 0", "bury 1"}, 0},
		{"failed beside a draining one of the same", []Wanted{a}, []view{in(a, StateDraining), permanent}, nil, 0},
		{"gone is remembered", nil, []view{in(a, StateGone)}, nil, keepGone},
		{"gone is forgotten", nil, []view{{wanted: a, state: StateGone, since: now.Add(-keepGone)}}, []string{"forget 0"}, 0},
		{"gone is forgotten for a later one", []Wanted{a}, []view{in(a, StateGone), in(b, StateGone), in(a, StateReady)},
			[]string{"forget 0"}, keepGone},
		{"the earliest wakes", []Wanted{a}, []view{in(b, StateGone), failed(now.Add(time.Second))}, nil, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			actions, wake := plan(now, c.wanted, c.tries)
			var got []string
			for _, a := range actions {
				if a.kind == actionStart {
					got = append(got, "start "+a.wanted.Version)
				} else {
					got = append(got, fmt.Sprint(names[a.kind], " ", a.at))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if want := now.Add(c.wake); c.wake > 0 && !wake.Equal(want) || c.wake == 0 && !wake.IsZero() {
				t.Errorf("wakes at %v, want after %v", wake, c.wake)
			}
		})
	}
}

func TestBackoffIsFullJitterUpToACap(t *testing.T) {
	for n, longest := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 7: 30 * time.Second, 1 << 40: 30 * time.Second,
	} {
		if got := backoff(n, 0); got != longest {
			t.Errorf("try %d: longest is %v, want %v", n, got, longest)
		}
		if got := backoff(n, 0.75); got != longest/4 {
			t.Errorf("try %d: got %v, want %v", n, got, longest/4)
		}
	}
}

func TestStatesOnlyMoveForward(t *testing.T) {
	for _, from := range append(States(), StateUnknown) {
		for _, to := range States() {
			may := mayFollow(from, to)
			if may && to <= from {
				t.Errorf("%s may go back to %s", from, to)
			}
			if may && from == StateReady && to != StateDraining {
				t.Errorf("ready may become %s without draining", to)
			}
			if may && to == StateReady && !from.loading() {
				t.Errorf("%s may become ready without loading", from)
			}
		}
	}
	for _, pair := range [][2]State{{StateUnknown, StateWanted}, {StateWanted, StateGone}, {StateOpening, StateWarming},
		{StateVerifying, StateOpening}, {StateWarming, StateReady}, {StateReady, StateDraining}, {StateDraining, StateGone},
		{StateProbing, StateFailed}, {StateFailed, StateGone}} {
		if !mayFollow(pair[0], pair[1]) {
			t.Errorf("%s may not become %s", pair[0], pair[1])
		}
	}
	if State(200).String() != "Unknown" || StateReady.String() != "Ready" {
		t.Error("states are misnamed")
	}
}
