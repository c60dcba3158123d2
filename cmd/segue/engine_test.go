package main

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// asked is a fake engine that remembers what sessions it was asked for, and has
// room for most of them.
type asked struct {
	*runtimetest.Engine
	options []runtime.Options
	most    int
}

func (a *asked) Open(ctx context.Context, path string, options runtime.Options) (runtime.Session, error) {
	if a.options = append(a.options, options); len(a.options) > a.most {
		return nil, errors.New("the device is full")
	}
	return a.Engine.Open(ctx, path, options)
}

func TestSessionsAreOpenedAsTheDocumentSays(t *testing.T) {
	wanted := loader.Wanted{Model: "m", Version: "1", Device: "cuda:1", Threads: 3, MemoryLimit: 5 << 20, Instances: 2, MaxBatch: 8}
	options := runtime.Options{Device: "cuda:1", Threads: 3, MemoryLimit: 5 << 20}
	for _, most := range []int{2, 1} {
		engine := &asked{Engine: runtimetest.NewEngine(runtimetest.Always(&runtimetest.Fake{})), most: most}
		instance, err := openInstance(t.Context(), engine, batch.New(batch.Options{}), "m.onnx", wanted)
		if !slices.Equal(engine.options, []runtime.Options{options, options}) {
			t.Errorf("asked for sessions with %+v, want two with %+v", engine.options, options)
		}
		if (err == nil) != (most == 2) {
			t.Errorf("room for %d of 2: got %v", most, err)
		}
		if err == nil {
			err = instance.Close()
			if err != nil {
				t.Error(err)
			}
		}
		if n := engine.OpenSessions.Load(); n != 0 {
			t.Errorf("room for %d of 2: %d sessions are left", most, n)
		}
	}
}
