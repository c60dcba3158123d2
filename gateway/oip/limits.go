package oip

import "github.com/segue-serving/segue/runtime"

// Allocator gives the memory that a decoder writes input tensors into.
type Allocator interface {
	// Input returns size bytes, aligned to runtime.Alignment, for input i of
	// the signature with this shape; contents undefined; valid until the owner
	// releases it. It is called at most once per input and request, only after
	// shape, type and limits were checked and the request was seen to be long
	// enough to hold the elements, and not at all for BYTES, whose elements
	// the request keeps. The shape is valid only during the call. An error
	// ends the decoding and is returned as it is.
	Input(i int, shape []int64, size int) ([]byte, error)
}

// Limits bound what one request may ask for. The zero value bounds only what
// the body's own length does.
type Limits struct {
	// MaxTensorBytes is the most bytes that one input may take; over it the
	// answer is 413. For BYTES, each element counts its length and 4 bytes.
	MaxTensorBytes int64
	// MaxDimension is the largest size of a dynamic dimension other than the
	// first; 0 is no limit.
	MaxDimension int64
	// MaxBatch is the largest size of a dynamic first dimension; 0 is no limit.
	MaxBatch int64
	// MaxDepth is how deep JSON may nest; 0 counts as DefaultMaxDepth.
	MaxDepth int
}

func (l *Limits) depth() int {
	if l.MaxDepth == 0 {
		return DefaultMaxDepth
	}
	return l.MaxDepth
}

// checkShape checks the shape that a request gives an input against what the
// model declares and against the limits.
func (l *Limits) checkShape(spec *runtime.TensorSpec, shape []int64) error {
	for _, size := range shape {
		if size < 0 {
			return refuse("input %s: shape %s has a negative size", quote(spec.Name), runtime.FormatShape(shape))
		}
	}
	if err := spec.Check(shape); err != nil {
		return refuse("input %s: %s", quote(spec.Name), err)
	}
	for i, size := range shape {
		switch {
		case i >= len(spec.Shape) || spec.Shape[i] != runtime.Dynamic:
		case i == 0 && l.MaxBatch > 0 && size > l.MaxBatch:
			return refuse("input %s: shape %s has %d rows, over the limit of %d", quote(spec.Name), runtime.FormatShape(shape), size, l.MaxBatch)
		case i > 0 && l.MaxDimension > 0 && size > l.MaxDimension:
			return refuse("input %s: shape %s has size %d at dimension %d, over the limit of %d",
				quote(spec.Name), runtime.FormatShape(shape), size, i, l.MaxDimension)
		}
	}
	return nil
}

// size returns how many elements and, for a fixed-size type, how many bytes
// an input of a checked shape has.
func (l *Limits) size(spec *runtime.TensorSpec, shape []int64) (elements, bytes int64, err error) {
	elements, err = runtime.Elements(shape)
	if err == nil && spec.Type != runtime.BYTES {
		bytes, err = runtime.ByteSize(spec.Type, shape)
	}
	if err != nil {
		return 0, 0, refuse("input %s: %s", quote(spec.Name), err)
	}
	if l.MaxTensorBytes > 0 && bytes > l.MaxTensorBytes {
		return 0, 0, tooLarge("input "+quote(spec.Name), bytes, l.MaxTensorBytes)
	}
	return elements, bytes, nil
}

// checkTexts holds the elements of a BYTES input to the limit.
func (l *Limits) checkTexts(spec *runtime.TensorSpec, elements [][]byte) error {
	if l.MaxTensorBytes <= 0 {
		return nil
	}
	if size := bytesSize(elements); size > l.MaxTensorBytes {
		return tooLarge("input "+quote(spec.Name), size, l.MaxTensorBytes)
	}
	return nil
}

// bytesSize is the size of BYTES elements in the binary tensor data extension.
func bytesSize(elements [][]byte) int64 {
	size := int64(4 * len(elements))
	for _, element := range elements {
		size += int64(len(element))
	}
	return size
}
