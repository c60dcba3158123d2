package drift

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// everythingSignature has a feature of every kind.
func everythingSignature() *runtime.Signature {
	d := runtime.Dynamic
	return &runtime.Signature{
		Inputs: []runtime.TensorSpec{
			{Name: "x", Type: runtime.FP32, Shape: []int64{d, 2}},
			{Name: "count", Type: runtime.INT64, Shape: []int64{d}},
			{Name: "city", Type: runtime.BYTES, Shape: []int64{d}},
			{Name: "comment", Type: runtime.BYTES, Shape: []int64{d}},
			{Name: "yes", Type: runtime.BOOL, Shape: []int64{d}},
			{Name: "image", Type: runtime.UINT8, Shape: []int64{d, 6, 20}},
		},
		Outputs: []runtime.TensorSpec{
			{Name: "scores", Type: runtime.FP32, Shape: []int64{d, 3}},
			{Name: "value", Type: runtime.FP32, Shape: []int64{d}},
		},
	}
}

// everythingRows are n rows of them; labels are right where the confidence is
// that high.
func everythingRows(n int, seed uint64) Rows {
	random := generator(seed)
	r := Rows{}
	tensor := func(t runtime.DataType, name string, row ...int64) *runtime.Tensor {
		return &runtime.Tensor{Name: name, Type: t, Shape: append([]int64{int64(n)}, row...)}
	}
	x := floats32("x", 2, draw(2*n, random.NormFloat64)...)
	count, city, comment := tensor(runtime.INT64, "count"), tensor(runtime.BYTES, "city"), tensor(runtime.BYTES, "comment")
	yes, image := tensor(runtime.BOOL, "yes"), tensor(runtime.UINT8, "image", 6, 20)
	scores, value := tensor(runtime.FP32, "scores", 3), floats32("value", 1, draw(n, random.ExpFloat64)...)
	value.Shape = value.Shape[:1]
	for range n {
		count.Data = binary.LittleEndian.AppendUint64(count.Data, uint64(random.IntN(5)))
		city.Strings = append(city.Strings, []byte([]string{"Wien", "Salzburg", "Köln"}[random.IntN(3)]))
		comment.Strings = append(comment.Strings, []byte(strings.Repeat("é", 1+random.IntN(400))))
		yes.Data = append(yes.Data, byte(random.IntN(2)))
		for range 120 {
			image.Data = append(image.Data, byte(random.IntN(40)))
		}
		class := random.IntN(3)
		confidence := 0.4 + 0.6*random.Float64()
		for i := range 3 {
			p := (1 - confidence) / 2
			if i == class {
				p = confidence
			}
			scores.Data = binary.LittleEndian.AppendUint32(scores.Data, math.Float32bits(float32(p)))
		}
		if random.Float64() > confidence {
			class = (class + 1) % 3
		}
		r.Labels = append(r.Labels, int64(class))
	}
	r.Inputs = []runtime.Tensor{x, *count, *city, *comment, *yes, *image}
	r.Outputs = []runtime.Tensor{*scores, value}
	return r
}

func everythingProfile(t testing.TB) *Profile {
	t.Helper()
	b, err := NewBuilder(everythingSignature(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Add(everythingRows(3000, 1)); err != nil {
		t.Fatal(err)
	}
	p, err := b.Profile()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func everything(t testing.TB) []byte {
	body, err := everythingProfile(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestEveryKindOfFeatureIsReadFromTheData(t *testing.T) {
	p := everythingProfile(t)
	var got []string
	for _, f := range p.Features {
		got = append(got, fmt.Sprintf("%s %s %d", f.Name, f.Kind, len(f.Series)))
	}
	want := []string{
		"x[0] numeric 1", "x[1] numeric 1", "count categorical 1", "city categorical 1", "comment text-length 1", "yes boolean 1",
		"image tensor 31", "scores.class class 1", "scores.confidence confidence 1", "value score 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if _, err := Parse(everything(t)); err != nil {
		t.Errorf("its bytes are refused: %v", err)
	}
	clean := everythingRows(2000, 2)
	w := p.NewWindow()
	if err := w.Add(clean.Inputs, clean.Outputs, 0); err != nil {
		t.Fatal(err)
	}
	r, _ := Judge(Comparison{Window: w, Policy: DefaultPolicy()})
	if r.Alarm || r.Insufficient {
		t.Errorf("rows like the reference's: %+v", r)
	}
	if a := r.Accuracy; a == nil || math.Abs(a.Expected-a.Reference) > 4*a.Error || math.Abs(a.Reference-0.7) > 0.03 {
		t.Errorf("accuracy %+v, want 0.7", a)
	}
}

// Each change of the rows is found in its feature and in no other.
func TestEveryKindOfDriftIsFoundInItsFeature(t *testing.T) {
	p := everythingProfile(t)
	le := binary.LittleEndian
	input := func(r *Rows, name string) *runtime.Tensor { return named(r.Inputs, name) }
	for _, c := range []struct {
		feature, cause, direction string
		change                    func(r *Rows)
	}{
		{"x[1]", "distribution", "down", func(r *Rows) {
			x := input(r, "x")
			for i := 1; i < 2*2000; i += 2 {
				le.PutUint32(x.Data[4*i:], math.Float32bits(float32(numberAt(x, i)-0.5)))
			}
		}},
		{"x[0]", "missing", "", func(r *Rows) {
			for i := 0; i < 2000; i += 20 {
				le.PutUint32(input(r, "x").Data[8*i:], math.Float32bits(float32(math.NaN())))
			}
		}},
		{"x[0]", "above", "", func(r *Rows) {
			for i := 0; i < 2000; i += 20 {
				le.PutUint32(input(r, "x").Data[8*i:], math.Float32bits(float32(math.Inf(1))))
			}
		}},
		{"count", "distribution", "more", func(r *Rows) {
			for i := 0; i < 2000; i += 3 {
				le.PutUint64(input(r, "count").Data[8*i:], 4)
			}
		}},
		{"count", "unseen", "", func(r *Rows) {
			for i := 0; i < 2000; i += 30 {
				le.PutUint64(input(r, "count").Data[8*i:], math.MaxUint64)
			}
		}},
		{"city", "unseen", "", func(r *Rows) {
			for i := 0; i < 2000; i += 30 {
				input(r, "city").Strings[i] = []byte("Paris")
			}
		}},
		{"comment", "distribution", "up", func(r *Rows) {
			for i := range 2000 {
				input(r, "comment").Strings[i] = append(input(r, "comment").Strings[i], strings.Repeat("!", 80)...)
			}
		}},
		{"yes", "distribution", "more", func(r *Rows) { clear(input(r, "yes").Data[:600]) }},
		// Brighter at the end of the second axis, the sum of all being the same.
		{"image", "distribution", "up", func(r *Rows) {
			data := input(r, "image").Data
			for i := range data {
				if data[i] > 0 && i%20 < 10 {
					data[i]--
					data[i+10]++
				}
			}
		}},
		{"scores.class", "distribution", "more", func(r *Rows) {
			for i := 0; i < 2000; i += 4 {
				for j, x := range []float32{0.1, 0.8, 0.1} {
					le.PutUint32(r.Outputs[0].Data[12*i+4*j:], math.Float32bits(x))
				}
			}
		}},
		{"value", "distribution", "up", func(r *Rows) {
			for i := range 2000 {
				le.PutUint32(r.Outputs[1].Data[4*i:], math.Float32bits(float32(1.5*numberAt(&r.Outputs[1], i))))
			}
		}},
	} {
		t.Run(c.feature+" "+c.cause, func(t *testing.T) {
			rows := everythingRows(2000, 3)
			c.change(&rows)
			w := p.NewWindow()
			if err := w.Add(rows.Inputs, rows.Outputs, 0); err != nil {
				t.Fatal(err)
			}
			r, _ := Judge(Comparison{Window: w, Policy: DefaultPolicy()})
			for _, f := range r.Features {
				switch {
				case f.Name == c.feature:
					if !f.Alarm || !slices.Contains(f.Causes, c.cause) || c.direction != "" && f.Direction != c.direction {
						t.Errorf("%+v", f)
					}
				case f.Alarm && f.Name != "scores.confidence": // classes are changed with it
					t.Errorf("%s alarms: %v", f.Name, f.Causes)
				}
			}
		})
	}
}

func TestOddDataIsHandledAndSaidSo(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		name   string
		values []float64
		note   string
		edges  int
	}{
		{"one sample", []float64{3}, "x: always 3", 2},
		{"a constant column", []float64{3, 3, 3}, "x: always 3; another value counts as out of range", 2},
		{"an all-missing column", []float64{nan, nan}, "x: no value in any row", 0},
		{"infinities", []float64{1, inf, 2, -inf}, "x: 2 infinite values count as out of range", 3},
		{"only infinities", []float64{inf, inf}, "x: no value in any row", 0},
		{"huge values", []float64{-math.MaxFloat32, 0, math.MaxFloat32}, "", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := profiled(t, columns(1), Options{}, []runtime.Tensor{floats32("x", 1, c.values...)})
			if got := len(p.Features[0].Series[0].Edges); got != c.edges {
				t.Errorf("%d edges, want %d", got, c.edges)
			}
			if !strings.Contains(strings.Join(p.Notes, "\n"), c.note) {
				t.Errorf("notes %q, want %q", p.Notes, c.note)
			}
			body, err := p.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Parse(body); err != nil {
				t.Errorf("its own bytes are refused: %v", err)
			}
			w := windowOf(t, p, floats32("x", 1, append(slices.Repeat([]float64{0, nan, inf, -inf, 3}, 200), c.values...)...))
			r, _ := Judge(Comparison{Window: w, Policy: DefaultPolicy()})
			if counts := w.Counts(0, 0); counts.Total() != w.Rows() {
				t.Errorf("%d of %d rows are counted", counts.Total(), w.Rows())
			}
			if len(r.Features) != 1 || r.Features[0].Name != "x" {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAConstantThatChangesAlarms(t *testing.T) {
	p := profiled(t, columns(1), Options{}, []runtime.Tensor{floats32("x", 1, slices.Repeat([]float64{3}, 2000)...)})
	r, _ := Judge(Comparison{Window: windowOf(t, p, floats32("x", 1, slices.Repeat([]float64{3}, 500)...)), Policy: DefaultPolicy()})
	if r.Alarm {
		t.Errorf("the same constant alarms: %+v", r)
	}
	r, _ = Judge(Comparison{Window: windowOf(t, p, floats32("x", 1, slices.Repeat([]float64{4}, 500)...)), Policy: DefaultPolicy()})
	if !r.Alarm || !slices.Equal(r.Features[0].Causes, []string{"above"}) {
		t.Errorf("another constant: %+v", r)
	}
}

func TestNoRowsAreNoProfile(t *testing.T) {
	b, err := NewBuilder(columns(1), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Add(Rows{Inputs: []runtime.Tensor{floats32("x", 1)}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Profile(); err == nil || !strings.Contains(err.Error(), "the data has no rows") {
		t.Error(err)
	}
}

func TestAMillionCategoriesAreListedInPartAndSaidSo(t *testing.T) {
	signature := &runtime.Signature{
		Inputs:  []runtime.TensorSpec{{Name: "id", Type: runtime.BYTES, Shape: []int64{runtime.Dynamic}}},
		Outputs: columns(1).Outputs,
	}
	b, err := NewBuilder(signature, Options{Rows: 20_000, Kinds: map[string]Kind{"id": Categorical}})
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 1000)
	for i := range 1000 {
		for j := range names {
			names[j] = fmt.Sprint("user-", 1000*i+j)
		}
		if err := b.Add(Rows{Inputs: []runtime.Tensor{texts("id", names...)}}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := b.Profile()
	if err != nil {
		t.Fatal(err)
	}
	s := p.Features[0].Series[0]
	if !s.Other || len(s.Categories) != 128 || p.Samples != 20_000 || s.Reference.Bins[128] != 20_000-128 {
		t.Errorf("other %t, %d categories, %d samples", s.Other, len(s.Categories), p.Samples)
	}
	if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, "id: 128 of 20000 categories are listed") || !strings.Contains(notes, "drawn from 1000000") {
		t.Errorf("notes %q", p.Notes)
	}
	r, _ := Judge(Comparison{Window: windowOf(t, p, texts("id", names...)), Policy: DefaultPolicy()})
	if r.Alarm {
		t.Errorf("other ones like them: %+v", r)
	}
}

// A sample of rows is uniform: the mean of their positions is in the middle.
func TestOfManyRowsAUniformSampleIsKept(t *testing.T) {
	b, err := NewBuilder(columns(1), Options{Rows: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50_000 {
		if err := b.Add(Rows{Inputs: []runtime.Tensor{floats32("x", 1, float64(i))}}); err != nil {
			t.Fatal(err)
		}
	}
	sum := 0.0
	for _, x := range floats(b.sources[0].columns[0]) {
		sum += x
	}
	if mean := sum / 1000; math.Abs(mean-25_000) > 4*50_000/math.Sqrt(12*1000) {
		t.Errorf("mean position %v of 50,000", mean)
	}
}

func TestOptionsThatDoNotFitAreRefused(t *testing.T) {
	for _, c := range []struct {
		options   Options
		complaint string
	}{
		{Options{Bins: 1}, "bins from 2"},
		{Options{Kinds: map[string]Kind{"z": Numeric}}, `neither input nor output "z"`},
		{Options{Kinds: map[string]Kind{"x": Categorical}}, "FP32 tensors hold no categories"},
		{Options{Kinds: map[string]Kind{"comment": Numeric}}, "BYTES tensors hold no numbers"},
		{Options{Kinds: map[string]Kind{"image": Numeric}}, "too large for kind numeric"},
	} {
		if _, err := NewBuilder(everythingSignature(), c.options); err == nil || !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("%+v: %v, want %q", c.options, err, c.complaint)
		}
	}
}
