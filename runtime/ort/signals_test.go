package ort

import (
	"os"
	"os/signal"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// kernelAction is how the kernel takes a signal's handler.
type kernelAction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// overwrite puts a handler in the place of Go's, as libraries of CUDA do. The
// address is nobody's: a signal that comes to it ends the process.
func overwrite(t *testing.T, signals ...syscall.Signal) {
	t.Helper()
	for _, s := range signals {
		foreign := kernelAction{handler: 0x1000}
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&foreign)), 0, 8, 0, 0)
		if errno != 0 {
			t.Fatalf("signal %d: %v", s, errno)
		}
	}
}

func handler(t *testing.T, s syscall.Signal) uintptr {
	t.Helper()
	var now kernelAction
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), 0, uintptr(unsafe.Pointer(&now)), 8, 0, 0)
	if errno != 0 {
		t.Fatalf("signal %d: %v", s, errno)
	}
	return now.handler
}

func TestGoKeepsItsSignalHandlers(t *testing.T) {
	engine := openEngine(t)
	faults := []syscall.Signal{syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGABRT, syscall.SIGTERM}
	before := map[syscall.Signal]uintptr{}
	for _, s := range faults {
		before[s] = handler(t, s)
	}
	if n := engine.signals.restore(); n != 0 {
		t.Errorf("%d handlers put back before any was replaced", n)
	}
	// The scheduler's own SIGURG would find the handler at once.
	overwrite(t, faults...)
	if n := engine.signals.restore(); n != len(faults) {
		t.Errorf("%d handlers put back, want %d", n, len(faults))
	}
	for _, s := range faults {
		if handler(t, s) != before[s] {
			t.Errorf("%v: another handler than before", s)
		}
	}
	defer func() {
		err, ok := recover().(goruntime.Error)
		if !ok || !strings.Contains(err.Error(), "nil pointer") {
			t.Errorf("a fault of Go's own became %v, want a panic", err)
		}
	}()
	var nothing *int
	*nothing = 1
}

// TestARunOnADeviceLeavesGoItsSignals has a session that is taken for one on a
// device, and a library that took a handler during its run.
func TestARunOnADeviceLeavesGoItsSignals(t *testing.T) {
	engine := openEngine(t)
	opened := runtimetest.OpenFixture(t, engine, "mlp")
	bound, err := opened.(runtime.Binder).Bind([][]int64{{1, 32}}, [][]int64{{1, 3}})
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	opened.(*session).device = device{cuda: true}
	inputs := runtimetest.Place(t, floats(1))
	before := handler(t, syscall.SIGTERM)
	for name, run := range map[string]func() error{
		"run":   func() error { res, err := opened.Run(t.Context(), inputs, nil); res.Release(); return err },
		"bound": func() error { return bound.Run(t.Context()) },
		"background": func() error {
			res, _, err := opened.(runtime.BackgroundRunner).RunBackground(t.Context(), inputs, nil)
			res.Release()
			return err
		},
	} {
		overwrite(t, syscall.SIGTERM)
		if err := run(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if handler(t, syscall.SIGTERM) != before {
			t.Errorf("%s: the handler is another than before", name)
			engine.signals.restore()
		}
	}
}

// BenchmarkKeepSignals is what a run on a device pays for Go's handlers.
func BenchmarkKeepSignals(b *testing.B) {
	engine := openEngine(b)
	for b.Loop() {
		engine.keepSignals()
	}
}

// TestWhatGoChangedStays holds that handlers which the program itself asked for
// or gave up after the engine was opened are not undone.
func TestWhatGoChangedStays(t *testing.T) {
	engine := openEngine(t)
	signal.Ignore(syscall.SIGUSR2)
	defer signal.Reset(syscall.SIGUSR2)
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGUSR1)
	defer signal.Stop(got)
	if n := engine.signals.restore(); n != 0 {
		t.Errorf("%d handlers put back, want none", n)
	}
	for _, s := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGUSR1} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-got:
	case <-time.After(20 * time.Second):
		t.Error("a signal that was asked for did not come")
	}
}
