package runtime

import (
	"testing"
)

func TestCheckOfAShape(t *testing.T) {
	f := func(declared, given []int64, want string) {
		t.Helper()
		spec := TensorSpec{Shape: declared}
		got := ""
		if err := spec.Check(given); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%v against %v: got %q, want %q", given, declared, got, want)
		}
	}
	f(nil, nil, "")
	f([]int64{}, []int64{1}, "")
	f(nil, []int64{2}, "shape [2] does not match the model's []")
	f(nil, []int64{1, 1}, "shape [1,1] does not match the model's []")
	f([]int64{1}, nil, "shape [] does not match the model's [1]")
	f([]int64{Dynamic, 3}, []int64{0, 3}, "")
	f([]int64{Dynamic, 3}, []int64{7, 3}, "")
	f([]int64{Dynamic, 3}, []int64{7, 4}, "shape [7,4] does not match the model's [-1,3]")
	f([]int64{Dynamic, 3}, []int64{3}, "shape [3] does not match the model's [-1,3]")
	f([]int64{Dynamic}, []int64{-1}, "shape [-1] does not match the model's [-1]")
	f([]int64{Dynamic}, []int64{-5}, "shape [-5] does not match the model's [-1]")
}

func TestNamesArePositions(t *testing.T) {
	s := Signature{Inputs: []TensorSpec{{Name: "a"}, {Name: "b"}}, Outputs: []TensorSpec{{Name: "b"}}}
	if s.Input("a") != 0 || s.Input("b") != 1 || s.Input("c") != -1 || s.Output("b") != 0 || s.Output("a") != -1 {
		t.Errorf("positions are %d %d %d %d %d", s.Input("a"), s.Input("b"), s.Input("c"), s.Output("b"), s.Output("a"))
	}
}

func TestBatchesNeedsADynamicFirstSizeEverywhere(t *testing.T) {
	rows, fixed := TensorSpec{Shape: []int64{Dynamic, 3}}, TensorSpec{Shape: []int64{1, Dynamic}}
	f := func(want bool, inputs, outputs []TensorSpec) {
		t.Helper()
		s := Signature{Inputs: inputs, Outputs: outputs}
		if s.Batches() != want {
			t.Errorf("%+v: got %v", s, s.Batches())
		}
	}
	f(true, []TensorSpec{rows}, []TensorSpec{rows, rows})
	f(false, []TensorSpec{rows, fixed}, []TensorSpec{rows})
	f(false, []TensorSpec{rows}, []TensorSpec{rows, {}})
	f(false, nil, []TensorSpec{rows})
	f(false, []TensorSpec{rows}, nil)
}

func TestSignaturesAreEqualInEveryPart(t *testing.T) {
	base := func() *Signature {
		return &Signature{
			Inputs:  []TensorSpec{{"a", FP32, []int64{-1}}, {"b", INT64, nil}},
			Outputs: []TensorSpec{{"c", BYTES, []int64{2}}},
		}
	}
	if !base().Equal(base()) {
		t.Error("a signature does not equal itself")
	}
	empty := base()
	empty.Inputs[1].Shape = []int64{}
	if !base().Equal(empty) {
		t.Error("a scalar's nil and empty shapes differ")
	}
	for i, change := range []func(*Signature){
		func(s *Signature) { s.Inputs[0].Name = "z" },
		func(s *Signature) { s.Inputs[0].Type = FP64 },
		func(s *Signature) { s.Outputs[0].Shape[0] = 3 },
		func(s *Signature) { s.Outputs = nil },
		func(s *Signature) { s.Inputs[0], s.Inputs[1] = s.Inputs[1], s.Inputs[0] },
	} {
		changed := base()
		change(changed)
		if base().Equal(changed) {
			t.Errorf("change %d is not seen", i)
		}
	}
}
