package ort

// #cgo CFLAGS: -O2
// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "api.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"unsafe"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/segue-serving/segue/runtime"
)

// ErrInUse says that this process has an open Engine already: ONNX Runtime's
// environment is one per process.
var ErrInUse = errors.New("onnxruntime is in use by another engine of this process")

// environment is held by the one open Engine. It is a variable of the package
// because what it guards, the binding's state, is one too.
var environment sync.Mutex

// Config says how ONNX Runtime is opened. The zero value finds the library by
// itself and logs nothing.
type Config struct {
	// Library is the path of libonnxruntime; see Library for what "" means.
	Library string
	// Log receives what an operator wants to know; nil discards it.
	Log *slog.Logger
}

// Engine is ONNX Runtime in this process. It is safe for concurrent use.
type Engine struct {
	api     *C.segue_api
	version string
	// priority is that of errands.
	priority priority
	// signals are Go's handlers.
	signals *signals
	log     *slog.Logger
	trimmer *trimmer
	// memory is for inputs that have to be copied before ONNX Runtime may
	// read them.
	memory *runtime.Pool
	hands  *hands

	mu sync.Mutex
	// sessions counts those open or closed with results still held.
	sessions int
	closed   bool
}

var _ runtime.Engine = (*Engine)(nil)

// Open loads libonnxruntime and prepares the process for it: telemetry off, no
// printing, and freed memory given back to the system. It returns ErrInUse
// while another Engine is open.
func Open(config Config) (*Engine, error) {
	path, err := Library(config.Library)
	if err != nil {
		return nil, err
	}
	if !environment.TryLock() {
		return nil, ErrInUse
	}
	engine, err := openLibrary(path)
	if err != nil {
		environment.Unlock()
		return nil, err
	}
	engine.log = config.Log
	if engine.log == nil {
		engine.log = slog.New(slog.DiscardHandler)
	}
	engine.log.Info("onnxruntime loaded", "version", engine.version, "library", path)
	return engine, nil
}

// openLibrary prepares the process.
func openLibrary(path string) (*Engine, error) {
	cPath := C.CString(path)
	defer C.free(unsafe.Pointer(cPath))
	before := saveSignals()
	var cErr C.segue_error
	api := C.segue_api_open(cPath, &cErr)
	if api == nil {
		return nil, fmt.Errorf("library %s %s; %s", path, C.GoString(&cErr.message[0]), remedy)
	}
	binding.SetSharedLibraryPath(path)
	// Every error comes back as a value; ONNX Runtime's own line on standard
	// error for each refused request would let clients fill the log.
	if err := binding.InitializeEnvironment(binding.WithLogLevelFatal()); err != nil {
		C.segue_api_close(api)
		return nil, fmt.Errorf("initialise onnxruntime: %w", err)
	}
	if err := binding.DisableTelemetry(); err != nil {
		C.segue_api_close(api)
		return nil, errors.Join(fmt.Errorf("switch telemetry off: %w", err), binding.DestroyEnvironment())
	}
	if C.segue_api_share(api, &cErr); cErr.code != 0 {
		C.segue_api_close(api)
		return nil, errors.Join(fmt.Errorf("share the environment: %w", asError(&cErr)), binding.DestroyEnvironment())
	}
	C.segue_malloc_tune()
	return &Engine{
		priority: ownPriority(),
		signals:  before,
		api:      api,
		version:  C.GoString(C.segue_api_version(api)),
		trimmer:  startTrimmer(),
		memory:   runtime.NewPool(),
		hands:    &hands{api: api},
	}, nil
}

// Name returns "onnxruntime_onnx".
func (e *Engine) Name() string { return "onnxruntime_onnx" }

// Version returns the version of the library, such as "1.31.1".
func (e *Engine) Version() string { return e.version }

// Open loads the model file at path, with its external data beside it. A model
// that is missing, damaged or not supported is an error that names no path.
// The context is looked at once, before the load, which cannot be stopped.
func (e *Engine) Open(ctx context.Context, path string, opts runtime.Options) (runtime.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.enter(); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	session, err := e.openSession(path, opts)
	if err != nil {
		// A failed load may have allocated as much as a good one.
		e.leave()
		return nil, fmt.Errorf("open model: %w", err)
	}
	return session, nil
}

// enter counts a session, so that Close waits for nothing and breaks nothing.
func (e *Engine) enter() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errors.New("the engine is closed")
	}
	e.sessions++
	return nil
}

// leave ends what enter began, and has the memory given back.
func (e *Engine) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trimmer.request()
	e.sessions--
}

// Close gives the environment back, so that another Engine can be opened. It
// refuses while sessions are open or their results held, and a second Close is
// an error.
func (e *Engine) Close() error {
	e.mu.Lock()
	closed, sessions := e.closed, e.sessions
	e.closed = closed || sessions == 0
	e.mu.Unlock()
	if closed {
		return errors.New("close onnxruntime: closed before")
	}
	if sessions > 0 {
		return fmt.Errorf("close onnxruntime: %d sessions are open or have results that were not released", sessions)
	}
	e.trimmer.stop()
	e.hands.stop()
	err := binding.DestroyEnvironment()
	C.segue_api_close(e.api)
	environment.Unlock()
	if err != nil {
		return fmt.Errorf("close onnxruntime: %w", err)
	}
	return nil
}
