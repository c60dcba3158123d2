package oip

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/segue-serving/segue/runtime"
)

// inputMessage decodes member i of inputs, raw where the request is.
func (d *inferDecoder) inputMessage(i int, message, raw []byte, isRaw bool) error {
	in := inputDecoder{inferDecoder: d}
	var name, datatype, contents []byte
	first := len(d.r.shapes)
	f := fieldReader{rest: message}
	for f.next() {
		var err error
		switch {
		case f.text(tensorName):
			name = f.value
		case f.text(tensorType):
			datatype = f.value
		case f.number == tensorShape:
			err = in.readSizes(&f, first)
		case f.text(tensorParameters):
			err = in.readEntry(f.value)
		case f.text(tensorContents) && contents != nil:
			err = refuse("inputs[%d] has contents twice", i)
		case f.text(tensorContents):
			contents = f.value
		}
		if err != nil {
			return err
		}
	}
	if err := f.err("inputs"); err != nil {
		return err
	}
	if len(name) == 0 {
		return refuse("inputs[%d] has no name", i)
	}
	var err error
	if in.position, err = d.r.claim(d.sig, name); err != nil {
		return err
	}
	in.shape = d.r.shapes[first:len(d.r.shapes):len(d.r.shapes)]
	spec, elements, size, err := in.check(datatype)
	if err != nil {
		return err
	}
	if !isRaw {
		return in.fillContents(spec, elements, size, contents)
	}
	if contents != nil {
		return refuse("input %s has contents beside raw_input_contents", quote(spec.Name))
	}
	if spec.Type != runtime.BYTES && int64(len(raw)) != size {
		return refuse("input %s: raw_input_contents[%d] has %d bytes, but shape %s of %s takes %d",
			quote(spec.Name), i, len(raw), runtime.FormatShape(in.shape), spec.Type, size)
	}
	return in.fillRaw(spec, elements, size, raw)
}

// readSizes reads sizes of a shape, one or packed.
func (in *inputDecoder) readSizes(f *fieldReader, first int) error {
	packed := f.value
	for single := f.kind == protowire.VarintType; single || len(packed) > 0; single = false {
		size := f.scalar
		if !single {
			n := 0
			if size, n = protowire.ConsumeVarint(packed); n < 0 {
				return refuse("malformed message: a shape is cut off or damaged")
			}
			packed = packed[n:]
		}
		if len(in.r.shapes)-first == maxRank {
			return refuse("a shape has more than %d dimensions", maxRank)
		}
		in.r.shapes = append(in.r.shapes, int64(size))
	}
	return nil
}

// contentsFields are the fields of typed contents, by type; it is constant.
// FP16 and BF16 have none.
var contentsFields = [...]protowire.Number{runtime.BOOL: 1, runtime.INT8: 2, runtime.INT16: 2, runtime.INT32: 2, runtime.INT64: 3,
	runtime.UINT8: 4, runtime.UINT16: 4, runtime.UINT32: 4, runtime.UINT64: 5, runtime.FP32: 6, runtime.FP64: 7, runtime.BYTES: 8}

var contentsNames = [...]string{1: "bool_contents", 2: "int_contents", 3: "int64_contents", 4: "uint_contents",
	5: "uint64_contents", 6: "fp32_contents", 7: "fp64_contents", 8: "bytes_contents"}

func contentsField(kind runtime.DataType) protowire.Number { return contentsFields[kind] }

// fillContents decodes typed contents. They are counted first, so that nothing
// is allocated for elements that are not there.
func (in *inputDecoder) fillContents(spec *runtime.TensorSpec, elements, size int64, contents []byte) error {
	want := contentsField(spec.Type)
	if want == 0 {
		return refuse("input %s: %s has no typed contents: send it in raw_input_contents", quote(spec.Name), spec.Type)
	}
	given := int64(0)
	f := fieldReader{rest: contents}
	for f.next() {
		if f.number != want {
			if int(f.number) < len(contentsNames) {
				return refuse("input %s: %s goes into %s, not %s", quote(spec.Name), spec.Type, contentsNames[want], contentsNames[f.number])
			}
			continue
		}
		n, ok := countElements(&f, spec.Type)
		if !ok {
			return refuse("malformed message: %s of input %s is cut off or damaged", contentsNames[want], quote(spec.Name))
		}
		given += n
	}
	if err := f.err("contents"); err != nil {
		return err
	}
	if given != elements {
		return refuse("input %s: %d elements in %s, but shape %s has %d", quote(spec.Name), given, contentsNames[want],
			runtime.FormatShape(in.shape), elements)
	}
	tensor := &in.r.Inputs[in.position]
	if spec.Type == runtime.BYTES {
		tensor.Strings = in.r.keepStrings(int(elements))
	} else {
		data, err := in.alloc.Input(in.position, tensor.Shape, int(size))
		if err != nil {
			return err
		}
		tensor.Data = data[:size]
	}
	at := 0
	for f := (fieldReader{rest: contents}); f.next(); {
		if f.number != want {
			continue
		}
		n, err := fillElements(tensor, at, &f)
		if err != nil {
			return err
		}
		at += n
	}
	return in.limits.checkTexts(spec, tensor.Strings)
}

// countElements is how many elements a field holds; ok is false where it is of
// the wrong form.
func countElements(f *fieldReader, kind runtime.DataType) (n int64, ok bool) {
	if f.kind != protowire.BytesType {
		single := protowire.VarintType
		switch kind {
		case runtime.FP32:
			single = protowire.Fixed32Type
		case runtime.FP64:
			single = protowire.Fixed64Type
		}
		return 1, f.kind == single && kind != runtime.BYTES
	}
	switch kind {
	case runtime.BYTES:
		return 1, true
	case runtime.FP32, runtime.FP64:
		return int64(len(f.value) / kind.Size()), len(f.value)%kind.Size() == 0
	}
	for rest := f.value; len(rest) > 0; n++ {
		_, length := protowire.ConsumeVarint(rest)
		if length < 0 {
			return 0, false
		}
		rest = rest[length:]
	}
	return n, true
}

// fillElements writes the elements of a counted field, the first of them
// element at of the tensor, and returns how many they are.
func fillElements(t *runtime.Tensor, at int, f *fieldReader) (int, error) {
	switch {
	case t.Type == runtime.BYTES:
		t.Strings[at] = f.value[:len(f.value):len(f.value)]
		return 1, nil
	case f.kind != protowire.BytesType:
		return 1, putElement(t, at, f.scalar)
	case t.Type == runtime.FP32 || t.Type == runtime.FP64:
		size := t.Type.Size()
		return copy(t.Data[size*at:], f.value) / size, nil
	}
	n := 0
	for rest := f.value; len(rest) > 0; n++ {
		value, length := protowire.ConsumeVarint(rest)
		if err := putElement(t, at+n, value); err != nil {
			return n, err
		}
		rest = rest[length:]
	}
	return n, nil
}

// putElement writes one element, from a varint or the bits of a float.
func putElement(t *runtime.Tensor, i int, value uint64) error {
	// The fields have 32 bits where the type has fewer.
	signed, unsigned := int64(int32(value)), uint64(uint32(value))
	switch t.Type {
	case runtime.BOOL:
		t.Data[i] = 0
		if value != 0 {
			t.Data[i] = 1
		}
	case runtime.INT8:
		if signed != int64(int8(signed)) {
			return outOfRange(t, i, signed)
		}
		t.Data[i] = byte(signed)
	case runtime.INT16:
		if signed != int64(int16(signed)) {
			return outOfRange(t, i, signed)
		}
		binary.LittleEndian.PutUint16(t.Data[2*i:], uint16(signed))
	case runtime.UINT8:
		if unsigned > math.MaxUint8 {
			return outOfRange(t, i, int64(unsigned))
		}
		t.Data[i] = byte(unsigned)
	case runtime.UINT16:
		if unsigned > math.MaxUint16 {
			return outOfRange(t, i, int64(unsigned))
		}
		binary.LittleEndian.PutUint16(t.Data[2*i:], uint16(unsigned))
	case runtime.INT32, runtime.UINT32, runtime.FP32:
		binary.LittleEndian.PutUint32(t.Data[4*i:], uint32(value))
	default:
		binary.LittleEndian.PutUint64(t.Data[8*i:], value)
	}
	return nil
}

func outOfRange(t *runtime.Tensor, i int, value int64) error {
	return refuse("input %s: element %d is %d, out of the range of %s", quote(t.Name), i, value, t.Type)
}
