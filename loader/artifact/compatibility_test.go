package artifact_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

func TestAVersionMayAskForLessAndGiveMore(t *testing.T) {
	spec := func(name string, datatype runtime.DataType, shape ...int64) runtime.TensorSpec {
		return runtime.TensorSpec{Name: name, Type: datatype, Shape: shape}
	}
	type specs = []runtime.TensorSpec
	x, id := spec("x", runtime.FP32, -1, 3), spec("id", runtime.INT64, -1)
	y, p := spec("y", runtime.FP32, -1, 2), spec("p", runtime.FP32, -1)
	for _, c := range []struct {
		name            string
		inputs, outputs specs // after
		want            artifact.Compatibility
		differences     string
	}{
		{"nothing", specs{x, id}, specs{y, p}, artifact.Same, ""},

		{"inputs in another order", specs{id, x}, specs{y, p}, artifact.Compatible, "inputs are in another order"},
		{"an input added", specs{x, id, spec("z", runtime.FP32, -1)}, specs{y, p}, artifact.Breaking, `input "z" is new, and every request has to give it`},
		{"an input removed", specs{x}, specs{y, p}, artifact.Breaking, `input "id" is gone`},
		{"an input renamed", specs{x, spec("ID", runtime.INT64, -1)}, specs{y, p}, artifact.Breaking,
			`input "id" is gone|input "ID" is new, and every request has to give it`},
		{"an input of another type", specs{x, spec("id", runtime.INT32, -1)}, specs{y, p}, artifact.Breaking, `input "id" was INT64 and is INT32`},
		{"an input of another rank", specs{x, spec("id", runtime.INT64, -1, 1)}, specs{y, p}, artifact.Breaking, `input "id" had shape [-1] and has [-1,1]`},
		{"an input opened", specs{spec("x", runtime.FP32, -1, -1), id}, specs{y, p}, artifact.Compatible, `input "x" had shape [-1,3] and has [-1,-1]`},
		{"an input fixed", specs{spec("x", runtime.FP32, 1, 3), id}, specs{y, p}, artifact.Breaking, `input "x" had shape [-1,3] and has [1,3]`},
		{"an input of another size", specs{spec("x", runtime.FP32, -1, 4), id}, specs{y, p}, artifact.Breaking, `input "x" had shape [-1,3] and has [-1,4]`},
		{"an input opened and fixed", specs{spec("x", runtime.FP32, 3, -1), id}, specs{y, p}, artifact.Breaking, `input "x" had shape [-1,3] and has [3,-1]`},
		{"an input that became a scalar", specs{x, spec("id", runtime.INT64)}, specs{y, p}, artifact.Breaking, `input "id" had shape [-1] and has []`},

		{"outputs in another order", specs{x, id}, specs{p, y}, artifact.Compatible, "outputs are in another order"},
		{"an output added", specs{x, id}, specs{y, p, spec("q", runtime.FP32, -1)}, artifact.Compatible, `output "q" is new`},
		{"an output added before", specs{x, id}, specs{spec("q", runtime.FP32, -1), y, p}, artifact.Compatible, `output "q" is new`},
		{"an output removed", specs{x, id}, specs{y}, artifact.Breaking, `output "p" is gone`},
		{"an output of another type", specs{x, id}, specs{y, spec("p", runtime.FP64, -1)}, artifact.Breaking, `output "p" was FP32 and is FP64`},
		{"an output of another rank", specs{x, id}, specs{y, spec("p", runtime.FP32, -1, 1)}, artifact.Breaking, `output "p" had shape [-1] and has [-1,1]`},
		{"an output opened", specs{x, id}, specs{spec("y", runtime.FP32, -1, -1), p}, artifact.Breaking, `output "y" had shape [-1,2] and has [-1,-1]`},
		{"an output fixed", specs{x, id}, specs{y, spec("p", runtime.FP32, 1)}, artifact.Compatible, `output "p" had shape [-1] and has [1]`},
		{"an output of another size", specs{x, id}, specs{spec("y", runtime.FP32, -1, 5), p}, artifact.Breaking, `output "y" had shape [-1,2] and has [-1,5]`},

		{"much at once", specs{spec("x", runtime.FP32, -1, -1), id}, specs{y}, artifact.Breaking,
			`output "p" is gone|input "x" had shape [-1,3] and has [-1,-1]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := &runtime.Signature{Inputs: specs{x, id}, Outputs: specs{y, p}}
			got, differences := artifact.CompareVersions(before, &runtime.Signature{Inputs: c.inputs, Outputs: c.outputs})
			var want []string
			if c.differences != "" {
				want = strings.Split(c.differences, "|")
			}
			if got != c.want || !slices.Equal(differences, want) {
				t.Errorf("got %s, %q\nwant %s, %q", got, differences, c.want, want)
			}
		})
	}
}

// Swapped, what asks for less asks for more.
func TestOnlyTheSameIsCompatibleBothWays(t *testing.T) {
	narrow := &runtime.Signature{
		Inputs:  []runtime.TensorSpec{{Name: "x", Type: runtime.FP32, Shape: []int64{-1, 3}}},
		Outputs: []runtime.TensorSpec{{Name: "y", Type: runtime.FP32, Shape: []int64{-1, -1}}},
	}
	wide := &runtime.Signature{
		Inputs:  []runtime.TensorSpec{{Name: "x", Type: runtime.FP32, Shape: []int64{-1, -1}}},
		Outputs: []runtime.TensorSpec{{Name: "y", Type: runtime.FP32, Shape: []int64{-1, 2}}},
	}
	if is, _ := artifact.CompareVersions(narrow, wide); is != artifact.Compatible {
		t.Errorf("one way it is %s", is)
	}
	if is, _ := artifact.CompareVersions(wide, narrow); is != artifact.Breaking {
		t.Errorf("the other way it is %s", is)
	}
}
