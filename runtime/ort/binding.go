package ort

// #cgo noescape segue_run_bound
// #cgo nocallback segue_run_bound
// #include <stdlib.h>
// #include "api.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/segue-serving/segue/runtime"
)

var (
	_ runtime.Binder       = (*session)(nil)
	_ runtime.AsideBinding = (*bound)(nil)
)

// bound is a run whose values and binding were made beforehand.
type bound struct {
	session *session
	c       *C.segue_frame
	shapes  unsafe.Pointer // of all inputs and outputs, C's memory
	memory  []*runtime.Memory
	in, out []runtime.Tensor
}

// Bind prepares a run on memory of its own, inputs and outputs, by ONNX
// Runtime's input and output binding.
func (s *session) Bind(inputs, outputs [][]int64) (runtime.Binding, error) {
	if s.closed.Load() {
		return nil, errors.New("bind: the session is closed")
	}
	for _, out := range s.signature.Outputs {
		if s.signature.Input(out.Name) >= 0 {
			// ONNX Runtime would put the input in its place and write nothing.
			return nil, fmt.Errorf("bind: output %q is an input", out.Name)
		}
	}
	b := &bound{session: s, c: C.segue_frame_new(C.size_t(len(s.inNames)), C.size_t(len(s.outNames)))}
	var err error
	if b.in, err = b.place(s.signature.Inputs, inputs); err == nil {
		b.out, err = b.place(s.signature.Outputs, outputs)
	}
	if err != nil {
		b.free()
		return nil, fmt.Errorf("bind: %w", err)
	}
	ranks := 0
	for _, t := range slices.Concat(b.in, b.out) {
		ranks += len(t.Shape)
	}
	b.shapes = C.calloc(C.size_t(ranks+1), C.size_t(unsafe.Sizeof(C.int64_t(0))))
	rest := unsafe.Slice((*int64)(b.shapes), ranks)
	rest = point(unsafe.Slice(b.c.in, len(b.in)), b.in, rest)
	point(unsafe.Slice(b.c.out, len(b.out)), b.out, rest)
	copy(unsafe.Slice(b.c.in_names, len(b.in)), s.inNames)
	copy(unsafe.Slice(b.c.out_names, len(b.out)), s.outNames)
	C.segue_bind(s.engine.api, s.pointer, b.c)
	if err := asError(&b.c.err); err != nil {
		b.free()
		return nil, fmt.Errorf("bind: %w", err)
	}
	return b, nil
}

// place checks shapes and finds memory for them.
func (b *bound) place(specs []runtime.TensorSpec, shapes [][]int64) ([]runtime.Tensor, error) {
	if len(shapes) != len(specs) {
		return nil, fmt.Errorf("%d shapes given for %d tensors", len(shapes), len(specs))
	}
	tensors := make([]runtime.Tensor, len(specs))
	for i := range specs {
		spec, shape := &specs[i], shapes[i]
		size, err := runtime.ByteSize(spec.Type, shape)
		if err == nil {
			err = spec.Check(shape)
		}
		if err == nil && len(shape) != len(spec.Shape) {
			err = errors.New("a scalar has no size")
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", spec.Name, err)
		}
		block, err := b.session.engine.memory.Get(int(size))
		if err != nil {
			return nil, err
		}
		b.memory = append(b.memory, block)
		clear(block.Bytes())
		tensors[i] = runtime.Tensor{Name: spec.Name, Type: spec.Type, Shape: slices.Clone(shape), Data: block.Bytes()}
	}
	return tensors, nil
}

// point describes tensors to C, their shapes in the first of the sizes, and
// returns the sizes that are left.
func point(values []C.segue_value, tensors []runtime.Tensor, sizes []int64) []int64 {
	for i := range tensors {
		t, v := &tensors[i], &values[i]
		v._type = C.int32_t(elementTypes[t.Type])
		v.rank, v.bytes = C.size_t(len(t.Shape)), C.size_t(len(t.Data))
		v.data = unsafe.Pointer(unsafe.SliceData(t.Data))
		v.shape = (*C.int64_t)(unsafe.SliceData(sizes))
		sizes = sizes[copy(sizes, t.Shape):]
	}
	return sizes
}

// Inputs returns the tensors that Run reads.
func (b *bound) Inputs() []runtime.Tensor { return b.in }

// Outputs returns the tensors that Run writes.
func (b *bound) Outputs() []runtime.Tensor { return b.out }

// Run is one call of C, without an allocation where ctx cannot end.
func (b *bound) Run(ctx context.Context) error { return b.run(ctx, false) }

// RunAside is Run on a thread of C that stands back behind all others.
func (b *bound) RunAside(ctx context.Context) error { return b.run(ctx, true) }

func (b *bound) run(ctx context.Context, aside bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for i := range b.in {
		if t := &b.in[i]; t.Type == runtime.BOOL {
			if at := notBool(t.Data); at >= 0 {
				return fmt.Errorf("%w: input %q: element %d is %d, which is no BOOL: want 0 or 1", runtime.ErrInvalidArgument, t.Name, at, t.Data[at])
			}
		}
	}
	s := b.session
	return s.stoppable(ctx, func(options unsafe.Pointer) error {
		if !aside || !s.engine.hands.run(s.pointer, b.c, options) {
			C.segue_run_bound(s.engine.api, s.pointer, b.c, options)
		}
		return s.runError(&b.c.err, b.in)
	})
}

// Close frees the memory and what ONNX Runtime knows of it.
func (b *bound) Close() error {
	if b.c == nil {
		return errors.New("close binding: closed before")
	}
	b.free()
	return nil
}

func (b *bound) free() {
	C.segue_unbind(b.session.engine.api, b.c)
	C.segue_frame_free(b.c)
	C.free(b.shapes)
	b.c, b.memory = nil, releaseAll(b.memory)
}
