package runtime

import (
	"context"
	"errors"
	"time"
)

// ErrInvalidArgument marks a run that the engine refused because of what the
// caller sent (an index out of range of a Gather, say), as against a fault of
// the model. It answers the client and counts against nobody.
var ErrInvalidArgument = errors.New("invalid argument")

// Options say how a session is opened. The zero value runs on the CPU with one
// thread.
type Options struct {
	// Device is "cpu" (also ""), "cuda" or "cuda:<n>".
	Device string
	// Threads is the number of threads inside one run; 0 counts as 1.
	Threads int
	// MemoryLimit bounds what the session may take on its device, in bytes;
	// 0 is no limit. An engine that cannot bound it ignores it.
	MemoryLimit int64
}

// Engine opens models. It is safe for concurrent use.
type Engine interface {
	// Name is the engine's name as metadata shows it, such as
	// "onnxruntime_onnx".
	Name() string
	// Version is the version of the library that runs the models.
	Version() string
	// Open loads the model file at path. The returned session is the
	// caller's to close. A file that is missing, corrupt or unsupported is an
	// error; Open must not crash on it where the engine can help it.
	Open(ctx context.Context, path string, opts Options) (Session, error)
	// Close frees what the engine holds. Every session must be closed before.
	Close() error
}

// Session is one loaded model.
//
// Run may be called by many goroutines at once. Close may not overlap a Run:
// who shares a session counts its users (loader.Resident does).
type Session interface {
	// Signature is what the model takes and gives. It must not be changed.
	Signature() *Signature
	// Run computes the outputs named by position in outputs, all of them when
	// outputs is nil. Inputs are in the signature's order, one each, of the
	// declared type and a fitting shape; the callee does not keep or change
	// them after it returned. Memory of inputs must not be Go's heap unless
	// the engine says that it copies; Pool gives memory that is fit.
	//
	// An error that wraps ErrInvalidArgument is the caller's. An expired
	// context may end a run early, and always ends it before it begins.
	Run(ctx context.Context, inputs []Tensor, outputs []int) (Result, error)
	// Close frees the model's memory. A second Close is an error.
	Close() error
}

// BackgroundRunner is a Session that can also make runs which no request waits
// for, such as those of a warm-up, without taking a processor from those that
// are waited for.
type BackgroundRunner interface {
	Session
	// RunBackground is Run, only later where the machine is busy. took is what
	// the run would take on a processor of its own, as near as it can be told;
	// a short one may be made several times for that.
	RunBackground(ctx context.Context, inputs []Tensor, outputs []int) (res Result, took time.Duration, err error)
}

// Trimmer is a Session that keeps the memory of a run for the next one, and can
// let go of it.
type Trimmer interface {
	Session
	// Trim makes a run in the background and then gives all memory back to the
	// system that runs took and none that is under way needs.
	Trim(ctx context.Context, inputs []Tensor) error
}

// AsideRunner is a Session that can also make runs on threads of the engine's
// own, which stand back behind those of the process: for runs that take so long
// that what is short should not wait for their end. Its bindings are
// AsideBindings.
type AsideRunner interface {
	Session
	// RunAside is Run, to the very bits. The calling goroutine waits as for a
	// socket.
	RunAside(ctx context.Context, inputs []Tensor, outputs []int) (Result, error)
}

// Result holds the outputs of one run, in the order in which they were asked
// for. Tensors may be read until Release, which must be called exactly once.
type Result struct {
	Tensors []Tensor
	free    func()
}

// NewResult wraps tensors whose memory free gives back; free may be nil.
func NewResult(tensors []Tensor, free func()) Result { return Result{Tensors: tensors, free: free} }

// Release gives the memory of the outputs back. The tensors must not be read
// afterwards. Release on the zero Result does nothing.
func (r *Result) Release() {
	if r.free != nil {
		r.free()
	}
	*r = Result{}
}
