package artifact

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/segue-serving/segue/runtime"
)

// Compare says how a model's answers differ from the golden ones, nil when
// they do not: outputs are found by name, types and shapes must be equal,
// floating-point numbers within the tolerance, everything else equal. NaN
// equals NaN. Answers that want does not name are ignored.
func Compare(got, want []runtime.Tensor, tolerance Tolerance) error {
	for i := range want {
		w := &want[i]
		at := slices.IndexFunc(got, func(t runtime.Tensor) bool { return t.Name == w.Name })
		if at < 0 {
			return fmt.Errorf("output %q is missing", w.Name)
		}
		if err := compareTensor(&got[at], w, tolerance); err != nil {
			return fmt.Errorf("output %q %w", w.Name, err)
		}
	}
	return nil
}

func compareTensor(got, want *runtime.Tensor, tolerance Tolerance) error {
	if got.Type != want.Type {
		return fmt.Errorf("is %s, want %s", got.Type, want.Type)
	}
	if !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("has shape %s, want %s", runtime.FormatShape(got.Shape), runtime.FormatShape(want.Shape))
	}
	n, err := want.Elements()
	if err != nil {
		return err
	}
	var first error
	others := 0
	for i := range n {
		if equalElement(got, want, i, tolerance) {
			continue
		}
		if first != nil {
			others++
			continue
		}
		first = fmt.Errorf("at %s (element %d): got %s, want %s", position(i, want.Shape), i, format(got, i), format(want, i))
		if want.Type.IsFloat() {
			first = fmt.Errorf("%w, tolerance %g absolute and %g relative", first, tolerance.Absolute, tolerance.Relative)
		}
	}
	if others > 0 {
		return fmt.Errorf("%w; %d other elements of %d differ too", first, others, n)
	}
	return first
}

func equalElement(got, want *runtime.Tensor, i int64, tolerance Tolerance) bool {
	switch {
	case want.Type == runtime.BYTES:
		return bytes.Equal(got.Strings[i], want.Strings[i])
	case want.Type.IsFloat():
		return tolerance.within(float(got, i), float(want, i))
	case want.Type == runtime.BOOL:
		return (got.Data[i] != 0) == (want.Data[i] != 0)
	default:
		return word(got, i) == word(want, i)
	}
}

func format(t *runtime.Tensor, i int64) string {
	if t.Type == runtime.BYTES {
		return fmt.Sprintf("%q", clip(string(t.Strings[i])))
	}
	return strings.Trim(string(appendNumber(nil, t, i)), `"`)
}

// position writes a flat element number as indices: [0,3].
func position(i int64, shape []int64) string {
	indices := make([]int64, len(shape))
	for d := len(shape) - 1; d >= 0; d-- {
		indices[d] = i % shape[d]
		i /= shape[d]
	}
	return runtime.FormatShape(indices)
}

// CompareSignature says how the signature that an engine reports differs from
// the one that a manifest declares, nil when it does not. Names, order, types
// and input shapes must be equal. An output's size may be fixed on one side
// and dynamic on the other, because engines infer sizes that a graph leaves
// open.
func CompareSignature(got, declared *runtime.Signature) error {
	if err := compareSpecs("input", got.Inputs, declared.Inputs, false); err != nil {
		return err
	}
	return compareSpecs("output", got.Outputs, declared.Outputs, true)
}

func compareSpecs(kind string, got, declared []runtime.TensorSpec, inferred bool) error {
	for i, want := range declared {
		if i >= len(got) {
			return fmt.Errorf("the model has no %s %q", kind, want.Name)
		}
		g := got[i]
		if g.Name != want.Name {
			return fmt.Errorf("%s %d of the model is %q, the manifest says %q", kind, i, g.Name, want.Name)
		}
		if g.Type != want.Type {
			return fmt.Errorf("%s %q of the model is %s, the manifest says %s", kind, g.Name, g.Type, want.Type)
		}
		fits := len(g.Shape) == len(want.Shape)
		for d := 0; fits && d < len(g.Shape); d++ {
			open := inferred && (g.Shape[d] == runtime.Dynamic || want.Shape[d] == runtime.Dynamic)
			fits = open || g.Shape[d] == want.Shape[d]
		}
		if !fits {
			return fmt.Errorf("%s %q of the model has shape %s, the manifest says %s",
				kind, g.Name, runtime.FormatShape(g.Shape), runtime.FormatShape(want.Shape))
		}
	}
	if len(got) > len(declared) {
		return fmt.Errorf("%s %q of the model is not in the manifest", kind, got[len(declared)].Name)
	}
	return nil
}
