package runtime

import (
	"fmt"
	"slices"
)

// TensorSpec is what a model declares of one input or output: Shape has
// Dynamic where the model takes any size. A scalar's shape is empty.
type TensorSpec struct {
	Name  string   `json:"name"`
	Type  DataType `json:"datatype"`
	Shape []int64  `json:"shape"`
}

// Signature is what a model takes and gives, in the model's own order. It is
// immutable once made.
type Signature struct {
	Inputs  []TensorSpec `json:"inputs"`
	Outputs []TensorSpec `json:"outputs"`
}

// Input returns the position of the named input, -1 when there is none.
func (s *Signature) Input(name string) int { return position(s.Inputs, name) }

// Output returns the position of the named output, -1 when there is none.
func (s *Signature) Output(name string) int { return position(s.Outputs, name) }

func position(specs []TensorSpec, name string) int {
	return slices.IndexFunc(specs, func(t TensorSpec) bool { return t.Name == name })
}

// Batches reports whether every input and output has a dynamic first
// dimension, so that rows of several requests can share a run.
func (s *Signature) Batches() bool {
	dynamicFirst := func(t TensorSpec) bool { return len(t.Shape) > 0 && t.Shape[0] == Dynamic }
	all := len(s.Inputs) > 0 && len(s.Outputs) > 0
	for _, t := range s.Inputs {
		all = all && dynamicFirst(t)
	}
	for _, t := range s.Outputs {
		all = all && dynamicFirst(t)
	}
	return all
}

// Check says how a given shape breaks the declared one, nil when it fits: the
// ranks must be equal and each size equal where it is not Dynamic. A scalar
// also takes the shape [1].
func (t *TensorSpec) Check(shape []int64) error {
	if len(t.Shape) == 0 && len(shape) == 1 && shape[0] == 1 {
		return nil
	}
	fits := len(shape) == len(t.Shape)
	for i := 0; fits && i < len(shape); i++ {
		fits = shape[i] >= 0 && (t.Shape[i] == Dynamic || t.Shape[i] == shape[i])
	}
	if fits {
		return nil
	}
	return fmt.Errorf("shape %s does not match the model's %s", FormatShape(shape), FormatShape(t.Shape))
}

// Equal reports whether two signatures declare the same names, types and
// shapes in the same order.
func (s *Signature) Equal(other *Signature) bool {
	return slices.EqualFunc(s.Inputs, other.Inputs, equalSpec) && slices.EqualFunc(s.Outputs, other.Outputs, equalSpec)
}

func equalSpec(a, b TensorSpec) bool {
	return a.Name == b.Name && a.Type == b.Type && slices.Equal(a.Shape, b.Shape)
}
