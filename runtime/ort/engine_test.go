package ort

import (
	"bytes"
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

// deviceEnv names the device on which the conformance suite and the benchmarks
// run, as in a document; the CPU without it. make device sets it.
const deviceEnv = "SEGUE_DEVICE"

// deviceTolerance is for arithmetic that is not the CPU's: sums are made in
// another order there, and products of FP32 may be rounded to TF32.
const deviceTolerance = 1e-3

func TestConformance(t *testing.T) {
	device, tolerance := os.Getenv(deviceEnv), 0.0
	if strings.HasPrefix(device, "cuda") {
		tolerance = deviceTolerance
	}
	runtimetest.ConformanceWithin(t, tolerance, func(t *testing.T) runtime.Engine {
		engine, err := Open(Config{})
		if err != nil {
			t.Fatal(err)
		}
		return runtimetest.OnDevice(engine, device)
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
