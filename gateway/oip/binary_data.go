package oip

import (
	"encoding/binary"
	"math"

	"github.com/segue-serving/segue/runtime"
)

// fillBinary takes the input's share of the binary data: inputs stand there in
// the order in which the request names them.
func (in *inputDecoder) fillBinary(datatype []byte) error {
	spec, elements, size, err := in.check(datatype)
	if err != nil {
		return err
	}
	given := in.binaryDataSize
	if spec.Type != runtime.BYTES && given != size {
		return refuse("input %s: binary_data_size %d does not match shape %s of %s, which takes %d bytes",
			quote(spec.Name), given, runtime.FormatShape(in.shape), spec.Type, size)
	}
	if !in.framed {
		return refuse("input %s has binary_data_size, but the request has no Inference-Header-Content-Length", quote(spec.Name))
	}
	if given > int64(len(in.binary)) {
		return refuse("input %s: binary_data_size is %d, but only %d bytes of binary data are left", quote(spec.Name), given, len(in.binary))
	}
	raw := in.binary[:given]
	in.binary = in.binary[given:]
	return in.fillRaw(spec, elements, size, raw)
}

// fillRaw takes an input's elements as they lie in memory; for a fixed-size
// type raw is of that size.
func (in *inputDecoder) fillRaw(spec *runtime.TensorSpec, elements, size int64, raw []byte) error {
	if spec.Type == runtime.BYTES {
		if limit := in.limits.MaxTensorBytes; limit > 0 && int64(len(raw)) > limit {
			return tooLarge("input "+quote(spec.Name), int64(len(raw)), limit)
		}
		return in.r.splitBytes(in.position, elements, raw)
	}
	tensor := &in.r.Inputs[in.position]
	data, err := in.alloc.Input(in.position, tensor.Shape, int(size))
	if err != nil {
		return err
	}
	tensor.Data = data[:size]
	copy(tensor.Data, raw)
	if spec.Type == runtime.BOOL {
		return checkBooleans(spec.Name, tensor.Data)
	}
	return nil
}

// checkBooleans refuses bytes other than 0 and 1, which C++ code does not
// expect in a bool.
func checkBooleans(name string, data []byte) error {
	i := 0
	for ; len(data)-i >= 8; i += 8 {
		if binary.LittleEndian.Uint64(data[i:])&^lowBits != 0 {
			break
		}
	}
	for ; i < len(data); i++ {
		if data[i] > 1 {
			return refuse("input %s: element %d is %d, want 0 or 1 for BOOL", quote(name), i, data[i])
		}
	}
	return nil
}

// splitBytes finds the elements of a BYTES input: each a length of four bytes,
// little-endian, and as many bytes. They stay where they are in the body.
func (r *InferRequest) splitBytes(position int, elements int64, raw []byte) error {
	tensor := &r.Inputs[position]
	name, shape := tensor.Name, tensor.Shape
	if elements > int64(len(raw))/4 {
		return refuse("input %s: %d bytes of binary data are too few for shape %s, whose %d elements take 4 bytes each for their lengths alone",
			quote(name), len(raw), runtime.FormatShape(shape), elements)
	}
	tensor.Strings = r.keepStrings(int(elements))
	at := 0
	for i := range tensor.Strings {
		if len(raw)-at < 4 {
			return refuse("input %s: the binary data ends within the length of element %d", quote(name), i)
		}
		length := int64(binary.LittleEndian.Uint32(raw[at:]))
		at += 4
		if length > int64(len(raw)-at) {
			return refuse("input %s: element %d has a length of %d, but only %d bytes of the input are left", quote(name), i, length, len(raw)-at)
		}
		end := at + int(length)
		tensor.Strings[i] = raw[at:end:end]
		at = end
	}
	if at < len(raw) {
		return refuse("input %s: %d bytes are left over behind its %d elements", quote(name), len(raw)-at, elements)
	}
	return nil
}

// appendBinary appends a tensor's elements as the binary tensor data extension
// lays them out.
func appendBinary(dst []byte, t *runtime.Tensor) []byte {
	if t.Type != runtime.BYTES {
		return append(dst, t.Data...)
	}
	for _, element := range t.Strings {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(element)))
		dst = append(dst, element...)
	}
	return dst
}

// binarySize is what appendBinary appends. ok is false where an element is
// longer than its length can say.
func binarySize(t *runtime.Tensor) (size int64, ok bool) {
	if t.Type != runtime.BYTES {
		return int64(len(t.Data)), true
	}
	for _, element := range t.Strings {
		if int64(len(element)) > math.MaxUint32 {
			return 0, false
		}
	}
	return bytesSize(t.Strings), true
}
