package drift

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

func encoded(t testing.TB, w *Window) []byte {
	t.Helper()
	data, err := w.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Windows of gateways make the fleet's, whatever the order and grouping.
func TestWindowsAddUpInAnyOrderAndGrouping(t *testing.T) {
	p := everythingProfile(t)
	whole := p.NewWindow()
	var parts []*Window
	for seed := range uint64(6) {
		w := p.NewWindow()
		for unit := range uint64(40) {
			r := everythingRows(5, 100*seed+unit)
			for _, to := range []*Window{w, whole} {
				if err := to.Add(r.Inputs, r.Outputs, unit*seed); err != nil {
					t.Fatal(err)
				}
			}
		}
		parts = append(parts, w)
	}
	merge := func(all ...*Window) *Window {
		sum := p.NewWindow()
		for _, w := range all {
			if err := sum.Merge(w); err != nil {
				t.Fatal(err)
			}
		}
		return sum
	}
	want := encoded(t, whole)
	a, b, c, d, e, f := parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]
	for i, got := range []*Window{
		merge(a, b, c, d, e, f), merge(f, e, d, c, b, a), merge(merge(a, b), merge(c, merge(d, e)), f), merge(p.NewWindow(), merge(d, a, f), merge(c, e, b)),
	} {
		if !bytes.Equal(encoded(t, got), want) {
			t.Errorf("order %d gives another window", i)
		}
	}
	back, err := p.ParseWindow(want)
	if err != nil || !bytes.Equal(encoded(t, back), want) {
		t.Errorf("another window comes back: %v", err)
	}
	if len(want) > p.MaxEncoded() || len(want) > 8<<10 {
		t.Errorf("%d bytes", len(want))
	}
	clone := whole.Clone()
	whole.Reset()
	if !bytes.Equal(encoded(t, clone), want) || whole.Rows() != 0 || !bytes.Equal(encoded(t, whole), encoded(t, p.NewWindow())) {
		t.Error("a clone is not its own")
	}
}

func TestWindowsOfOtherBinsDoNotAddUp(t *testing.T) {
	one := profiled(t, columns(1), Options{}, []runtime.Tensor{floats32("x", 1, 1, 2, 3)})
	other := profiled(t, columns(1), Options{}, []runtime.Tensor{floats32("x", 1, 1, 2, 4)})
	if err := one.NewWindow().Merge(other.NewWindow()); !errors.Is(err, ErrOtherBins) {
		t.Error(err)
	}
	if _, err := one.ParseWindow(encoded(t, other.NewWindow())); !errors.Is(err, ErrOtherBins) {
		t.Error(err)
	}
	// The same bins with other counts do.
	again := profiled(t, columns(1), Options{}, []runtime.Tensor{floats32("x", 1, 1, 1, 2, 2, 3, 3)})
	if err := one.NewWindow().Merge(again.NewWindow()); err != nil {
		t.Error(err)
	}
}

func TestTensorsThatAreNotTheModelsAreRefusedAndNothingIsCounted(t *testing.T) {
	p := everythingProfile(t)
	good := everythingRows(3, 9)
	for _, c := range []struct {
		name      string
		change    func(r *Rows)
		complaint string
	}{
		{"type", func(r *Rows) { r.Inputs[0].Type = runtime.FP64 }, `input "x": is FP64, the profile's is FP32`},
		{"shape", func(r *Rows) { r.Inputs[0].Shape = []int64{2, 3} }, `input "x": shape [2,3] does not match`},
		{"rows", func(r *Rows) { r.Inputs[1].Shape, r.Inputs[1].Data = []int64{2}, r.Inputs[1].Data[:16] }, `input "count" has 2 rows, others have 3`},
		{"data", func(r *Rows) { r.Outputs[0].Data = r.Outputs[0].Data[:8] }, `output "scores": holds 2 elements, its shape says 9`},
		{"texts", func(r *Rows) { r.Inputs[2].Strings = nil }, `input "city": holds 0 elements, its shape says 3`},
	} {
		r := Rows{Inputs: append([]runtime.Tensor(nil), good.Inputs...), Outputs: append([]runtime.Tensor(nil), good.Outputs...)}
		c.change(&r)
		w := p.NewWindow()
		if err := w.Add(r.Inputs, r.Outputs, 0); err == nil || !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("%s: %v", c.name, err)
		}
		if !bytes.Equal(encoded(t, w), encoded(t, p.NewWindow())) {
			t.Errorf("%s: something is counted", c.name)
		}
	}
}

func TestAddingAllocatesNothing(t *testing.T) {
	p := everythingProfile(t)
	w := p.NewWindow()
	r := everythingRows(4, 5)
	add := func() {
		if err := w.Add(r.Inputs, r.Outputs, 77); err != nil {
			t.Fatal(err)
		}
	}
	add()
	if n := testing.AllocsPerRun(100, add); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestUnitsAndTheirUnevennessAreEstimated(t *testing.T) {
	for _, wanted := range []uint64{1, 50, 1000, 100_000} {
		var u units
		rows, squares := uint64(0), 0.0
		random := generator(wanted)
		for unit := range wanted {
			n := uint64(1 + 5*random.ExpFloat64())
			u.add(unit+1, n)
			rows += n
			squares += float64(n) * float64(n)
		}
		if got := float64(u.distinct()); math.Abs(got-float64(wanted)) > max(1, 0.13*float64(wanted)) {
			t.Errorf("%v units of %d", got, wanted)
		}
		if got, want := u.unevenness(rows), squares/float64(rows); math.Abs(got-want) > 0.1*want {
			t.Errorf("unevenness %v of %v", got, want)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, c := range []struct {
		name string
		k    int64
	}{{"1 feature", 1}, {"10 features", 10}, {"50 features", 50}} {
		b.Run(c.name, func(b *testing.B) {
			random := generator(1)
			p := profiled(b, columns(c.k), Options{}, []runtime.Tensor{floats32("x", c.k, draw(int(c.k)*1000, random.NormFloat64)...)})
			w := p.NewWindow()
			in := []runtime.Tensor{floats32("x", c.k, draw(int(c.k), random.NormFloat64)...)}
			b.ReportAllocs()
			for b.Loop() {
				_ = w.Add(in, nil, 5)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.k), "ns/feature")
		})
	}
	b.Run("a spectrogram of 88 by 128", func(b *testing.B) {
		signature := &runtime.Signature{
			Inputs:  []runtime.TensorSpec{{Name: "x", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, 1, 88, 128}}},
			Outputs: columns(1).Outputs,
		}
		random := generator(1)
		in := floats32("x", 88*128, draw(88*128, random.Float64)...)
		in.Shape = []int64{1, 1, 88, 128}
		p := profiled(b, signature, Options{}, []runtime.Tensor{in})
		w := p.NewWindow()
		b.ReportAllocs()
		for b.Loop() {
			_ = w.Add([]runtime.Tensor{in}, nil, 5)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	p := everythingProfile(b)
	r := everythingRows(1000, 3)
	w := p.NewWindow()
	if err := w.Add(r.Inputs, r.Outputs, 0); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		Judge(Comparison{Window: w, Policy: DefaultPolicy()})
	}
}

func BenchmarkParse(b *testing.B) {
	body := everything(b)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := Parse(body); err != nil {
			b.Fatal(err)
		}
	}
}
