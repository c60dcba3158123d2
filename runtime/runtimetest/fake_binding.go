package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/segue-serving/segue/runtime"
)

var (
	_ runtime.Binder       = (*Session)(nil)
	_ runtime.AsideBinding = (*binding)(nil)
)

// binding is a fake's run made ready.
type binding struct {
	session *Session
	pool    *runtime.Pool
	blocks  []*runtime.Memory
	in, out []runtime.Tensor
}

// Bind prepares a run, whose outputs are copied from what the model's Func
// answers.
func (s *Session) Bind(inputs, outputs [][]int64) (runtime.Binding, error) {
	if s.closed.Load() {
		return nil, errors.New("bind: the session is closed")
	}
	for _, out := range s.model.Signature.Outputs {
		if s.model.Signature.Input(out.Name) >= 0 {
			return nil, fmt.Errorf("bind: output %q is an input", out.Name)
		}
	}
	b := &binding{session: s, pool: runtime.NewPool()}
	var err error
	if b.in, err = b.place(s.model.Signature.Inputs, inputs); err == nil {
		b.out, err = b.place(s.model.Signature.Outputs, outputs)
	}
	if err != nil {
		b.free()
		return nil, fmt.Errorf("bind: %w", err)
	}
	s.engine.Bindings.Add(1)
	return b, nil
}

func (b *binding) place(specs []runtime.TensorSpec, shapes [][]int64) ([]runtime.Tensor, error) {
	if len(shapes) != len(specs) {
		return nil, fmt.Errorf("%d shapes given, want %d", len(shapes), len(specs))
	}
	tensors := make([]runtime.Tensor, len(specs))
	for i, spec := range specs {
		size, err := runtime.ByteSize(spec.Type, shapes[i])
		if err == nil {
			err = spec.Check(shapes[i])
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", spec.Name, err)
		}
		block, err := b.pool.Get(int(size))
		if err != nil {
			return nil, err
		}
		b.blocks = append(b.blocks, block)
		clear(block.Bytes())
		tensors[i] = runtime.Tensor{Name: spec.Name, Type: spec.Type, Shape: slices.Clone(shapes[i]), Data: block.Bytes()}
	}
	return tensors, nil
}

// Inputs returns the tensors that Run reads.
func (b *binding) Inputs() []runtime.Tensor { return b.in }

// Outputs returns the tensors that Run writes.
func (b *binding) Outputs() []runtime.Tensor { return b.out }

// Run runs the session and copies the outputs to where they were bound.
func (b *binding) Run(ctx context.Context) error {
	b.session.engine.BoundRuns.Add(1)
	res, err := b.session.Run(ctx, b.in, nil)
	if err != nil {
		return err
	}
	defer res.Release()
	for i, t := range res.Tensors {
		if !slices.Equal(t.Shape, b.out[i].Shape) {
			// ONNX Runtime calls it that.
			return fmt.Errorf("%w: output %q has the shape %s, and %s was bound", runtime.ErrInvalidArgument, t.Name, runtime.FormatShape(t.Shape), runtime.FormatShape(b.out[i].Shape))
		}
		copy(b.out[i].Data, t.Data)
	}
	return nil
}

// RunAside is Run, and counted.
func (b *binding) RunAside(ctx context.Context) error {
	b.session.engine.AsideRuns.Add(1)
	return b.Run(ctx)
}

// Close frees the memory; a second Close is an error.
func (b *binding) Close() error {
	if b.in == nil {
		return errors.New("close binding: closed before")
	}
	b.session.engine.Bindings.Add(-1)
	b.free()
	return nil
}

func (b *binding) free() {
	for _, block := range b.blocks {
		block.Release()
	}
	b.blocks, b.in, b.out = nil, nil, nil
}
