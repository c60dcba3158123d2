package rollout

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/segue-serving/segue/configs"
)

// everyGuard is a plan with all guards on.
func everyGuard(t testing.TB) *Plan {
	return mustCompile(t, document([]float64{5, 25, 50}, configs.Guards{
		Errors: ratioGuard(1), NonFinite: ratioGuard(1), Slow: ratioGuard(2),
		Classes:  &configs.ClassGuard{MaxRatio: 3},
		Shadow:   &configs.ShadowGuard{MaxDisagreement: 0.05, MinSamples: 100},
		Feedback: &configs.FeedbackGuard{Kind: "label", RatioGuard: *ratioGuard(1.5)},
	}))
}

func drawObservation(t *rapid.T, step int) Observation {
	o := Observation{
		Step:   step,
		Canary: rapid.Bool().Draw(t, "canary"),
		Judged: Guards(rapid.Uint8Range(1, 63).Draw(t, "judged")),
		Bad:    Guards(rapid.Uint8Range(0, 63).Draw(t, "bad")),
		Class:  rapid.IntRange(-2, 70).Draw(t, "class"),
	}
	if rapid.Bool().Draw(t, "sticky") {
		o.Unit = unitOf(rapid.IntRange(1, 40).Draw(t, "user"))
	}
	return o
}

// drawEvidence is one writer's snapshots, in order.
func drawEvidence(t *rapid.T, p *Plan, writer string) []*Evidence {
	r := NewRecorder(p.ID, writer)
	var all []*Evidence
	for step := p.First(); step < rapid.IntRange(1, len(p.Steps)).Draw(t, "steps"); step++ {
		r.Begin(step, 0)
		for range rapid.IntRange(0, 30).Draw(t, "requests") {
			r.Record(drawObservation(t, step))
			r.Run(false, rapid.Float64Range(0.001, 10).Draw(t, "seconds"))
			r.Value(rapid.Bool().Draw(t, "arm"), rapid.Float64Range(0, 1).Draw(t, "value"))
		}
		all = append(all, r.Snapshot())
	}
	return all
}

func TestEvidenceMergesInAnyOrderAndAsOftenAsItCame(t *testing.T) {
	p := everyGuard(t)
	rapid.Check(t, func(t *rapid.T) {
		var all []*Evidence
		for _, writer := range []string{"a/1", "a/2", "b/1"} {
			all = append(all, drawEvidence(t, p, writer)...)
		}
		step := rapid.IntRange(-1, 2).Draw(t, "step")
		want := p.Merge(step, all...)
		shuffled := slices.Concat(all, rapid.SliceOfN(rapid.SampledFrom(all), 0, 6).Draw(t, "again"))
		shuffled = rapid.Permutation(shuffled).Draw(t, "order")
		if got := p.Merge(step, shuffled...); !reflect.DeepEqual(got, want) {
			t.Fatalf("merged in another order and with repetitions:\n%+v\nwant\n%+v", got, want)
		}
		if got, want := p.Decide(State{Step: step, Since: begin}, p.Merge(step, shuffled...), begin), p.Decide(State{Step: step, Since: begin}, want, begin); !reflect.DeepEqual(got, want) {
			t.Fatalf("the verdict depends on the order: %+v, want %+v", got, want)
		}
	})
}

func TestRowsOfOneCallerMergeInAnyGrouping(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) row {
		position := rapid.IntRange(1, 6).Draw(t, "position")
		r := newRow(1<<40, position, rapid.Bool().Draw(t, "canary"), rapid.SampledFrom([]int{0, 1, 5, 64, silent}).Draw(t, "class"), Guards(rapid.Uint8Range(0, 15).Draw(t, "judged")))
		if rapid.Bool().Draw(t, "known") {
			r = r.withBefore(rapid.SampledFrom([]int{0, position - 1, spent}).Draw(t, "before"))
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := draw.Draw(t, "a"), draw.Draw(t, "b"), draw.Draw(t, "c")
		if a.merge(a) != a || a.merge(b) != b.merge(a) || a.merge(b).merge(c) != a.merge(b.merge(c)) {
			t.Fatalf("a %x, b %x, c %x: a+a %x, a+b %x, b+a %x, (a+b)+c %x, a+(b+c) %x", a, b, c,
				a.merge(a), a.merge(b), b.merge(a), a.merge(b).merge(c), a.merge(b.merge(c)))
		}
		if m := a.merge(b); !m.valid() {
			t.Fatalf("%x + %x = %x, which no table holds", a, b, m)
		}
	})
}

func TestEvidenceReadsBackAsItWasWritten(t *testing.T) {
	p := everyGuard(t)
	rapid.Check(t, func(t *rapid.T) {
		for _, e := range drawEvidence(t, p, "gateway-1/4711") {
			got, err := Decode(e.Encode())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Encode(), e.Encode()) {
				t.Fatalf("read back %+v, want %+v", got, e)
			}
			if a, b := p.Merge(e.Step, got), p.Merge(e.Step, e); !reflect.DeepEqual(a, b) {
				t.Fatalf("read back, it merges to %+v, want %+v", a, b)
			}
		}
	})
}

func TestOnlyEvidenceOfTheStepAndTheRolloutCounts(t *testing.T) {
	p := everyGuard(t)
	count := func(rollout string, step int) *Evidence {
		r := NewRecorder(rollout, fmt.Sprint(rollout, step))
		r.Begin(step, 0)
		r.Record(request(step, true, true))
		r.Record(Observation{Step: step, Judged: Of(Shadow), Bad: Of(Shadow)})
		r.Value(true, 1)
		return r.Snapshot()
	}
	total := p.Merge(1, count(p.ID, 0), count(p.ID, 1), count(p.ID, 2), count("another", 1), nil)
	if got := total.Requests(true); got != 1 || total.shadow[1] != 1 || total.Writers != 3 {
		t.Errorf("%d requests and %d copies of %d writers, want 1 and 1 of 3", got, total.shadow[1], total.Writers)
	}
	// What feedback says of a version is not a matter of steps.
	if got := total.Quality(true).N; got != 3 {
		t.Errorf("feedback %d times, want 3", got)
	}
}

func TestRatesAreOfCallersThatBothListsHold(t *testing.T) {
	p := errorsAt5(t)
	low, high := uint64(1)<<40, uint64(1)<<63
	seen := func(unit uint64, judged Guards) row { return newRow(unit, 1, true, silent, judged) }
	total := &Total{
		canary: table{0, []row{seen(low, Of(Errors)), seen(2*low, 0), seen(high, Of(Errors)), seen(high+low, Of(Errors))}},
	}
	total.bad[Errors] = table{0, []row{seen(low, 0), seen(high, 0)}}
	if n, bad := p.rates(Errors, total); n != 3 || bad != 2 {
		t.Errorf("%v of %v bad, want 2 of 3", bad, n)
	}
	total.bad[Errors] = table{1, []row{seen(low, 0)}}
	if n, bad := p.rates(Errors, total); n != 1 || bad != 1 {
		t.Errorf("%v of %v bad after one list was halved, want 1 of 1", bad, n)
	}
	total.bad[Errors], total.canary.level = table{0, []row{seen(low, 0), seen(high, 0)}}, 1
	if n, bad := p.rates(Errors, total); n != 1 || bad != 1 {
		t.Errorf("%v of %v bad after the other was halved, want 1 of 1", bad, n)
	}
}
