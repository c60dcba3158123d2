package ort

// #include <stdlib.h>
// #include "errand.h"
import "C"

import (
	"context"
	"errors"
	"os"
	"reflect"
	goruntime "runtime"
	"time"
	"unsafe"

	binding "github.com/yalue/onnxruntime_go"
	"golang.org/x/sys/unix"

	"github.com/segue-serving/segue/runtime"
)

// priority is the niceness with which an errand begins, and that which it has
// once it took longer than errandPatience.
type priority struct{ first, then int }

const (
	// The kernel gives the lowest priority 1.5 % of a core that one other thread
	// keeps busy, so that requests hardly wait for an errand.
	lowest = 19
	// A tenth of such a core, so that a version comes to life within seconds
	// on a machine that is busy through.
	bearable = 10
	// Most errands of small models take less.
	errandPatience = 250 * time.Millisecond
	// errandRuns is how long short runs are repeated. A run of 3 µs takes 10 in
	// a thread that was just begun.
	errandRuns = 300 * time.Microsecond
)

// errandPriority is the priority of errands in a process of the given niceness,
// where the system lets a thread be raised again, which takes CAP_SYS_NICE, and
// where it does not.
func errandPriority(own int, mayRaise bool) priority {
	then := max(own, bearable)
	if mayRaise {
		return priority{max(own, lowest), then}
	}
	return priority{then, then}
}

// ownPriority is the priority of errands in this process.
func ownPriority() priority {
	own := int(C.segue_niceness())
	return errandPriority(own, C.segue_may_raise(lowest, C.int(max(own, bearable))) != 0)
}

// errand does what fill asks for in a thread of its own, at a lower priority,
// and waits. The wait is the Go scheduler's: a plain call into C that takes long
// keeps a processor of Go's for up to ten milliseconds. read is called when it
// is done.
func (e *Engine) errand(fill, read func(*C.segue_errand)) {
	errand := (*C.segue_errand)(C.calloc(1, C.sizeof_segue_errand))
	defer C.free(unsafe.Pointer(errand))
	errand.api = e.api
	fill(errand)
	if !e.aside(errand) {
		// No thread or file is to be had: the work matters more than its
		// priority.
		C.segue_errand_do(errand)
	}
	read(errand)
}

// aside reports whether the errand was done in a thread of its own.
func (e *Engine) aside(errand *C.segue_errand) bool {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return false
	}
	done := os.NewFile(uintptr(fd), "errand")
	defer done.Close()
	errand.done, errand.nice = C.int32_t(fd), C.int32_t(e.priority.first)
	if C.segue_errand_start(errand) != 0 {
		return false
	}
	e.await(done, errand)
	return true
}

// await returns when the errand is done. One that takes long is helped where
// that is allowed.
func (e *Engine) await(done *os.File, errand *C.segue_errand) {
	if e.priority.then != e.priority.first {
		// It cannot fail on a file that polls.
		_ = done.SetReadDeadline(time.Now().Add(errandPatience))
	}
	var count [8]byte
	_, err := done.Read(count[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		C.segue_errand_raise(errand, C.int(e.priority.then))
		_ = done.SetReadDeadline(time.Time{})
		_, err = done.Read(count[:])
	}
	if err != nil {
		panic("ort: an eventfd of our own cannot be read: " + err.Error())
	}
}

// open opens a model, with options that stay the caller's.
func (e *Engine) open(path string, options *binding.SessionOptions) (session unsafe.Pointer, err error) {
	pointer, err := optionsPointer(options)
	if err != nil {
		return nil, err
	}
	cPath := C.CString(path)
	defer C.free(unsafe.Pointer(cPath))
	e.errand(func(errand *C.segue_errand) {
		errand.kind, errand.path, errand.options = C.SEGUE_OPEN, cPath, pointer
	}, func(errand *C.segue_errand) {
		session, err = errand.session, asError(&errand.err)
	})
	return session, err
}

// close closes a session.
func (e *Engine) close(session unsafe.Pointer) {
	e.errand(func(errand *C.segue_errand) {
		errand.kind, errand.session = C.SEGUE_CLOSE, session
	}, func(*C.segue_errand) {})
}

// optionsPointer reads the C options out of the binding's, which has no
// accessor for them. A binding that lays its types out otherwise is an error.
func optionsPointer(options *binding.SessionOptions) (unsafe.Pointer, error) {
	inner := reflect.ValueOf(options).Elem().FieldByName("o")
	if inner.Kind() == reflect.Pointer && !inner.IsNil() {
		return inner.UnsafePointer(), nil
	}
	return nil, errors.New("this version of onnxruntime_go hides its session options elsewhere")
}

// RunBackground is Run at the priority of errands, for runs that no request
// waits for. It returns what the run took of a processor's time, which tells of
// the model even where the thread had to wait for one, and of a short run the
// least of several; on a device, or with more threads than one, it is the time
// that passed.
func (s *session) RunBackground(ctx context.Context, inputs []runtime.Tensor, outputs []int) (runtime.Result, time.Duration, error) {
	f, err := s.prepare(ctx, inputs, outputs)
	if err != nil {
		return runtime.Result{}, 0, err
	}
	began := time.Now()
	took := time.Duration(0)
	s.engine.errand(func(errand *C.segue_errand) {
		errand.kind, errand.session, errand.frame = C.SEGUE_RUN, s.pointer, f.c
		if s.alone {
			errand.again_ns = C.int64_t(errandRuns)
		}
	}, func(errand *C.segue_errand) {
		took = time.Duration(errand.cpu_ns)
	})
	goruntime.KeepAlive(inputs)
	if !s.alone {
		took = time.Since(began)
	}
	if s.device.cuda {
		// Some of its libraries are loaded by the first run.
		s.engine.keepSignals()
	}
	res, err := s.finish(f, inputs, s.runError(&f.c.err, inputs))
	return res, took, err
}
