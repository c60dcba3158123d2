package oip

import (
	"slices"

	"github.com/segue-serving/segue/runtime"
)

// PredictRequest is a decoded request of the V1 predict protocol. It is an
// InferRequest for all outputs, none of them binary, and is reused like one.
type PredictRequest struct {
	InferRequest
	// Columnar says that the request held "inputs" and not "instances"; the
	// answer then holds "outputs" and not "predictions".
	Columnar bool

	fillers []filler
	rows    []int // for each input, one more than the last row that held it
	decoder predictDecoder
}

// Reset empties the request as InferRequest.Reset does.
func (r *PredictRequest) Reset() {
	r.InferRequest.Reset()
	clear(r.fillers)
	r.fillers, r.rows, r.Columnar = r.fillers[:0], r.rows[:0], false
}

// predictDecoder is the state of one DecodePredict.
type predictDecoder struct {
	r      *PredictRequest
	sig    *runtime.Signature
	s      scanner
	limits Limits
	alloc  Allocator
}

// DecodePredict decodes the body of a V1 predict request as TensorFlow Serving
// and KServe define it: "instances" is a list of rows, each an object of named
// values or, for a model with one input, the bare value; "inputs" is an object
// of named tensors or, for one input, the bare tensor. Elements of BYTES are
// strings or {"b64": "…"} objects. signature_name and unknown members are
// ignored.
//
// A request does not say its shapes. They are measured before anything is
// allocated, by the lengths of first elements, and held against the
// signature; then the elements are read into place, and a list of another
// length than the first of its kind is refused.
func DecodePredict(r *PredictRequest, sig *runtime.Signature, body []byte, limits Limits, alloc Allocator) error {
	r.Reset()
	r.prepare(sig)
	d := &r.decoder
	*d = predictDecoder{r: r, sig: sig, limits: limits, alloc: alloc}
	defer func() { *d = predictDecoder{} }()
	d.s = scanner{b: body, maxDepth: limits.depth(), text: r.text, run: r.run}
	err := d.request()
	r.text, r.run = d.s.text, d.s.run
	if err != nil {
		return err
	}
	for i := range sig.Outputs {
		switch spec := &sig.Outputs[i]; {
		case spec.Type == runtime.BF16:
			return refuse("output %s: BF16 has no JSON form: %s", quote(spec.Name), askInference)
		case len(spec.Shape) == 0 && !r.Columnar:
			return refuse("output %s is a scalar and cannot be answered row by row: send \"inputs\" instead of \"instances\"", quote(spec.Name))
		}
		r.BinaryOutputs = append(r.BinaryOutputs, false)
	}
	return nil
}

func (d *predictDecoder) request() error {
	var seen members
	const instances, inputs = 1, 2
	err := d.s.object("the request", func(key []byte) error {
		switch string(key) {
		case "instances":
			if err := seen.once(instances, key, d.s.pos); err != nil {
				return err
			}
			if seen&inputs != 0 {
				return refuse("the request has both instances and inputs")
			}
			return d.instances()
		case "inputs":
			if err := seen.once(inputs, key, d.s.pos); err != nil {
				return err
			}
			if seen&instances != 0 {
				return refuse("the request has both instances and inputs")
			}
			d.r.Columnar = true
			return d.columns()
		}
		return d.s.skip()
	})
	if err != nil {
		return err
	}
	if seen == 0 {
		return refuse("the request has neither instances nor inputs")
	}
	return d.s.end()
}

// columns decodes the value of "inputs".
func (d *predictDecoder) columns() error {
	if d.bare() {
		d.r.given[0] = true
		return d.column(0)
	}
	err := d.s.object("inputs of a model with other than one input", func(name []byte) error {
		position, err := d.r.claim(d.sig, name)
		if err != nil {
			return err
		}
		return d.column(position)
	})
	if err != nil {
		return err
	}
	return d.r.complete(d.sig)
}

// bare reports whether what comes next is the value of the model's only input
// itself, and not an object that names it. An object that begins with "b64" is
// an element of BYTES, unless that is the input's name.
func (d *predictDecoder) bare() bool {
	if len(d.sig.Inputs) != 1 {
		return false
	}
	if d.s.peek() != '{' {
		return true
	}
	spec := &d.sig.Inputs[0]
	if spec.Type != runtime.BYTES || spec.Name == "b64" {
		return false
	}
	at := d.s.pos
	d.s.pos++
	d.s.peek()
	isElement := d.s.literal(`"b64"`)
	d.s.pos = at
	return isElement
}

// column decodes one whole tensor.
func (d *predictDecoder) column(position int) error {
	spec := &d.sig.Inputs[position]
	rank := len(spec.Shape)
	if rank == 0 && d.s.peek() == '[' {
		rank = 1 // a scalar in a list of one
	}
	at := d.s.pos
	shape := d.newShape(rank)
	if err := d.measure(spec, shape, 0); err != nil {
		return err
	}
	d.s.pos = at
	f, err := d.filler(position, shape, len(d.s.b)-d.s.pos)
	if err != nil {
		return err
	}
	tensor := &d.r.Inputs[position]
	elements, err := tensor.Elements()
	if err != nil {
		return refuse("%s: %s", f.what(), err)
	}
	if err := f.tensor(tensor.Shape, int(elements), false); err != nil {
		return err
	}
	return d.limits.checkTexts(spec, tensor.Strings)
}

// newShape takes room for a shape that stays in the request.
func (d *predictDecoder) newShape(rank int) []int64 {
	first := len(d.r.shapes)
	d.r.shapes = slices.Grow(d.r.shapes, rank)[:first+rank]
	shape := d.r.shapes[first : first+rank : first+rank]
	clear(shape)
	return shape
}

// measure passes over the value that comes next and sets the sizes of the
// shape from the lengths of the list, of its first element, of that one's
// first, and so on. outer is how many dimensions of the input lie outside of
// the value. Below an empty list, sizes are the declared ones, or 0.
func (d *predictDecoder) measure(spec *runtime.TensorSpec, shape []int64, outer int) error {
	if len(shape) == 0 {
		return d.s.hop()
	}
	if d.s.peek() != '[' {
		if d.s.kind() == noValue {
			return d.s.malformed(d.s.pos, "a list")
		}
		return refuse("input %s: the value at byte %d is %s, want lists that nest to the model's shape %s",
			quote(spec.Name), d.s.pos, d.s.kind(), runtime.FormatShape(spec.Shape))
	}
	err := d.s.list("value", func(i int) error {
		shape[0]++
		if i == 0 {
			return d.measure(spec, shape[1:], outer+1)
		}
		return d.s.hop()
	})
	if shape[0] == 0 {
		for i := 1; i < len(shape); i++ {
			shape[i] = max(0, spec.Shape[outer+i])
		}
	}
	return err
}

// filler checks the shape of an input and gives it memory to fill from a text
// of which left bytes can hold its elements.
func (d *predictDecoder) filler(position int, shape []int64, left int) (filler, error) {
	spec := &d.sig.Inputs[position]
	if err := d.limits.checkShape(spec, shape); err != nil {
		return filler{}, err
	}
	if len(spec.Shape) == 0 {
		shape = shape[:0]
	}
	d.r.Inputs[position].Shape = shape
	elements, size, err := d.limits.size(spec, shape)
	if err != nil {
		return filler{}, err
	}
	f, err := d.r.newFiller(&d.s, left, position, elements, size, d.alloc)
	f.base64 = true
	return f, err
}
