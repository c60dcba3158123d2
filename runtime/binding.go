package runtime

import "context"

// Binder is a Session that can prepare runs of known shapes. Sessions need not
// be one.
type Binder interface {
	Session
	// Bind prepares a run of inputs and outputs of these shapes, in the
	// signature's order, each without a dynamic size. Types are the signature's.
	// A shape that does not fit is an error, and so is a model that has BYTES or
	// an output that is an input: it cannot be bound. The binding is the caller's to close, before the session.
	Bind(inputs, outputs [][]int64) (Binding, error)
}

// Binding is one run made ready: its memory is there and known to the engine,
// so that the run allocates nothing. It is for one caller at a time.
type Binding interface {
	// Inputs is what the run reads: the caller writes to Data and changes
	// nothing else. Data lies outside Go's heap, aligned to Alignment.
	Inputs() []Tensor
	// Outputs is what the last successful run wrote; it may be read until the
	// next Run or Close.
	Outputs() []Tensor
	// Run computes all outputs, to the very bits that Session.Run gives. Its
	// errors are those of Session.Run; a model whose outputs have other shapes
	// than were bound is one.
	Run(ctx context.Context) error
	// Close frees the memory.
	Close() error
}

// AsideBinding is a Binding of an AsideRunner.
type AsideBinding interface {
	Binding
	// RunAside is Run, made as AsideRunner says.
	RunAside(ctx context.Context) error
}
