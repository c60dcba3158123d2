package runtimetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// conformLifecycle holds what opening and closing promise.
func conformLifecycle(t *testing.T, engine runtime.Engine) {
	t.Run("a session is closed once", func(t *testing.T) {
		session, err := engine.Open(context.Background(), Model(t, "mlp"), runtime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := engine.Close(); err == nil {
			t.Fatal("close of an engine with an open session: want an error")
		}
		if err := session.Close(); err != nil {
			t.Fatal(err)
		}
		if err := session.Close(); err == nil {
			t.Error("second close: want an error")
		}
		if _, err := session.Run(context.Background(), Place(t, FP32("x", []int64{1, 32}, make([]float32, 32)...)), nil); err == nil {
			t.Error("run after close: want an error")
		}
	})
	t.Run("a session opens again", func(t *testing.T) {
		for range 3 {
			session, err := engine.Open(context.Background(), Model(t, "gather"), runtime.Options{Device: "cpu", Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			run(t, session, nil, INT64("ids", []int64{1}, 1))
			if err := session.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("models open and close at the same time", func(t *testing.T) {
		path := Model(t, "mlp")
		in := Place(t, FP32("x", []int64{1, 32}, make([]float32, 32)...))
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					session, err := engine.Open(context.Background(), path, runtime.Options{})
					if err != nil {
						t.Error(err)
						return
					}
					// A fake without this very answer may fail; it must not race.
					if res, err := session.Run(context.Background(), in, nil); err == nil {
						res.Release()
					}
					if err := session.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("a cancelled open opens nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := engine.Open(ctx, Model(t, "mlp"), runtime.Options{}); err == nil {
			t.Error("want an error")
		}
	})
	t.Run("a missing model is an error", func(t *testing.T) {
		_, err := engine.Open(context.Background(), filepath.Join(t.TempDir(), "none.onnx"), runtime.Options{})
		if err == nil {
			t.Error("want an error")
		}
	})
}

// ConformanceBroken holds that files which are no model, or none that can be
// served, are refused with a reason and no path, and never crash the process.
// It is apart from Conformance because a fake reads no files.
func ConformanceBroken(t *testing.T, engine runtime.Engine) {
	mlp := ModelBytes("mlp")
	broken := map[string][]byte{
		"empty.onnx":   {},
		"text.onnx":    []byte("this is not a model\n"),
		"zeros.onnx":   make([]byte, 4096),
		"all_ff.onnx":  []byte(strings.Repeat("\xff", 512)),
		"doubled.onnx": append(append([]byte{}, mlp...), mlp[:len(mlp)/2]...),
	}
	for cut := 1; cut < len(mlp); cut += 37 {
		broken[fmt.Sprintf("cut%d.onnx", cut)] = mlp[:cut]
	}
	for _, name := range Fixtures() {
		if strings.HasPrefix(name, "refused_") {
			broken[name+".onnx"] = ModelBytes(name)
		}
	}
	wantNotOpened(t, engine, broken)
	// A flipped byte may leave a valid model: it must only not crash.
	for i := range mlp {
		damaged := append([]byte{}, mlp...)
		damaged[i] ^= 0x55
		path := filepath.Join(t.TempDir(), "damaged.onnx")
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		session, err := engine.Open(context.Background(), path, runtime.Options{})
		if err != nil {
			WantNoPath(t, err)
			continue
		}
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := engine.Open(context.Background(), t.TempDir(), runtime.Options{}); err == nil {
		t.Error("a folder: want an error")
	}
}

func wantNotOpened(t *testing.T, engine runtime.Engine, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		session, err := engine.Open(context.Background(), path, runtime.Options{})
		if err == nil {
			t.Errorf("%s of %d bytes was opened", name, len(data))
			if err := session.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		WantNoPath(t, err)
		if strings.Contains(err.Error(), filepath.Dir(path)) || strings.Contains(err.Error(), name) {
			t.Errorf("error %q names the file", err)
		}
	}
}

// conformConcurrency runs one session from many goroutines, results of
// different lives held across each other, and checks every answer.
func conformConcurrency(t *testing.T, engine runtime.Engine) {
	const workers, rounds = 8, 40
	session := OpenFixture(t, engine, "two_in_two_out")
	inputs := make([][]runtime.Tensor, workers)
	for w := range inputs {
		v := float32(w)
		inputs[w] = Place(t, FP32("x", []int64{1, 2}, v, v), INT64("k", []int64{1}, int64(w)))
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			v := float32(w * w)
			var held runtime.Result
			for range rounds {
				res, err := session.Run(context.Background(), inputs[w], nil)
				if err != nil {
					t.Error(err)
					return
				}
				held.Release()
				wantTensors(t, res.Tensors, FP32("scaled", []int64{1, 2}, v, v), INT64("next", []int64{1}, int64(w)+1))
				held = res
			}
			held.Release()
		})
	}
	wg.Wait()
}
