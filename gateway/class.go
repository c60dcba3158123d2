package gateway

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/runtime"
)

// class is what a model predicted, in two bytes: 0 for nothing that is a class,
// else a position or a whole number plus one. What does not fit, texts among
// it, is hashed, so that two classes are taken for one in about one of 65,000
// pairs.
type class uint16

const maxPlainClass = math.MaxUint16 - 1

func classOfNumber(n int64) class {
	if n >= 0 && n < maxPlainClass {
		return class(n + 1)
	}
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	return classOfText(b[:])
}

func classOfText(text []byte) class { return class(xxhash.Sum64(text)%math.MaxUint16) + 1 }

// classOutput says which output of a version holds its class, and what classes
// there are.
type classOutput struct {
	// output is the position among the signature's outputs, -1 where none
	// holds a class.
	output int
	// labels are the classes' names by position, nil where they have none;
	// count is how many there are, 0 where that is not known.
	labels []string
	count  int64
	// texts reports that the output itself holds names.
	texts bool
}

// newClassOutput finds the output with the class: the one of this name, or the
// first.
func newClassOutput(sig *runtime.Signature, name string, labels map[string][]string) classOutput {
	none := classOutput{output: -1}
	at := slices.IndexFunc(sig.Outputs, func(o runtime.TensorSpec) bool { return name == "" || o.Name == name })
	if at < 0 {
		return none
	}
	spec := &sig.Outputs[at]
	c := classOutput{output: at, labels: labels[spec.Name], texts: spec.Type == runtime.BYTES}
	if spec.Type.IsFloat() {
		if len(spec.Shape) == 0 || spec.Shape[len(spec.Shape)-1] == 1 {
			return none // a single number is a score
		}
		c.count = max(0, spec.Shape[len(spec.Shape)-1])
	}
	if len(c.labels) > 0 {
		c.count = int64(len(c.labels))
	}
	return c
}

// name makes these the classes' names, by position where classes are positions;
// then there are no others. Without any it changes nothing.
func (c *classOutput) name(labels []string) {
	if c.output < 0 || len(labels) == 0 {
		return
	}
	c.labels = labels
	if !c.texts {
		c.count = int64(len(labels))
	}
}

// of is the class that the outputs say, that of the first row where there are
// several: the position of the largest value of the last dimension, or the
// value itself where it is a whole number or a text.
func (c *classOutput) of(outputs []runtime.Tensor, sig *runtime.Signature) class {
	if c.output < 0 {
		return 0
	}
	name := sig.Outputs[c.output].Name
	for i := range outputs {
		if t := &outputs[i]; t.Name == name {
			return classOfTensor(t)
		}
	}
	return 0 // not asked for
}

func classOfTensor(t *runtime.Tensor) class {
	switch {
	case t.Type == runtime.BYTES:
		if len(t.Strings) == 0 {
			return 0
		}
		return classOfText(t.Strings[0])
	case !t.Type.IsFloat():
		size := t.Type.Size()
		if len(t.Data) < size {
			return 0
		}
		return classOfNumber(integer(t.Type, t.Data[:size]))
	case len(t.Shape) == 0:
		return 0
	}
	last := int(t.Shape[len(t.Shape)-1])
	if last < 2 || last > maxPlainClass || len(t.Data) < last*t.Type.Size() {
		return 0
	}
	return class(largest(t.Type, t.Data[:last*t.Type.Size()]) + 1)
}

// largest is the position of the largest of some floating-point numbers, the
// first of equal ones. Their bits order as they do once the sign is seen to;
// what is not a number comes out largest or smallest, and who has such outputs
// counts them as not finite.
func largest(t runtime.DataType, data []byte) int {
	best, at := int64(math.MinInt64), 0
	switch t {
	case runtime.FP16, runtime.BF16:
		for i := range len(data) / 2 {
			if k := orderOf(int64(int16(binary.LittleEndian.Uint16(data[2*i:]))), math.MaxInt16); k > best {
				best, at = k, i
			}
		}
	case runtime.FP32:
		for i := range len(data) / 4 {
			if k := orderOf(int64(int32(binary.LittleEndian.Uint32(data[4*i:]))), math.MaxInt32); k > best {
				best, at = k, i
			}
		}
	case runtime.FP64:
		for i := range len(data) / 8 {
			if k := orderOf(int64(binary.LittleEndian.Uint64(data[8*i:])), math.MaxInt64); k > best {
				best, at = k, i
			}
		}
	}
	return at
}

// orderOf maps the bits of a float, sign extended, to a number that orders as
// the float does; both zeros map to 0.
func orderOf(bits, magnitude int64) int64 {
	if bits < 0 {
		return -(bits & magnitude)
	}
	return bits
}

// integer reads one whole number, BOOL among them.
func integer(t runtime.DataType, b []byte) int64 {
	switch t {
	case runtime.INT8:
		return int64(int8(b[0]))
	case runtime.INT16:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case runtime.UINT16:
		return int64(binary.LittleEndian.Uint16(b))
	case runtime.INT32:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case runtime.UINT32:
		return int64(binary.LittleEndian.Uint32(b))
	case runtime.INT64, runtime.UINT64:
		return int64(binary.LittleEndian.Uint64(b))
	}
	return int64(b[0])
}

// note is what the id of a prediction carries about it. A class is noted of a
// single row only: a label is about one thing.
func (c *call) note(v *versionRoute, request *oip.InferRequest, outputs []runtime.Tensor) idNote {
	if c.probe != nil || len(c.model.shadows) > 0 {
		c.copies(v, request.Inputs, outputs)
	}
	sig := v.runner.Signature()
	c.class = v.class.of(outputs, sig)
	var n idNote
	own := rows(request.Inputs, sig)
	if v.watched != nil && v.watched.Wants() {
		c.sample(v, request.Inputs, outputs, own)
	}
	if own == 1 {
		n.class = c.class
	}
	if int64(c.run.BatchRows) == own {
		c.alone = c.run.Ran
	}
	if !c.instead {
		c.assigned.note(&n)
	}
	return n
}
