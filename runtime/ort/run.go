package ort

// #cgo noescape segue_run
// #cgo nocallback segue_run
// #include "api.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"unsafe"

	"github.com/segue-serving/segue/runtime"
)

// Run computes the outputs asked for. Inputs may also lie in Go's heap, and at
// any address: what is not aligned to runtime.Alignment is copied first, since
// ONNX Runtime gives other last bits on it. The outputs are ONNX Runtime's own
// memory until the Result is released, and may be read after Close.
func (s *session) Run(ctx context.Context, inputs []runtime.Tensor, outputs []int) (runtime.Result, error) {
	return s.run(ctx, inputs, outputs, false)
}

// RunAside is Run on a thread of C that stands back behind all others.
func (s *session) RunAside(ctx context.Context, inputs []runtime.Tensor, outputs []int) (runtime.Result, error) {
	return s.run(ctx, inputs, outputs, true)
}

func (s *session) run(ctx context.Context, inputs []runtime.Tensor, outputs []int, aside bool) (runtime.Result, error) {
	f, err := s.prepare(ctx, inputs, outputs)
	if err != nil {
		return runtime.Result{}, err
	}
	err = s.stoppable(ctx, func(options unsafe.Pointer) error {
		if !aside || !s.engine.hands.run(s.pointer, f.c, options) {
			C.segue_run(s.engine.api, s.pointer, f.c, options)
		}
		goruntime.KeepAlive(inputs)
		return s.runError(&f.c.err, inputs)
	})
	return s.finish(f, inputs, err)
}

// prepare returns a frame that is ready to be run.
func (s *session) prepare(ctx context.Context, inputs []runtime.Tensor, outputs []int) (*frame, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.closed.Load() {
		return nil, errors.New("run: the session is closed")
	}
	f := s.take()
	err := f.ask(outputs)
	if err == nil {
		err = f.fill(inputs)
	}
	if err != nil {
		f.forgetInputs()
		s.put(f)
		return nil, err
	}
	return f, nil
}

// finish makes a result of a frame that was run, and ended with err.
func (s *session) finish(f *frame, inputs []runtime.Tensor, err error) (runtime.Result, error) {
	f.forgetInputs()
	if err != nil {
		s.put(f)
		return runtime.Result{}, err
	}
	if err := f.collect(inputs); err != nil {
		f.release()
		return runtime.Result{}, err
	}
	return runtime.NewResult(f.tensors, f.release), nil
}

// ask notes which outputs are wanted.
func (f *frame) ask(outputs []int) error {
	names := f.session.outNames
	f.asked = f.asked[:0]
	if outputs == nil {
		for i := range names {
			f.asked = append(f.asked, i)
		}
	} else {
		f.asked = append(f.asked, outputs...)
	}
	if len(f.asked) == 0 || len(f.asked) > len(names) {
		return fmt.Errorf("%d outputs asked of a model that has %d", len(f.asked), len(names))
	}
	clear(f.seen)
	for i, o := range f.asked {
		if o < 0 || o >= len(names) || f.seen[o] {
			return fmt.Errorf("output %d asked for twice or of a model that has %d", o, len(names))
		}
		f.seen[o] = true
		f.outNames[i] = names[o]
	}
	f.c.asked = C.size_t(len(f.asked))
	return nil
}

// fill checks the inputs, since C would read past a buffer that is too short,
// and points the frame at them.
func (f *frame) fill(inputs []runtime.Tensor) error {
	specs := f.session.signature.Inputs
	if len(inputs) != len(specs) {
		return fmt.Errorf("%w: %d inputs given to a model that has %d", runtime.ErrInvalidArgument, len(inputs), len(specs))
	}
	for i := range inputs {
		if err := f.fillOne(&f.in[i], &inputs[i], &specs[i]); err != nil {
			return fmt.Errorf("%w: input %q: %w", runtime.ErrInvalidArgument, specs[i].Name, err)
		}
	}
	return nil
}

func (f *frame) fillOne(v *C.segue_value, in *runtime.Tensor, spec *runtime.TensorSpec) error {
	if in.Type != spec.Type {
		return fmt.Errorf("datatype %s does not match the model's %s", in.Type, spec.Type)
	}
	if err := spec.Check(in.Shape); err != nil {
		return err
	}
	// The rank is the declared one, so that a scalar given as [1] is a scalar.
	copy(unsafe.Slice((*int64)(v.shape), v.rank), in.Shape)
	if spec.Type == runtime.BYTES {
		return f.fillStrings(v, in)
	}
	size, err := runtime.ByteSize(in.Type, in.Shape)
	if err != nil {
		return err
	}
	if int64(len(in.Data)) != size {
		return fmt.Errorf("%d bytes given for shape %s of %s, which takes %d",
			len(in.Data), runtime.FormatShape(in.Shape), in.Type, size)
	}
	if spec.Type == runtime.BOOL {
		if at := notBool(in.Data); at >= 0 {
			return fmt.Errorf("element %d is %d, which is no BOOL: want 0 or 1", at, in.Data[at])
		}
	}
	v.bytes = C.size_t(size)
	if size == 0 {
		return nil
	}
	data := unsafe.SliceData(in.Data)
	if uintptr(unsafe.Pointer(data))%runtime.Alignment != 0 {
		block, err := f.borrow(len(in.Data))
		if err != nil {
			return err
		}
		copy(block, in.Data)
		data = unsafe.SliceData(block)
	} else {
		f.pinner.Pin(data)
	}
	v.data = unsafe.Pointer(data)
	return nil
}

// fillStrings lays the lengths and then the bytes of the elements end to end,
// for C to make its own strings of in one call.
func (f *frame) fillStrings(v *C.segue_value, in *runtime.Tensor) error {
	count, err := runtime.Elements(in.Shape)
	if err != nil {
		return err
	}
	if int64(len(in.Strings)) != count {
		return fmt.Errorf("%d elements given for shape %s, which takes %d",
			len(in.Strings), runtime.FormatShape(in.Shape), count)
	}
	const word = int(unsafe.Sizeof(C.size_t(0)))
	size := 0
	for _, s := range in.Strings {
		size += len(s)
	}
	block, err := f.borrow(max(1, word*len(in.Strings)+size))
	if err != nil {
		return err
	}
	start := unsafe.Pointer(unsafe.SliceData(block))
	lengths := unsafe.Slice((*C.size_t)(start), len(in.Strings))
	rest := block[word*len(in.Strings):]
	for i, s := range in.Strings {
		lengths[i] = C.size_t(len(s))
		rest = rest[copy(rest, s):]
	}
	v.count = C.size_t(count)
	v.bytes = C.size_t(size)
	v.lengths = (*C.size_t)(start)
	v.data = unsafe.Add(start, word*len(in.Strings))
	return nil
}

// notBool returns the position of the first byte that is neither 0 nor 1, -1
// if there is none. C++ may do anything with such a bool.
func notBool(data []byte) int {
	for i, b := range data {
		if b > 1 {
			return i
		}
	}
	return -1
}
