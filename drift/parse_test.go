package drift

import (
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// small is a profile in its bytes.
func small(t testing.TB) string {
	t.Helper()
	p := profiled(t, columns(1), Options{Model: "m", Version: "1"}, []runtime.Tensor{floats32("x", 1, 1, 2, 3, 4)})
	body, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestBadProfilesAreRefusedWithEveryProblemAndItsPath(t *testing.T) {
	good := small(t)
	for _, c := range []struct {
		name, old, new string
		complaints     []string
	}{
		{"another schema", `"schema": 1`, `"schema": 2`, []string{"schema: 2 is not supported, want 1"}},
		{"an unknown field", `"samples"`, `"sample": 3, "samples"`, []string{"sample: unknown field"}},
		{"a field twice", `"samples"`, `"samples": 3, "samples"`, []string{"samples: is there twice"}},
		{"two problems", `"seed": 1`, `"sed": 1, "seed": 1, "seeds": 2`, []string{"sed: unknown field", "seeds: unknown field"}},
		{"a deep unknown field", `"edges"`, `"edge": 1, "edges"`, []string{"features[0].series[0].edge: unknown field"}},
		{"a wrong type", `"seed": 1`, `"seed": "one"`, []string{"seed"}},
		{"an object for a number", `"seed": 1`, `"seed": {"a": 1}`, []string{"seed: an object has no place here"}},
		{"an unknown kind", `"numeric"`, `"nominal"`, []string{`unknown kind "nominal"`}},
		{"an unknown side", `"side": "input"`, `"side": "inside"`, []string{`unknown side "inside"`}},
		{"no such tensor", `"tensor": "x"`, `"tensor": "z"`, []string{`features[0].tensor: the signature has no input "z"`}},
		{"edges out of order", "      1,\n      2,", "      2,\n      1,", []string{"features[0].series[0].edges: out of order: edge 1 is 1 after 2"}},
		{"edges alike", "      1,\n      2,", "      2,\n      2,", []string{"out of order"}},
		{"an edge too many", "      1,\n      2,", "      0,\n      1,\n      2,", []string{"features[0].series[0].reference.bins: 4 counts for 5 bins"}},
		{"more than there were", `"samples": 4`, `"samples": 3`, []string{"features[0].series[0].reference: counts more than the profile's 3 samples"}},
		{"a kind that is not in the tensor", `"kind": "numeric"`, `"kind": "boolean"`, []string{"features[0]: FP32 tensors hold no booleans", "has categories"}},
		{"another series", `"value"`, `"mean"`, []string{`features[0].series[0].name: "mean", want "value"`}},
		{"a column beyond", `"tensor": "x"`, `"tensor": "x", "column": 1`, []string{"features[0]: column 1 is not in a row of 1"}},
		{"a negative column", `"tensor": "x"`, `"tensor": "x", "column": -1`, []string{"features[0]: column -1 is not in a row of 1"}},
		{"an impossible design effect", `"seed": 1`, `"design_effect": 0.5, "seed": 1`, []string{"design_effect: 0.5, want at least 1"}},
		{"more rows than anybody has", `"samples": 4`, `"samples": 4000000000000`, []string{"samples: 4000000000000, more than the 1099511627776 allowed"}},
		{"no signature", `"signature": {`, `"signature": null, "x": {`, []string{"x: unknown field"}},
		{"correct answers of a number", `"name": "value"`, `"name": "value", "correct": [1,1,1,1]`, []string{"features[0].series[0].correct: has one count for each bin of a confidence"}},
		{"something more", "", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := strings.Replace(good, c.old, c.new, 1)
			if c.complaints == nil {
				body, c.complaints = good+"{}", []string{"something follows the document"}
			} else if body == good {
				t.Fatal("nothing was changed")
			}
			_, err := Parse([]byte(body))
			for _, complaint := range c.complaints {
				if err == nil || !strings.Contains(err.Error(), complaint) {
					t.Errorf("%v\nwant %q", err, complaint)
				}
			}
		})
	}
}

func TestTruncatedProfilesAreRefused(t *testing.T) {
	good := strings.TrimSpace(small(t))
	for n := range len(good) {
		if _, err := Parse([]byte(good[:n])); err == nil {
			t.Fatalf("%d of %d bytes are accepted", n, len(good))
		}
	}
	if _, err := Parse([]byte(good + strings.Repeat(" ", MaxProfileBytes))); err == nil {
		t.Error("more than the bytes allowed are accepted")
	}
}

func TestAProfileOfAnotherModelIsRefusedWithItsReason(t *testing.T) {
	p, err := Parse([]byte(small(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(columns(1), "m", "1"); err != nil {
		t.Errorf("its own model: %v", err)
	}
	other := func(change func(*runtime.Signature)) *runtime.Signature {
		s := columns(1)
		change(s)
		return s
	}
	for _, c := range []struct {
		model, version string
		signature      *runtime.Signature
		complaint      string
	}{
		{"n", "1", columns(1), `made for model "m", not for "n"`},
		{"m", "2", columns(1), `made for version "1", not for "2"`},
		{"m", "1", columns(2), `input "x" had shape [-1,1], the model's has [-1,2]`},
		{"m", "1", other(func(s *runtime.Signature) { s.Inputs[0].Type = runtime.FP64 }), `input "x" was FP32, the model's is FP64`},
		{"m", "1", other(func(s *runtime.Signature) { s.Inputs[0].Name = "z" }), `a model with input "x", which this one has not`},
		{"m", "1", other(func(s *runtime.Signature) { s.Outputs[0].Shape = nil }), `output "y" had shape [-1,1], the model's has []`},
		{"m", "1", other(func(s *runtime.Signature) {
			s.Inputs = append(s.Inputs, runtime.TensorSpec{Name: "more", Type: runtime.FP32})
		}), "made for a model with 1 inputs, this one has 2"},
	} {
		if err := p.Check(c.signature, c.model, c.version); err == nil || !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("%v, want %q", err, c.complaint)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small(f)))
	f.Add([]byte(everything(f)))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := Parse(body)
		if err != nil {
			return
		}
		again, err := p.Marshal()
		if err != nil {
			return // larger when written than as it came
		}
		if _, err := Parse(again); err != nil {
			t.Fatalf("what was accepted is refused when written again: %v", err)
		}
		w := p.NewWindow()
		r, _ := Judge(Comparison{Window: w, Policy: DefaultPolicy()})
		if r.Alarm {
			t.Fatal("an empty window alarms")
		}
		p.feed(t, w, 3)
		Judge(Comparison{Window: w, Policy: Policy{FalseAlarmsPerMonth: 1, Elapsed: Month}})
	})
}

// feed adds rows of zeros of the profile's signature, where these are small.
func (p *Profile) feed(t *testing.T, w *Window, rows int64) {
	make1 := func(specs []runtime.TensorSpec) (all []runtime.Tensor) {
		for _, s := range specs {
			tensor := runtime.Tensor{Name: s.Name, Type: s.Type}
			for i, d := range s.Shape {
				if d == runtime.Dynamic {
					d = 2
					if i == 0 {
						d = rows
					}
				}
				tensor.Shape = append(tensor.Shape, d)
			}
			n, err := tensor.Elements()
			if err != nil || n > 10_000 {
				continue
			}
			tensor.Data = make([]byte, int(n)*s.Type.Size())
			if s.Type == runtime.BYTES {
				tensor.Strings = make([][]byte, n)
			}
			all = append(all, tensor)
		}
		return all
	}
	if err := w.Add(make1(p.Signature.Inputs), make1(p.Signature.Outputs), 1); err == nil && w.Rows() == 0 && len(p.Features) > 0 {
		return
	}
	data, err := w.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.ParseWindow(data); err != nil {
		t.Fatalf("its own window is refused: %v", err)
	}
}

func FuzzParseWindow(f *testing.F) {
	p, err := Parse([]byte(small(f)))
	if err != nil {
		f.Fatal(err)
	}
	w := windowOf(f, p, floats32("x", 1, 1, 2, 3, 9, -1))
	data, err := w.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := p.ParseWindow(data)
		if err != nil {
			return
		}
		again, err := w.MarshalBinary()
		if err != nil || len(again) > p.MaxEncoded() {
			t.Fatalf("%d bytes of at most %d: %v", len(again), p.MaxEncoded(), err)
		}
		back, err := p.ParseWindow(again)
		if err != nil || back.rows != w.rows || back.Units() != w.Units() {
			t.Fatalf("another window comes back: %v", err)
		}
		Judge(Comparison{Window: w, Policy: DefaultPolicy()})
	})
}
