package ort

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// openEngine opens the library that the environment names, and closes it at
// the test's end.
func openEngine(t testing.TB) *Engine {
	t.Helper()
	engine, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine
}

func TestConformance(t *testing.T) {
	runtimetest.Conformance(t, func(t *testing.T) runtime.Engine {
		engine, err := Open(Config{})
		if err != nil {
			t.Fatal(err)
		}
		return engine
	})
}

func TestBrokenModelsAreRefusedWithoutACrash(t *testing.T) {
	runtimetest.ConformanceBroken(t, openEngine(t))
}

func TestOneEngineAtATime(t *testing.T) {
	var log bytes.Buffer
	first, err := Open(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "version="+first.Version()) {
		t.Errorf("log %q does not name version %s", log.String(), first.Version())
	}
	if _, err := Open(Config{}); !errors.Is(err, ErrInUse) {
		t.Errorf("second engine: got %v, want ErrInUse", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := Open(Config{})
	if err != nil {
		t.Fatalf("an engine after the first was closed: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestAFileThatIsNotTheLibraryIsRefusedAndChangesNothing(t *testing.T) {
	for _, path := range []string{"engine_test.go", "testdata/none", "."} {
		_, err := Open(Config{Library: path})
		if err == nil || !strings.Contains(err.Error(), "make build") {
			t.Errorf("%s: got %v, want an error that says what to do", path, err)
		}
	}
	_, err := Open(Config{Library: otherLibrary(t)})
	if err == nil || !strings.Contains(err.Error(), "is not ONNX Runtime") {
		t.Errorf("another library: got %v, want it to say that it is not ONNX Runtime", err)
	}
	openEngine(t)
}

// otherLibrary is the C library that this test is linked with.
func otherLibrary(t *testing.T) string {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if at := strings.IndexByte(line, '/'); at >= 0 && strings.Contains(line, "/libc") {
			return strings.TrimSpace(line[at:])
		}
	}
	t.Fatal("no C library is mapped")
	return ""
}

func TestDevices(t *testing.T) {
	engine := openEngine(t)
	path := runtimetest.Model(t, "mlp")
	f := func(device string, threads int, want string) {
		t.Helper()
		session, err := engine.Open(context.Background(), path, runtime.Options{Device: device, Threads: threads})
		if err == nil {
			closeSession(t, session)
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("device %q, %d threads: got %v, want %q", device, threads, err, want)
		}
	}
	f("", 0, "")
	f("cpu", 2, "")
	f("cpu", -1, "threads: -1 is negative")
	f("gpu", 0, `device "gpu": want cpu, cuda or cuda:<n>`)
	f("cuda:", 0, `device "cuda:"`)
	f("cuda:-1", 0, `device "cuda:-1"`)
	f("cuda0", 0, `device "cuda0"`)
	f("0", 0, `device "0"`)
	f("CPU", 0, `device "CPU"`)
}

// TestCUDAIsRefusedWhereItIsNot runs on libraries for the CPU alone, which is
// what the project pins.
func TestCUDAIsRefusedWhereItIsNot(t *testing.T) {
	engine := openEngine(t)
	for _, device := range []string{"cuda", "cuda:1"} {
		_, err := engine.Open(context.Background(), runtimetest.Model(t, "mlp"), runtime.Options{Device: device, MemoryLimit: 1 << 30})
		if err == nil || !strings.Contains(err.Error(), "asked for, but this libonnxruntime has no CUDA provider") {
			t.Errorf("%s: got %v, want it to say that there is no CUDA provider", device, err)
		}
		t.Log(err)
	}
}
