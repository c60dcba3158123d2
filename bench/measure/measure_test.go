package measure

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/report"
	"github.com/segue-serving/segue/bench/scenario"
)

func TestTheFirstAnswerUnderAConfigurationIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSightings()
		began := time.Now()
		s.note(7, began)
		got := map[uint64]time.Duration{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, index := range []uint64{7, 8, 9, 12} {
			wg.Go(func() {
				at, err := s.first(context.Background(), index)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[index] = at.Sub(began)
			})
		}
		for _, one := range []struct {
			index uint64
			after time.Duration
		}{{7, 1}, {9, 2}, {8, 3}, {9, 4}, {0, 5}, {12, 6}, {12, 7}} {
			s.note(one.index, began.Add(one.after))
		}
		wg.Wait()
		// 8 was skipped: that of 9 is the first that holds it.
		for index, want := range map[uint64]time.Duration{7: 0, 8: 2, 9: 2, 12: 6} {
			if got[index] != want {
				t.Errorf("index %d is seen after %d, want %d", index, got[index], want)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := s.first(ctx, 13); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("an index that never comes: %v after %s", err, time.Since(began))
		}
	})
}

func TestSightingsAreSafeForManyGoroutines(t *testing.T) {
	s := newSightings()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range uint64(500) {
				s.note(i, time.Now())
			}
		})
		wg.Go(func() {
			if _, err := s.first(context.Background(), 499); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if !slices.IsSortedFunc(s.seen, func(a, b sighting) int { return int(a.index) - int(b.index) }) {
		t.Error("sightings are out of order")
	}
}

func TestEveryRoundBeginsWithAnother(t *testing.T) {
	for round, want := range [][]int{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 1, 2}} {
		if got := turn(round, 3); !slices.Equal(got, want) {
			t.Errorf("round %d: %v, want %v", round, got, want)
		}
	}
}

func TestFailedRequestsAreFailuresOfTheResult(t *testing.T) {
	r := &runner{result: &report.Result{}}
	r.fail("round 1, steady", &load.Outcome{Answered: 5})
	r.fail("round 1, swaps", &load.Outcome{Answered: 5, Failed: 2, Failures: []string{"status 503: gone", "other"}})
	want := "round 1, swaps: 2 requests failed beside 5 good ones, the first: status 503: gone"
	if got := strings.Join(r.result.Failures, "; "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRatiosAreThoseAskedFor(t *testing.T) {
	contenders := []report.Contender{
		{Name: "a", Rounds: []report.ThroughputRound{{Round: 1, PerSecond: 10}, {Round: 2, PerSecond: 30}}},
		{Name: "b", Rounds: []report.ThroughputRound{{Round: 1, PerSecond: 20}, {Round: 2, PerSecond: 15}}},
	}
	got := ratios([]scenario.Ratio{{Of: "b", To: "a"}, {Of: "a", To: "b"}}, contenders)
	if len(got) != 2 || got[0].Of != "b" || got[0].PerSecond.Min != .5 || got[0].PerSecond.Max != 2 || got[1].PerSecond.Median != 1.25 {
		t.Errorf("got %+v", got)
	}
}

func TestCoresAreThoseOfTheOverloadAlone(t *testing.T) {
	f := &offering{
		contest: &contest{runner: &runner{scenario: &scenario.Scenario{Round: scenario.Duration(2 * time.Second), Warmup: scenario.Duration(time.Second)}}},
		options: &scenario.Offered{Arrivals: "even", Connections: 4},
	}
	over := &scenario.Point{Name: "10 times", Part: 10, Overload: true}
	o := f.load(3, over, 100, 1000)
	if o.MeterFrom != o.Stages[0].For || o.MeterFor != o.Stages[1].For || o.Stages[1].Rate != 1000 || o.Stages[0].Rate != 50 || o.Rate != 50 {
		t.Errorf("metered over %s from %s on, stages %v", o.MeterFor, o.MeterFrom, o.Stages)
	}
	if o := f.load(3, &scenario.Point{Name: "half", Part: .5}, 100, 50); o.MeterFor != 0 || o.Stages != nil || o.Rate != 50 || o.Seed != 3 {
		t.Errorf("a point without an overload is offered %+v", o)
	}
	out := &load.Outcome{
		Latency: load.NewHistogram(), Lateness: load.NewHistogram(), Refusal: load.NewHistogram(), Window: 6 * time.Second,
		CPU: map[string]time.Duration{report.MeterServer: 3 * time.Second}, Metered: 2 * time.Second,
	}
	if got := f.figures(out, 1000, over).Cores.Server; got != 1.5 {
		t.Errorf("3 s of CPU time in 2 s of overload are %v cores", got)
	}
}

func TestARoundWhoseWorkersNeverShareIsMissingAndNoFailure(t *testing.T) {
	for name, c := range map[string]struct {
		shares           int // the first try in which they share
		rounds, notTaken int
		missing          string
	}{
		"at once": {1, 1, 0, ""},
		"at last": {mostTries, 1, mostTries - 1, ""},
		"never":   {2 * mostTries, 0, mostTries, "round 3, peer on cnn: its 2 workers did not share the connections in any of 10 tries"},
	} {
		contest := &contest{runner: &runner{Parts: Parts{Progress: io.Discard}, scenario: &scenario.Scenario{Rounds: 4}, result: &report.Result{}}}
		made := contender{Contender: scenario.Contender{Name: "peer", Balanced: true, Workers: 2}, pid: 1, workers: &workers{}}
		tries := 0
		made.run = func(context.Context, load.ClosedOptions) (*load.Outcome, error) {
			tries++
			made.workers.answers = map[string]int64{"a": 100}
			if tries >= c.shares {
				made.workers.answers["b"] = 90
			}
			return &load.Outcome{Latency: load.NewHistogram(), Window: time.Second, Metered: time.Second, Answered: 100}, nil
		}
		model := report.ModelFigures{Model: "cnn", Contenders: []report.Contender{{Name: "peer"}}}
		if err := contest.measure(t.Context(), 2, made, &model, 0); err != nil {
			t.Fatal(err)
		}
		got := model.Contenders[0]
		if len(got.Rounds) != c.rounds || len(got.Unbalanced) != c.notTaken || strings.Join(contest.result.Missing, "") != c.missing || len(contest.result.Failures) != 0 {
			t.Errorf("%s: %d rounds, %d tries that do not count, missing %q, failures %q", name, len(got.Rounds), len(got.Unbalanced), contest.result.Missing, contest.result.Failures)
		}
		for _, r := range append(got.Rounds, got.Unbalanced...) {
			if r.Round != 3 {
				t.Errorf("%s: a figure of round %d", name, r.Round)
			}
		}
	}
}
