package ort

// #include <stdlib.h>
// #include "api.h"
import "C"

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/segue-serving/segue/runtime"
)

// session is one loaded model. Its C memory (the names) lives until Close; its
// frames until Close or, if a Result is still held then, until its Release.
type session struct {
	engine    *Engine
	pointer   unsafe.Pointer
	device    device
	alone     bool // a run is the work of one thread
	signature *runtime.Signature
	symbols   [][]string // names of the inputs' dynamic sizes
	inNames   []*C.char
	outNames  []*C.char
	closed    atomic.Bool
	runs      atomic.Uint32 // so far, on a device

	mu     sync.Mutex
	idle   []*frame
	out    int  // frames in use
	parted bool // closed: frames that come back are freed
}

var _ runtime.AsideRunner = (*session)(nil)

func (e *Engine) openSession(path string, opts runtime.Options) (runtime.Session, error) {
	if err := checkFile(path); err != nil {
		return nil, err
	}
	on, err := parseDevice(opts.Device)
	if err != nil {
		return nil, err
	}
	if on.cuda {
		defer e.keepSignals()
	}
	options, err := e.sessionOptions(on, opts)
	if err != nil {
		return nil, err
	}
	s := &session{engine: e, device: on, alone: opts.Threads <= 1 && !on.cuda}
	s.pointer, err = e.open(path, options)
	// It complains only of options that do not exist.
	_ = options.Destroy()
	if err != nil {
		return nil, openError(err, path, on)
	}
	if err := s.describe(); err != nil {
		s.free()
		return nil, err
	}
	return s, nil
}

// openError tells a device that is not there from a model that is no good.
func openError(err error, path string, on device) error {
	err = errors.New(tidyOpen(err.Error(), path))
	if on.cuda && strings.Contains(strings.ToUpper(err.Error()), "CUDA") {
		return refuseCUDA(on.ordinal, []string{cudaProvider}, err)
	}
	return err
}

// keepSignals undoes what the libraries of CUDA did to Go's signal handlers,
// when they were loaded or first used.
func (e *Engine) keepSignals() {
	if n := e.signals.restore(); n > 0 {
		e.log.Debug("signal handlers that a library had replaced were put back", "signals", n)
	}
}

// checkFile answers the plain faults itself, without the path that ONNX
// Runtime and the system put into their messages.
func checkFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		var pathError *fs.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		return fmt.Errorf("model file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return errors.New("model file: not a regular file")
	}
	if info.Size() == 0 {
		return errors.New("model file: empty")
	}
	return nil
}

// describe reads the signature and refuses what cannot be served.
func (s *session) describe() error {
	var cErr C.segue_error
	var inputs, outputs C.size_t
	C.segue_count(s.engine.api, s.pointer, &inputs, &outputs, &cErr)
	if err := asError(&cErr); err != nil {
		return err
	}
	s.signature = &runtime.Signature{
		Inputs:  make([]runtime.TensorSpec, 0, inputs),
		Outputs: make([]runtime.TensorSpec, 0, outputs),
	}
	for i := range inputs {
		spec, symbols, err := s.spec(false, i)
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		s.inNames = append(s.inNames, C.CString(spec.Name))
		s.signature.Inputs = append(s.signature.Inputs, spec)
		s.symbols = append(s.symbols, symbols)
	}
	for i := range outputs {
		spec, _, err := s.spec(true, i)
		if err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
		s.outNames = append(s.outNames, C.CString(spec.Name))
		s.signature.Outputs = append(s.signature.Outputs, spec)
	}
	return nil
}

// spec describes one input or output, with the names of its dynamic sizes.
func (s *session) spec(output bool, index C.size_t) (runtime.TensorSpec, []string, error) {
	var cErr C.segue_error
	var c C.segue_spec
	which := C.int(0)
	if output {
		which = 1
	}
	C.segue_describe(s.engine.api, s.pointer, which, index, &c, &cErr)
	defer C.segue_spec_clear(&c)
	if err := asError(&cErr); err != nil {
		return runtime.TensorSpec{}, nil, err
	}
	spec := runtime.TensorSpec{Name: C.GoString(c.name), Shape: make([]int64, 0, c.rank)}
	var err error
	if spec.Type, err = dataType(int(c.kind), int(c._type)); err != nil {
		return runtime.TensorSpec{}, nil, fmt.Errorf("%q: %w", spec.Name, err)
	}
	if c.has_shape == 0 && !output {
		return runtime.TensorSpec{}, nil,
			fmt.Errorf("%q: the model does not declare how many dimensions it has", spec.Name)
	}
	for _, d := range unsafe.Slice((*int64)(c.shape), c.rank) {
		spec.Shape = append(spec.Shape, max(d, runtime.Dynamic))
	}
	symbols := make([]string, 0, c.rank)
	for _, name := range unsafe.Slice(c.symbols, c.rank) {
		symbols = append(symbols, C.GoString(name))
	}
	return spec, symbols, nil
}

// Signature returns what the model takes and gives. An output whose number of
// dimensions the model does not declare has the shape of a scalar here.
func (s *session) Signature() *runtime.Signature { return s.signature }

// Close frees the model. Results that are still held stay readable until their
// Release.
func (s *session) Close() error {
	if s.closed.Swap(true) {
		return errors.New("close session: closed before")
	}
	s.free()
	s.part()
	return nil
}

func (s *session) free() {
	for _, name := range s.inNames {
		C.free(unsafe.Pointer(name))
	}
	for _, name := range s.outNames {
		C.free(unsafe.Pointer(name))
	}
	s.engine.close(s.pointer)
}
