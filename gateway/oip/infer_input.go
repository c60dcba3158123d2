package oip

import (
	"math"

	"github.com/segue-serving/segue/runtime"
)

// maxRank bounds how many sizes of a shape are read.
const maxRank = 64

// inputDecoder is the state of one member of inputs. Its members may come in
// any order; data is decoded where it stands once name, datatype and shape
// are known, and passed over to be decoded at the end where it comes first.
type inputDecoder struct {
	*inferDecoder
	parameters
	seen     members
	position int // in the signature; -1 before the name
	shape    []int64
	dataAt   int // where data that was passed over begins; -1 without
	done     bool
}

// The members of an input.
const (
	inputName members = 1 << iota
	inputType
	inputShape
	inputData
	inputParameters
)

// input decodes member i of inputs.
func (d *inferDecoder) input(i int) error {
	in := inputDecoder{inferDecoder: d, position: -1, dataAt: -1}
	// The datatype is kept in place, in the text that is scanned, until the
	// name says what it must be.
	var datatype []byte
	err := d.s.object("an input", func(key []byte) error {
		switch string(key) {
		case "name":
			if err := in.seen.once(inputName, key, d.s.pos); err != nil {
				return err
			}
			if d.s.peek() != '"' {
				return d.s.want("an input's name", "a string")
			}
			name, err := d.s.str()
			if err != nil {
				return err
			}
			in.position, err = d.r.claim(d.sig, name)
			return err
		case "datatype":
			if err := in.seen.once(inputType, key, d.s.pos); err != nil {
				return err
			}
			if d.s.peek() != '"' {
				return d.s.want("an input's datatype", "a string")
			}
			var err error
			datatype, err = d.s.str()
			return err
		case "shape":
			if err := in.seen.once(inputShape, key, d.s.pos); err != nil {
				return err
			}
			return in.readShape()
		case "parameters":
			if err := in.seen.once(inputParameters, key, d.s.pos); err != nil {
				return err
			}
			return in.parameters.decode(&d.s)
		case "data":
			if err := in.seen.once(inputData, key, d.s.pos); err != nil {
				return err
			}
			const known = inputName | inputType | inputShape
			if in.seen&known == known {
				return in.fill(datatype)
			}
			d.s.peek()
			in.dataAt = d.s.pos
			return d.s.skip()
		}
		return d.s.skip()
	})
	if err != nil {
		return err
	}
	return in.finish(i, datatype)
}

func (in *inputDecoder) readShape() error {
	s := &in.s
	first := len(in.r.shapes)
	err := s.list("an input's shape", func(i int) error {
		c := s.peek()
		value, end, ok := scanInteger(s.b, s.pos, math.MinInt64, math.MaxInt64)
		switch {
		case !ok && (c == '-' || c >= '0' && c <= '9'):
			return refuse("a size in a shape must be a 64-bit integer, at byte %d", s.pos)
		case !ok:
			return s.want("a size in a shape", "an integer")
		case i == maxRank:
			return refuse("a shape has more than %d dimensions at byte %d", maxRank, s.pos)
		}
		in.r.shapes = append(in.r.shapes, int64(value))
		s.pos = end
		return nil
	})
	in.shape = in.r.shapes[first:len(in.r.shapes):len(in.r.shapes)]
	return err
}

// finish decodes what was not decoded where it stood: data before its shape,
// and binary data, and checks that nothing is missing.
func (in *inputDecoder) finish(i int, datatype []byte) error {
	if in.seen&inputName == 0 {
		return refuse("inputs[%d] has no name", i)
	}
	name := quote[string]
	spec := &in.sig.Inputs[in.position]
	switch {
	case in.seen&inputType == 0:
		return refuse("input %s has no datatype", name(spec.Name))
	case in.seen&inputShape == 0:
		return refuse("input %s has no shape", name(spec.Name))
	case in.hasSize && in.seen&inputData != 0:
		return refuse("input %s has both data and binary_data_size", name(spec.Name))
	case in.hasSize:
		return in.fillBinary(datatype)
	case in.seen&inputData == 0:
		return refuse("input %s has neither data nor binary_data_size", name(spec.Name))
	case in.done:
		return nil
	}
	behind := in.s.pos
	in.s.pos = in.dataAt
	if err := in.fill(datatype); err != nil {
		return err
	}
	in.s.pos = behind
	return nil
}

// check holds datatype and shape against the model and returns the number of
// elements and bytes.
func (in *inputDecoder) check(datatype []byte) (spec *runtime.TensorSpec, elements, size int64, err error) {
	spec = &in.sig.Inputs[in.position]
	if string(datatype) != spec.Type.String() {
		if _, known := runtime.ParseDataType(string(datatype)); !known {
			return nil, 0, 0, refuse("input %s: unknown datatype %s, the model takes %s", quote(spec.Name), quote(datatype), spec.Type)
		}
		return nil, 0, 0, refuse("input %s: datatype %s does not match the model's %s", quote(spec.Name), datatype, spec.Type)
	}
	if err := in.limits.checkShape(spec, in.shape); err != nil {
		return nil, 0, 0, err
	}
	if len(spec.Shape) == 0 {
		in.shape = in.shape[:0]
	}
	elements, size, err = in.limits.size(spec, in.shape)
	in.r.Inputs[in.position].Shape = in.shape
	return spec, elements, size, err
}

// fill decodes the data that comes next.
func (in *inputDecoder) fill(datatype []byte) error {
	spec, elements, size, err := in.check(datatype)
	if err != nil {
		return err
	}
	f, err := in.r.newFiller(&in.s, len(in.s.b)-in.s.pos, in.position, elements, size, in.alloc)
	if err != nil {
		return err
	}
	if err := f.tensor(in.shape, int(elements), true); err != nil {
		return err
	}
	in.done = true
	return in.limits.checkTexts(spec, f.strings)
}
