package rollout

import (
	"math"
	"reflect"
	"sync"
	"testing"

	"github.com/segue-serving/segue/configs"
)

func TestOneGatewaysBadLuckIsNotTheFleets(t *testing.T) {
	plan := errorsAt5(t)
	count := func(writer string, canary, canaryBad, stable, stableBad int) *Evidence {
		r := NewRecorder(plan.ID, writer)
		r.Begin(0, 0)
		for i := range max(canary, stable) {
			if i < canary {
				r.Record(request(0, true, i < canaryBad))
			}
			if i < stable {
				r.Record(request(0, false, i < stableBad))
			}
		}
		return r.Snapshot()
	}
	decide := func(all ...*Evidence) Verdict {
		return plan.Decide(State{Since: begin}, plan.Merge(0, all...), begin)
	}
	fleet := []*Evidence{count("unlucky", 50, 4, 950, 1)}
	if v := decide(fleet...); v.Action != Rollback {
		t.Fatalf("alone it is no bad luck: %s, %s", v.Action, v.Reason)
	}
	for _, writer := range "abcdefghijklmnopqrs" {
		fleet = append(fleet, count(string(writer), 50, 0, 950, 9))
	}
	if v := decide(fleet...); v.Action == Rollback {
		t.Errorf("4 bad of the canary's 1,000 and 172 of stable's 19,000 on 20 gateways: %s, %s", v.Action, v.Reason)
	}
}

func TestARestartedGatewayCountsNothingTwiceAndLosesNothing(t *testing.T) {
	plan := everyGuard(t)
	whole := NewRecorder(plan.ID, "a/0")
	lives := []*Recorder{NewRecorder(plan.ID, "a/1"), NewRecorder(plan.ID, "a/2")}
	random := generator(1)
	var evidence []*Evidence
	for step, life := range lives {
		whole.Begin(step, 0)
		life.Begin(step, 0)
		if step == 1 {
			// The second life began in the middle of the step.
			lives[0].Begin(step, 0)
		}
		for i := range 2000 {
			o := Observation{Step: step, Canary: random.Float64() < plan.Share(step), Judged: Of(Errors, Classes), Class: random.IntN(5)}
			if random.IntN(20) == 0 {
				o.Bad = Of(Errors)
			}
			if random.IntN(2) == 0 {
				o.Unit = unitOf(random.IntN(500))
				o.Class = int(o.Unit % 5) // one caller says one thing, so that no first time is lost
				o.Canary = float64(mix(o.Unit)>>11)/(1<<53) < plan.Share(step)
			}
			whole.Record(o)
			if step == 1 && i < 700 {
				lives[0].Record(o)
			} else {
				life.Record(o)
			}
		}
		for _, r := range lives[:step+1] {
			evidence = append(evidence, r.Snapshot(), r.Snapshot())
		}
	}
	got := plan.Decide(State{Step: 1, Since: begin}, plan.Merge(1, evidence...), begin)
	want := plan.Decide(State{Step: 1, Since: begin}, plan.Merge(1, whole.Snapshot()), begin)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("two lives: %+v\none: %+v", got, want)
	}
}

func TestEvidenceStaysSmallAndUsableWhateverTheTraffic(t *testing.T) {
	plan := everyGuard(t)
	r := NewRecorder(plan.ID, "gateway-1/4711")
	split, err := plan.Split(0, "")
	if err != nil {
		t.Fatal(err)
	}
	r.Begin(0, 0)
	const users = 60_000
	for i := range users {
		key := keyOf(i)
		o := Observation{Unit: Unit(plan.ID, key), Canary: split.Choose(key) == plan.Canary, Judged: Of(Errors, NonFinite, Slow, Feedback, Classes), Class: i % 64}
		o.Bad = o.Judged
		r.Record(o)
		o.Judged, o.Bad = Of(Shadow), Of(Shadow)
		r.Record(o)
		r.Run(false, math.Exp(float64(i%4000)/100-20))
	}
	e := r.Snapshot()
	text := e.Encode()
	t.Logf("%d bytes, %d rows", len(text), e.Units())
	if len(text) > MaxEncoded {
		t.Errorf("%d bytes for %d callers, want at most %d", len(text), users, MaxEncoded)
	}
	if _, err := Decode(text); err != nil {
		t.Error(err)
	}
	v := plan.Decide(State{Since: begin}, plan.Merge(0, e), begin)
	// Five standard deviations of the estimate from a sample of 2,048.
	if share := float64(v.Requests) / (users * plan.Share(0)); math.Abs(share-1) > 5/math.Sqrt(2048) {
		t.Errorf("%d callers of the canary by the sample, want about %.0f", v.Requests, users*plan.Share(0))
	}
	if v.Mismatch || v.Action == Rollback && v.Guard != Shadow {
		t.Errorf("a sample of equals looks different: %s, %s", v.Action, v.Reason)
	}
	// A canary that begins to fail for everybody is still noticed.
	r.Begin(1, 0)
	split, err = plan.Split(1, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range users {
		key := keyOf(users + i)
		o := Observation{Step: 1, Unit: Unit(plan.ID, key), Canary: split.Choose(key) == plan.Canary, Judged: Of(Errors)}
		if o.Canary {
			o.Bad = Of(Errors)
		}
		r.Record(o)
	}
	if v := plan.Decide(State{Step: 1, Since: begin}, plan.Merge(1, r.Snapshot()), begin); v.Action != Rollback || v.Guard != Errors {
		t.Errorf("a canary that always fails: %s, %s", v.Action, v.Reason)
	}
}

func TestWhoStayedOnStableMovesWithTheStatedProbability(t *testing.T) {
	plan := mustCompile(t, document([]float64{5, 30, 60}, defaults))
	at := make([]*Split, len(plan.Steps))
	for i := range at {
		var err error
		if at[i], err = plan.Split(i, ""); err != nil {
			t.Fatal(err)
		}
	}
	const n = 200_000
	var stayed, moved, low float64
	for i := range n {
		key := keyOf(i)
		if at[1].Choose(key) == plan.Canary {
			if at[2].Choose(key) != plan.Canary {
				t.Fatalf("%s left the canary when its weight rose", key)
			}
			continue
		}
		stayed++
		if at[2].Choose(key) == plan.Canary {
			moved++
			if Unit(plan.ID, key)>>63 == 0 {
				low++
			}
		}
	}
	total := &Total{Step: 2}
	cells := plan.cellsOf(total, 0, 0, table{rows: []row{newRow(1<<40, 3, true, silent, 0).withBefore(2)}}, func(row) bool { return true })
	want := cells[1].w
	if slack := 5 * math.Sqrt(want*(1-want)/stayed); math.Abs(moved/stayed-want) > slack {
		t.Errorf("%.4f of those on stable moved, the guards reckon with %.4f", moved/stayed, want)
	}
	if slack := 5 * math.Sqrt(0.25/moved); math.Abs(low/moved-0.5) > slack {
		t.Errorf("%.4f of those who moved are in the lower half of the sample, want half", low/moved)
	}
}

func TestARecorderIsForAllGoroutines(t *testing.T) {
	plan := everyGuard(t)
	r := NewRecorder(plan.ID, "w")
	r.Begin(0, 0.01)
	var all sync.WaitGroup
	const each, workers = 500, 4
	for worker := range workers {
		all.Go(func() {
			for i := range each {
				o := Observation{Canary: i%2 == 0, Judged: Of(Errors, Classes), Class: i % 3}
				if i%10 == 0 {
					o.Bad = Of(Errors)
				}
				r.Record(o)
				o.Unit = unitOf(worker*each + i)
				r.Record(o)
				r.Run(false, 0.005)
				r.Value(true, 1)
				if i%100 == 0 {
					r.Snapshot()
				}
			}
		})
	}
	all.Wait()
	total := plan.Merge(0, r.Snapshot())
	for _, canary := range []bool{false, true} {
		if got := total.Requests(canary); got != each*workers {
			t.Errorf("canary %v: %d judged, want %d", canary, got, each*workers)
		}
	}
	if got := total.Quality(true).N; got != each*workers {
		t.Errorf("%d pieces of feedback, want %d", got, each*workers)
	}
	r.Record(Observation{Step: 1, Judged: Of(Errors)})
	if got := plan.Merge(0, r.Snapshot()).Requests(false); got != each*workers {
		t.Errorf("%d judged after one of another step, want %d", got, each*workers)
	}
}

func TestTheSlowReferenceIsFrozenAndNeedsRuns(t *testing.T) {
	plan := mustCompile(t, document([]float64{5}, configs.Guards{Slow: ratioGuard(2)}))
	r, other := NewRecorder(plan.ID, "a"), NewRecorder(plan.ID, "b")
	r.Begin(0, 0)
	other.Begin(0, 0)
	for i := range 400 {
		if judged, _ := r.Run(false, float64(i+1)/1000); judged {
			t.Fatal("a run was judged without a reference")
		}
		other.Run(false, float64(i+401)/1000)
		other.Run(true, 100) // the canary's do not count
	}
	if _, ok := plan.Merge(0, r.Snapshot()).SlowReference(); ok {
		t.Error("400 runs are enough")
	}
	seconds, ok := plan.Merge(0, r.Snapshot(), other.Snapshot()).SlowReference()
	if want := 0.792; !ok || math.Abs(seconds/want-1) > 0.02 {
		t.Errorf("the 99th percentile of 1 to 800 ms is %v s, want %v", seconds, want)
	}
	r.SetReference(0.5)
	r.SetReference(0.1)
	for _, c := range []struct {
		seconds float64
		slow    bool
	}{{0.3, false}, {0.5, false}, {0.51, true}, {math.NaN(), false}} {
		if judged, slow := r.Run(true, c.seconds); !judged || slow != c.slow {
			t.Errorf("%v s: judged %v, slow %v", c.seconds, judged, slow)
		}
	}
	r.Begin(0, 0.2)
	if _, slow := r.Run(true, 0.3); !slow {
		t.Error("a new step did not take its own reference")
	}
}
