package ort

// #include <stdlib.h>
// #include "api.h"
import "C"

import (
	"fmt"
	goruntime "runtime"
	"unsafe"

	"github.com/segue-serving/segue/runtime"
)

// frame is what one run needs, on both sides of the boundary. Sessions keep
// their frames, so that a run allocates nothing; a frame belongs to one run
// from take until its Result's Release.
type frame struct {
	session *session
	c       *C.segue_frame
	shapes  unsafe.Pointer // of all inputs, C's memory
	// in, out and outNames are the arrays of c.
	in, out  []C.segue_value
	outNames []*C.char
	asked    []int
	seen     []bool
	tensors  []runtime.Tensor
	// pinner holds inputs that lie in Go's heap during the run, lent the copies
	// of inputs, kept the copies of outputs.
	pinner     goruntime.Pinner
	lent, kept []*runtime.Memory
	// release is giveBack, made once.
	release func()
}

// take returns an idle frame or a new one.
func (s *session) take() *frame {
	s.mu.Lock()
	s.out++
	if n := len(s.idle); n > 0 {
		f := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return f
	}
	s.mu.Unlock()
	return s.newFrame()
}

// put ends the use of a frame. The last one after Close ends the session.
func (s *session) put(f *frame) {
	s.mu.Lock()
	s.out--
	parted, last := s.parted, s.out == 0
	if !parted {
		s.idle = append(s.idle, f)
	}
	s.mu.Unlock()
	if !parted {
		return
	}
	f.free()
	if last {
		s.engine.leave()
	}
}

// part frees the idle frames for good, once.
func (s *session) part() {
	s.mu.Lock()
	s.parted = true
	idle, last := s.idle, s.out == 0
	s.idle = nil
	s.mu.Unlock()
	for _, f := range idle {
		f.free()
	}
	if last {
		s.engine.leave()
	}
}

func (s *session) newFrame() *frame {
	inputs, outputs := s.signature.Inputs, s.signature.Outputs
	f := &frame{
		session: s,
		c:       C.segue_frame_new(C.size_t(len(inputs)), C.size_t(len(outputs))),
		asked:   make([]int, 0, len(outputs)),
		seen:    make([]bool, len(outputs)),
		tensors: make([]runtime.Tensor, 0, len(outputs)),
	}
	f.in = unsafe.Slice(f.c.in, len(inputs))
	f.out = unsafe.Slice(f.c.out, len(outputs))
	f.outNames = unsafe.Slice(f.c.out_names, len(outputs))
	f.release = f.giveBack

	ranks := 0
	for i := range inputs {
		ranks += len(inputs[i].Shape)
	}
	f.shapes = C.calloc(C.size_t(ranks+1), C.size_t(unsafe.Sizeof(C.int64_t(0))))
	at := f.shapes
	names := unsafe.Slice(f.c.in_names, len(inputs))
	for i := range inputs {
		rank := len(inputs[i].Shape)
		names[i] = s.inNames[i]
		f.in[i].shape = (*C.int64_t)(at)
		f.in[i].rank = C.size_t(rank)
		f.in[i]._type = C.int32_t(elementTypes[inputs[i].Type])
		at = unsafe.Add(at, rank*int(unsafe.Sizeof(C.int64_t(0))))
	}
	return f
}

// borrow returns aligned memory until forgetInputs.
func (f *frame) borrow(size int) ([]byte, error) {
	block, err := f.session.engine.memory.Get(size)
	if err != nil {
		return nil, err
	}
	f.lent = append(f.lent, block)
	return block.Bytes(), nil
}

// forgetInputs lets go of everything that a run held of its inputs.
func (f *frame) forgetInputs() {
	f.pinner.Unpin()
	f.lent = releaseAll(f.lent)
}

// collect reads the outputs of a run. They are ONNX Runtime's memory, except
// where that is an input's: then they are copied, since the caller may take its
// input back at once.
func (f *frame) collect(inputs []runtime.Tensor) error {
	f.tensors = f.tensors[:len(f.asked)]
	for i, o := range f.asked {
		v, t, spec := &f.out[i], &f.tensors[i], &f.session.signature.Outputs[o]
		if int32(v._type) != elementTypes[spec.Type] {
			return fmt.Errorf("output %q: the model gave another type than its %s", spec.Name, spec.Type)
		}
		t.Name, t.Type, t.Data = spec.Name, spec.Type, nil
		if t.Shape == nil {
			t.Shape = make([]int64, 0, v.rank)
		}
		t.Shape = append(t.Shape[:0], unsafe.Slice((*int64)(v.shape), v.rank)...)
		if spec.Type == runtime.BYTES {
			t.Strings = readStrings(t.Strings[:0], v)
			continue
		}
		t.Strings = nil
		size, err := runtime.ByteSize(t.Type, t.Shape)
		if err != nil {
			return fmt.Errorf("output %q: %w", spec.Name, err)
		}
		t.Data = unsafe.Slice((*byte)(v.data), size)
		if size == 0 {
			t.Data = []byte{}
		} else if within(v.data, inputs) {
			if err := f.keep(t); err != nil {
				return fmt.Errorf("output %q: %w", spec.Name, err)
			}
		}
	}
	return nil
}

// keep moves an output into memory of our own.
func (f *frame) keep(t *runtime.Tensor) error {
	block, err := f.session.engine.memory.Get(len(t.Data))
	if err != nil {
		return err
	}
	f.kept = append(f.kept, block)
	copy(block.Bytes(), t.Data)
	t.Data = block.Bytes()
	return nil
}

func readStrings(strings [][]byte, v *C.segue_value) [][]byte {
	if strings == nil {
		strings = make([][]byte, 0, v.count)
	}
	all := unsafe.Slice((*byte)(v.data), v.bytes)
	starts := unsafe.Slice(v.lengths, v.count)
	for i, start := range starts {
		end := v.bytes
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		strings = append(strings, all[start:end:end])
	}
	return strings
}

// within reports whether an address lies in the memory of an input.
func within(address unsafe.Pointer, inputs []runtime.Tensor) bool {
	for i := range inputs {
		data := inputs[i].Data
		start := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
		if at := uintptr(address); len(data) > 0 && at >= start && at < start+uintptr(len(data)) {
			return true
		}
	}
	return false
}

// giveBack releases the outputs and ends the use of the frame.
func (f *frame) giveBack() {
	C.segue_frame_clear(f.session.engine.api, f.c)
	f.kept = releaseAll(f.kept)
	f.session.put(f)
}

func (f *frame) free() {
	C.free(f.shapes)
	C.segue_frame_free(f.c)
	f.c = nil
}

func releaseAll(blocks []*runtime.Memory) []*runtime.Memory {
	for i, b := range blocks {
		b.Release()
		blocks[i] = nil
	}
	return blocks[:0]
}
