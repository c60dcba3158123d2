package drift

import (
	"slices"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

func TestAShiftOfOneColumnAlarmsAndIsNamedWithItsDirection(t *testing.T) {
	random := generator(1)
	p := profiled(t, columns(3), Options{}, []runtime.Tensor{floats32("x", 3, draw(30_000, random.NormFloat64)...)})
	clean := draw(3000, random.NormFloat64)
	r, _ := Judge(Comparison{Window: windowOf(t, p, floats32("x", 3, clean...)), Policy: DefaultPolicy()})
	if r.Alarm || r.Insufficient {
		t.Fatalf("rows like the reference's alarm: %+v", r)
	}
	for i := 1; i < len(clean); i += 3 {
		clean[i] += 0.5
	}
	r, _ = Judge(Comparison{Window: windowOf(t, p, floats32("x", 3, clean...)), Policy: DefaultPolicy()})
	if top := r.Features[0]; !r.Alarm || top.Name != "x[1]" || top.Direction != "up" || !slices.Equal(top.Causes, []string{"distribution"}) {
		t.Errorf("a shift by half a deviation: alarm %t, first %+v", r.Alarm, top)
	}
	for _, f := range r.Features[1:] {
		if f.Alarm {
			t.Errorf("%s alarms and did not change", f.Name)
		}
	}
}

func TestTooFewRowsAreSaidToBeInsufficient(t *testing.T) {
	random := generator(2)
	p := profiled(t, columns(1), Options{}, []runtime.Tensor{floats32("x", 1, draw(5000, random.NormFloat64)...)})
	w := windowOf(t, p, floats32("x", 1, draw(150, random.NormFloat64)...))
	r, _ := Judge(Comparison{Window: w, Policy: DefaultPolicy()})
	if !r.Insufficient || r.Needed != 50 || r.Alarm {
		t.Errorf("150 rows of the 200 wanted: %+v", r)
	}
	// 1,000 rows of one caller are worth one.
	w = p.NewWindow()
	if err := w.Add([]runtime.Tensor{floats32("x", 1, draw(1000, random.NormFloat64)...)}, nil, 7); err != nil {
		t.Fatal(err)
	}
	if r, _ = Judge(Comparison{Window: w, Policy: DefaultPolicy()}); !r.Insufficient || r.Units != 1 || r.Effective != 1 {
		t.Errorf("1,000 rows of one caller: %+v", r)
	}
}

func TestAProfileComesBackFromItsBytes(t *testing.T) {
	random := generator(3)
	p := profiled(t, columns(2), Options{Model: "m", Version: "1"}, []runtime.Tensor{floats32("x", 2, draw(500, random.NormFloat64)...)})
	body, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	w := windowOf(t, p, floats32("x", 2, draw(500, random.NormFloat64)...))
	data, err := w.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	back, err := again.ParseWindow(data)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := Judge(Comparison{Window: w, Policy: DefaultPolicy()})
	b, _ := Judge(Comparison{Window: back, Policy: DefaultPolicy()})
	for i := range a.Features {
		if a.Features[i].Statistic != b.Features[i].Statistic {
			t.Errorf("%s: %v before, %v after", a.Features[i].Name, a.Features[i].Statistic, b.Features[i].Statistic)
		}
	}
}

func TestMissingAndUnseenTextsAreToldApart(t *testing.T) {
	signature := columns(1)
	signature.Inputs = append(signature.Inputs, runtime.TensorSpec{Name: "city", Type: runtime.BYTES, Shape: []int64{runtime.Dynamic}})
	cities := func(n int, some ...string) runtime.Tensor {
		values := make([]string, n)
		for i := range values {
			values[i] = some[i%len(some)]
		}
		return texts("city", values...)
	}
	p := profiled(t, signature, Options{}, []runtime.Tensor{cities(6000, "Salzburg", "Wien", "Prag")})
	for _, c := range []struct {
		cause string
		some  []string
	}{
		{"missing", []string{"Salzburg", "Wien", "Prag", "Salzburg", "Wien", "Prag", ""}},
		{"unseen", []string{"Salzburg", "Wien", "Prag", "Salzburg", "Wien", "Prag", "Paris"}},
	} {
		r, _ := Judge(Comparison{Window: windowOf(t, p, cities(700, c.some...)), Policy: DefaultPolicy()})
		for _, f := range r.Features {
			if f.Name == "city" && !slices.Contains(f.Causes, c.cause) {
				t.Errorf("%s: %+v", c.cause, f)
			}
		}
	}
}

func TestBoundsOfRatesAreNumbersUpToTheMostRows(t *testing.T) {
	for _, k := range []float64{0, 1, 1e6, MaxSamples / 2, MaxSamples - 1, MaxSamples} {
		if bound := rateBound(k, MaxSamples); !(bound >= k/MaxSamples && bound <= 1) {
			t.Errorf("%v of %v: bound %v", k, float64(MaxSamples), bound)
		}
	}
}
