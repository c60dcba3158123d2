package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/payload"
	"github.com/segue-serving/segue/bench/scenario"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/ort"
)

// bare is ONNX Runtime in this process, behind nothing.
type bare struct {
	engine   *ort.Engine
	sessions map[string]runtime.Session
}

// session opens a model, once for all numbers of streams.
func (c *contest) session(ctx context.Context, m scenario.Model) (runtime.Session, error) {
	if c.bare == nil {
		library, err := ort.Library("")
		if err != nil {
			return nil, err
		}
		engine, err := ort.Open(ort.Config{Library: library})
		if err != nil {
			return nil, err
		}
		c.bare = &bare{engine: engine, sessions: map[string]runtime.Session{}}
		c.closing = append(c.closing, c.bare.close)
	}
	if s, ok := c.bare.sessions[m.Model]; ok {
		return s, nil
	}
	dir, err := c.folder(m.Model, m.Version)
	if err != nil {
		return nil, err
	}
	s, err := c.bare.engine.Open(ctx, filepath.Join(dir, "model.onnx"), runtime.Options{Threads: 1})
	if err == nil {
		c.bare.sessions[m.Model] = s
	}
	return s, err
}

// close frees the sessions and the engine. Nothing is measured any more, so
// that an error of theirs changes no figure.
func (b *bare) close() {
	for _, s := range b.sessions {
		_ = s.Close()
	}
	_ = b.engine.Close()
}

// prepareBare prepares loops around Run on one shared session, as the gateway
// has it. Every output is compared with the first of its kind, which must agree
// with the golden answer.
func (c *contest) prepareBare(ctx context.Context, m scenario.Model, manifest *payload.Manifest, samples []payload.Sample) (func(context.Context, load.ClosedOptions) (*load.Outcome, error), error) {
	session, err := c.session(ctx, m)
	if err != nil {
		return nil, err
	}
	want := make([][][]byte, len(samples))
	for i := range samples {
		if want[i], err = golden(ctx, session, manifest, i, &samples[i]); err != nil {
			return nil, fmt.Errorf("golden request %q: %w", samples[i].Name, err)
		}
	}
	return func(ctx context.Context, o load.ClosedOptions) (*load.Outcome, error) {
		return load.Loop(ctx, o, func(w int) (func(int) error, func(), error) {
			return func(i int) error {
				i = (i + w) % len(samples)
				result, err := session.Run(ctx, samples[i].Inputs, nil)
				if err != nil {
					return err
				}
				defer result.Release()
				for o := range result.Tensors {
					if !bytes.Equal(result.Tensors[o].Data, want[i][o]) {
						return errors.New("two runs on the same input give other bits")
					}
				}
				return nil
			}, func() {}, nil
		})
	}, nil
}

// golden runs a golden request, compares the answer with the manifest's and
// returns its bytes.
func golden(ctx context.Context, session runtime.Session, manifest *payload.Manifest, i int, s *payload.Sample) ([][]byte, error) {
	result, err := session.Run(ctx, s.Inputs, nil)
	if err != nil {
		return nil, err
	}
	defer result.Release()
	var outputs []payload.Output
	var data [][]byte
	for _, t := range result.Tensors {
		o, err := payload.OutputOf(t)
		if err != nil {
			return nil, err
		}
		outputs, data = append(outputs, o), append(data, slices.Clone(t.Data))
	}
	return data, manifest.Tolerance.Compare(outputs, manifest.Goldens[i].Outputs)
}
