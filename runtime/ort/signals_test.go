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
