package drift

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
)

func TestAWindowBecomesAReference(t *testing.T) {
	random := generator(31)
	p := profiled(t, columns(2), Options{Model: "m"}, []runtime.Tensor{floats32("x", 2, draw(20_000, random.NormFloat64)...)})
	moved := func() float64 { return random.NormFloat64() + 1 }
	live := windowOf(t, p, floats32("x", 2, draw(4000, moved)...))
	made, err := live.AsReference("a day of live requests")
	if err != nil {
		t.Fatal(err)
	}
	body, err := made.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	read, err := Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	if read.Samples != live.Rows() || read.Source != "a day of live requests" || read.Model != "m" || !reflect.DeepEqual(read.Features[0].Series[0].Reference, live.Counts(0, 0)) {
		t.Errorf("%d samples, source %q", read.Samples, read.Source)
	}
	policy := DefaultPolicy()
	policy.Elapsed = time.Hour
	for name, c := range map[string]struct {
		reference *Profile
		alarm     bool
	}{"the old": {p, true}, "the new": {read, false}} {
		now := windowOf(t, c.reference, floats32("x", 2, draw(4000, moved)...))
		if r, _ := Judge(Comparison{Window: now, Policy: policy}); r.Alarm != c.alarm {
			t.Errorf("against %s reference: alarm %v", name, r.Alarm)
		}
	}
	if err := live.Merge(read.NewWindow()); err != nil {
		t.Errorf("the bins are not the same: %v", err)
	}
}

func TestFeaturesAreChosenByName(t *testing.T) {
	p := profiled(t, columns(3), Options{}, []runtime.Tensor{floats32("x", 3, draw(900, generator(1).NormFloat64)...)})
	fewer, err := p.With(func(name string) bool { return name != "x[1]" })
	if err != nil || len(fewer.Features) != 2 || len(p.Features) != 3 || fewer.Features[1].Name != "x[2]" {
		t.Fatalf("%v, %v", fewer, err)
	}
	w := windowOf(t, fewer, floats32("x", 3, 1, 2, 3))
	if w.Rows() != 1 || !errors.Is(w.Merge(p.NewWindow()), ErrOtherBins) {
		t.Error("windows of some features add up with those of all")
	}
	if _, err := p.With(func(string) bool { return false }); !errors.Is(err, ErrNoFeatures) {
		t.Errorf("none: %v", err)
	}
}
