package oip

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/segue-serving/segue/runtime"
)

// Fields of a ModelInferResponse.
const (
	responseModel   = 1
	responseVersion = 2
	responseID      = 3
	responseOutputs = 5
	responseRaw     = 6
)

// raw reports whether the answer's outputs are raw; over gRPC all are or none.
func (resp *InferResponse) raw() bool { return len(resp.Binary) > 0 && resp.Binary[0] }

// InferMessageSize is how many bytes AppendInferMessage appends. An error is an
// *Error.
func InferMessageSize(resp *InferResponse) (int64, error) {
	total := textSize(resp.Model) + textSize(resp.Version) + textSize(resp.ID)
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		total += partSize(outputSize(t, resp.raw()))
		if resp.raw() {
			size, ok := binarySize(t)
			if !ok {
				return 0, tooLong(t)
			}
			total += partSize(int(size))
		}
	}
	return int64(total), nil
}

// AppendInferMessage appends an answer as a ModelInferResponse message: raw
// where resp.Binary says so, which then holds for all outputs, else typed.
// Protobuf holds NaN and infinities, so that NonFinite does not matter.
func AppendInferMessage(dst []byte, resp *InferResponse) []byte {
	dst = appendField(dst, responseModel, resp.Model)
	dst = appendField(dst, responseVersion, resp.Version)
	dst = appendField(dst, responseID, resp.ID)
	raw := resp.raw()
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		dst = appendLength(dst, responseOutputs, outputSize(t, raw))
		dst = appendField(dst, tensorName, t.Name)
		dst = appendField(dst, tensorType, t.Type.String())
		if len(t.Shape) > 0 {
			dst = appendLength(dst, tensorShape, shapeSize(t.Shape))
			for _, size := range t.Shape {
				dst = protowire.AppendVarint(dst, uint64(size))
			}
		}
		if !raw {
			dst = appendLength(dst, tensorContents, contentsSize(t))
			dst = appendContents(dst, t)
		}
	}
	if !raw {
		return dst
	}
	for i := range resp.Outputs {
		size, _ := binarySize(&resp.Outputs[i])
		dst = appendLength(dst, responseRaw, int(size))
		dst = appendBinary(dst, &resp.Outputs[i])
	}
	return dst
}

// All numbers of fields here are below 16, so that a tag is one byte.

func appendLength(dst []byte, number protowire.Number, length int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.BytesType), uint64(length))
}

func appendField(dst []byte, number protowire.Number, text string) []byte {
	if text == "" {
		return dst
	}
	return append(appendLength(dst, number, len(text)), text...)
}

func partSize(length int) int { return 1 + protowire.SizeBytes(length) }

func textSize(text string) int {
	if text == "" {
		return 0
	}
	return partSize(len(text))
}

func shapeSize(shape []int64) (n int) {
	for _, size := range shape {
		n += protowire.SizeVarint(uint64(size))
	}
	return n
}

func outputSize(t *runtime.Tensor, raw bool) int {
	n := textSize(t.Name) + textSize(t.Type.String())
	if len(t.Shape) > 0 {
		n += partSize(shapeSize(t.Shape))
	}
	if !raw {
		n += partSize(contentsSize(t))
	}
	return n
}

// contentsSize is the size of a tensor's typed contents.
func contentsSize(t *runtime.Tensor) int {
	if t.Type == runtime.BYTES {
		n := 0
		for _, element := range t.Strings {
			n += partSize(len(element))
		}
		return n
	}
	if len(t.Data) == 0 {
		return 0
	}
	return partSize(packedSize(t))
}

func packedSize(t *runtime.Tensor) int {
	switch t.Type {
	case runtime.BOOL, runtime.FP32, runtime.FP64:
		return len(t.Data)
	}
	n := 0
	for i := range len(t.Data) / t.Type.Size() {
		n += protowire.SizeVarint(varintOf(t, i))
	}
	return n
}

func appendContents(dst []byte, t *runtime.Tensor) []byte {
	field := contentsField(t.Type)
	if t.Type == runtime.BYTES {
		for _, element := range t.Strings {
			dst = append(appendLength(dst, field, len(element)), element...)
		}
		return dst
	}
	if len(t.Data) == 0 {
		return dst
	}
	dst = appendLength(dst, field, packedSize(t))
	switch t.Type {
	case runtime.BOOL, runtime.FP32, runtime.FP64:
		return append(dst, t.Data...)
	}
	for i := range len(t.Data) / t.Type.Size() {
		dst = protowire.AppendVarint(dst, varintOf(t, i))
	}
	return dst
}

// varintOf is an integer element as the format has it: a negative one with its
// sign carried to 64 bits.
func varintOf(t *runtime.Tensor, i int) uint64 {
	switch t.Type {
	case runtime.INT8:
		return uint64(int64(int8(t.Data[i])))
	case runtime.INT16:
		return uint64(int64(int16(binary.LittleEndian.Uint16(t.Data[2*i:]))))
	case runtime.INT32:
		return uint64(int64(int32(binary.LittleEndian.Uint32(t.Data[4*i:]))))
	case runtime.UINT8:
		return uint64(t.Data[i])
	case runtime.UINT16:
		return uint64(binary.LittleEndian.Uint16(t.Data[2*i:]))
	case runtime.UINT32:
		return uint64(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return binary.LittleEndian.Uint64(t.Data[8*i:])
}
