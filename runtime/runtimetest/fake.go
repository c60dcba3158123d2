package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/segue-serving/segue/runtime"
)

// Fake says how a fake session behaves. It must not change once it is opened.
type Fake struct {
	// Signature is what the model declares.
	Signature runtime.Signature
	// Func answers a run with all outputs, in the signature's order. The
	// session cuts them down to those asked for. Nil answers zeros, with 1 for
	// a dynamic size except the first, which is the first input's.
	Func func(ctx context.Context, inputs []runtime.Tensor) ([]runtime.Tensor, error)
	// Before, if set, is called before every run of Func: block in it, count,
	// or let simulated time pass. Its error is the run's.
	Before func(ctx context.Context) error
	// OpenErr, if set, is what Open answers.
	OpenErr error
	// CloseErr, if set, is what Close answers; it closes all the same.
	CloseErr error
}

// Lookup finds the model that a path stands for.
type Lookup func(path string) (*Fake, error)

// Always answers every path with the same model.
func Always(m *Fake) Lookup {
	return func(string) (*Fake, error) { return m, nil }
}

// ByName finds models by the last element of the path; a path without one is
// an error.
func ByName(models map[string]*Fake) Lookup {
	return func(path string) (*Fake, error) {
		m, ok := models[filepath.Base(path)]
		if !ok {
			return nil, fmt.Errorf("no fake model named %q", filepath.Base(path))
		}
		return m, nil
	}
}

// Engine is a runtime.Engine without a library. The counters may be read at
// any time.
type Engine struct {
	lookup Lookup
	closed atomic.Bool

	// Opens counts every Open that succeeded, Runs every run that began.
	Opens, Runs atomic.Int64
	// OpenSessions and HeldResults count what was not closed or released yet.
	OpenSessions, HeldResults atomic.Int64
	// BoundRuns counts every run of a binding, Bindings those not closed yet.
	BoundRuns, Bindings atomic.Int64
	// AsideRuns counts every run that was made aside, of a binding or not.
	AsideRuns atomic.Int64
}

var _ runtime.Engine = (*Engine)(nil)

// NewEngine returns an engine that opens what lookup finds.
func NewEngine(lookup Lookup) *Engine { return &Engine{lookup: lookup} }

// NewSession returns an open session of an engine of its own.
func NewSession(m *Fake) *Session {
	e := NewEngine(Always(m))
	e.OpenSessions.Add(1)
	return &Session{engine: e, model: m}
}

// Name returns "fake".
func (e *Engine) Name() string { return "fake" }

// Version returns "0".
func (e *Engine) Version() string { return "0" }

// Open opens what the engine's Lookup finds; the file need not exist.
func (e *Engine) Open(ctx context.Context, path string, _ runtime.Options) (runtime.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.closed.Load() {
		return nil, errors.New("open model: the engine is closed")
	}
	m, err := e.lookup(path)
	if err == nil {
		err = m.OpenErr
	}
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	e.Opens.Add(1)
	e.OpenSessions.Add(1)
	return &Session{engine: e, model: m}, nil
}

// Close fails while sessions are open, and the second time.
func (e *Engine) Close() error {
	if n := e.OpenSessions.Load(); n > 0 {
		return fmt.Errorf("close engine: %d sessions are open", n)
	}
	if e.closed.Swap(true) {
		return errors.New("close engine: closed before")
	}
	return nil
}

// Session is a fake model that was opened.
type Session struct {
	engine *Engine
	model  *Fake
	closed atomic.Bool
}

var _ runtime.AsideRunner = (*Session)(nil)

// Engine returns the engine that counts this session's runs.
func (s *Session) Engine() *Engine { return s.engine }

// Signature returns the model's.
func (s *Session) Signature() *runtime.Signature { return &s.model.Signature }

// Run checks the inputs as an engine must, and answers what the model's Func
// does. A run after Close is an error.
func (s *Session) Run(ctx context.Context, inputs []runtime.Tensor, outputs []int) (runtime.Result, error) {
	if err := ctx.Err(); err != nil {
		return runtime.Result{}, err
	}
	if s.closed.Load() {
		return runtime.Result{}, errors.New("run: the session is closed")
	}
	if err := s.check(inputs, outputs); err != nil {
		return runtime.Result{}, err
	}
	s.engine.Runs.Add(1)
	if s.model.Before != nil {
		if err := s.model.Before(ctx); err != nil {
			return runtime.Result{}, err
		}
	}
	answer := s.model.Func
	if answer == nil {
		answer = s.zeros
	}
	all, err := answer(ctx, inputs)
	if err != nil {
		return runtime.Result{}, err
	}
	tensors := all
	if outputs != nil {
		tensors = make([]runtime.Tensor, len(outputs))
		for i, o := range outputs {
			tensors[i] = all[o]
		}
	}
	s.engine.HeldResults.Add(1)
	return runtime.NewResult(tensors, func() { s.engine.HeldResults.Add(-1) }), nil
}

// RunAside is Run, and counted.
func (s *Session) RunAside(ctx context.Context, inputs []runtime.Tensor, outputs []int) (runtime.Result, error) {
	s.engine.AsideRuns.Add(1)
	return s.Run(ctx, inputs, outputs)
}

func (s *Session) check(inputs []runtime.Tensor, outputs []int) error {
	specs := s.model.Signature.Inputs
	if len(inputs) != len(specs) {
		return fmt.Errorf("%w: %d inputs given, want %d", runtime.ErrInvalidArgument, len(inputs), len(specs))
	}
	for i := range inputs {
		err := specs[i].Check(inputs[i].Shape)
		if err == nil && inputs[i].Type != specs[i].Type {
			err = fmt.Errorf("datatype %s, want %s", inputs[i].Type, specs[i].Type)
		}
		if err == nil {
			err = checkLength(&inputs[i])
		}
		if err != nil {
			return fmt.Errorf("%w: input %q: %w", runtime.ErrInvalidArgument, specs[i].Name, err)
		}
	}
	if outputs != nil && len(outputs) == 0 {
		return errors.New("no outputs asked for")
	}
	for i, o := range outputs {
		if o < 0 || o >= len(s.model.Signature.Outputs) || slices.Contains(outputs[:i], o) {
			return fmt.Errorf("output %d asked for twice or not there", o)
		}
	}
	return nil
}

func checkLength(t *runtime.Tensor) error {
	want, got := int64(0), int64(len(t.Data))
	var err error
	if t.Type == runtime.BYTES {
		want, err = t.Elements()
		got = int64(len(t.Strings))
	} else {
		want, err = runtime.ByteSize(t.Type, t.Shape)
	}
	if err == nil && got != want {
		err = fmt.Errorf("length %d, want %d", got, want)
	}
	return err
}

func (s *Session) zeros(_ context.Context, inputs []runtime.Tensor) ([]runtime.Tensor, error) {
	tensors := make([]runtime.Tensor, len(s.model.Signature.Outputs))
	for i, spec := range s.model.Signature.Outputs {
		shape := slices.Clone(spec.Shape)
		for d := range shape {
			if shape[d] == runtime.Dynamic {
				shape[d] = 1
				if d == 0 && len(inputs) > 0 && len(inputs[0].Shape) > 0 {
					shape[d] = inputs[0].Shape[0]
				}
			}
		}
		tensors[i] = runtime.Tensor{Name: spec.Name, Type: spec.Type, Shape: shape}
		n, err := runtime.Elements(shape)
		if err != nil {
			return nil, err
		}
		if spec.Type == runtime.BYTES {
			tensors[i].Strings = make([][]byte, n)
		} else {
			tensors[i].Data = make([]byte, n*int64(spec.Type.Size()))
		}
	}
	return tensors, nil
}

// Close closes the session; a second Close is an error.
func (s *Session) Close() error {
	if s.closed.Swap(true) {
		return errors.New("close session: closed before")
	}
	s.engine.OpenSessions.Add(-1)
	return s.model.CloseErr
}
