package oip

import (
	"slices"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// InferRequest is a decoded inference request. The zero value is ready;
// decoding into the same one again reuses its memory. What it holds is valid
// until the next decoding or Reset, as long as the body is left unchanged and
// the Allocator's memory is not released.
type InferRequest struct {
	// ID is the client's name for the request, empty without one. It is the
	// one thing that costs an allocation, where it differs from the last.
	ID string
	// Inputs holds one tensor for each input of the signature, in its order.
	Inputs []runtime.Tensor
	// Outputs holds the positions of the outputs that were asked for, in the
	// order asked; nil stands for all.
	Outputs []int
	// BinaryOutputs says of each output in Outputs, or of every output of the
	// signature, whether the answer carries it as binary data.
	BinaryOutputs []bool
	// Timeout is how long the client would wait, 0 where it does not say.
	Timeout time.Duration

	lastID  string
	given   []bool // inputs that the request has named
	outputs []int
	choices []choice // what each asked output says of binary data
	shapes  []int64  // the shapes of all inputs, one after another
	strings [][]byte // the elements of all BYTES inputs
	text    []byte   // strings that had escapes
	run     *numberRun
	decoder inferDecoder
}

// choice is a boolean that may be left open.
type choice int8

const (
	open choice = iota
	no
	yes
)

// What a request keeps for the next one, so that one of unusual size is not
// held for ever: 1.5 MiB of elements and 1 MiB of text.
const (
	mostStringsKept = 1 << 16
	mostTextKept    = 1 << 20
)

// Reset empties the request and lets go of the memory that it refers to, but
// keeps its own to be used again.
func (r *InferRequest) Reset() {
	clear(r.Inputs)
	clear(r.strings)
	if cap(r.strings) > mostStringsKept {
		r.strings = nil
	}
	if cap(r.text) > mostTextKept {
		r.text = nil
	}
	*r = InferRequest{
		lastID:        r.lastID,
		Inputs:        r.Inputs[:0],
		BinaryOutputs: r.BinaryOutputs[:0],
		given:         r.given[:0],
		outputs:       r.outputs[:0],
		choices:       r.choices[:0],
		shapes:        r.shapes[:0],
		strings:       r.strings[:0],
		text:          r.text[:0],
		run:           r.run,
	}
}

// prepare makes room for a signature's inputs.
func (r *InferRequest) prepare(sig *runtime.Signature) {
	r.Reset()
	n := len(sig.Inputs)
	r.Inputs = slices.Grow(r.Inputs, n)[:n]
	r.given = slices.Grow(r.given, n)[:n]
	clear(r.given)
	for i := range sig.Inputs {
		r.Inputs[i] = runtime.Tensor{Name: sig.Inputs[i].Name, Type: sig.Inputs[i].Type}
	}
}

// keepStrings makes room for n elements of BYTES that the request keeps.
func (r *InferRequest) keepStrings(n int) [][]byte {
	first := len(r.strings)
	r.strings = slices.Grow(r.strings, n)[:first+n]
	kept := r.strings[first : first+n : first+n]
	clear(kept)
	return kept
}

// complete checks that every input was given.
func (r *InferRequest) complete(sig *runtime.Signature) error {
	for i, given := range r.given {
		if !given {
			return refuse("input %s is missing", quote(sig.Inputs[i].Name))
		}
	}
	return nil
}

// claim finds a named input and marks it as given.
func (r *InferRequest) claim(sig *runtime.Signature, name []byte) (position int, err error) {
	for i := range sig.Inputs {
		if sig.Inputs[i].Name != string(name) {
			continue
		}
		if r.given[i] {
			return 0, refuse("input %s is given twice", quote(name))
		}
		r.given[i] = true
		return i, nil
	}
	return 0, refuse("unknown input %s: the model takes %s", quote(name), listNames(sig.Inputs))
}

// listNames names tensors for a message, the first few where there are many.
func listNames(specs []runtime.TensorSpec) string {
	const most = 8
	if len(specs) == 0 {
		return "none"
	}
	var list []byte
	for i := range specs {
		if i > 0 {
			list = append(list, ", "...)
		}
		if i == most {
			return string(append(list, "…"...))
		}
		list = append(list, quote(specs[i].Name)...)
	}
	return string(list)
}

// newFiller gives input position memory for its elements and returns what
// fills it with the JSON that comes next. The tensor's shape must be set.
//
// left is how many bytes of text there are for the elements. Before anything
// is allocated they are seen to be enough: each element takes at least one
// byte, two in quotes, and all but one a comma.
func (r *InferRequest) newFiller(s *scanner, left, position int, elements, size int64, alloc Allocator) (filler, error) {
	tensor := &r.Inputs[position]
	f := filler{s: s, input: tensor.Name, kind: tensor.Type}
	if len(tensor.Shape) > 0 && s.peek() != '[' {
		return f, s.want(f.what()+": data", "a list")
	}
	if elements > int64(left+1)/leastText(tensor.Type) {
		return f, refuse("%s: shape %s has %d elements, more than the remaining %d bytes of JSON can hold",
			f.what(), runtime.FormatShape(tensor.Shape), elements, left)
	}
	if tensor.Type == runtime.BYTES {
		f.strings = r.keepStrings(int(elements))
		tensor.Strings = f.strings
		return f, nil
	}
	data, err := alloc.Input(position, tensor.Shape, int(size))
	if err != nil {
		return f, err
	}
	f.data = data[:size]
	tensor.Data = f.data
	return f, nil
}

// leastText is how many bytes of JSON an element and what parts it from the
// next take at least.
func leastText(kind runtime.DataType) int64 {
	if kind == runtime.BYTES {
		return 3
	}
	return 2
}
