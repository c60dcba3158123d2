package ort

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

func background(t testing.TB, session runtime.Session, inputs []runtime.Tensor) (runtime.Result, time.Duration, error) {
	t.Helper()
	return session.(runtime.BackgroundRunner).RunBackground(context.Background(), inputs, nil)
}

func TestBackgroundRunsAnswerLikeOthers(t *testing.T) {
	engine := openEngine(t)
	for _, answer := range runtimetest.Answers() {
		session := runtimetest.OpenFixture(t, engine, answer.Model)
		res, took, err := background(t, session, runtimetest.Place(t, answer.Inputs...))
		if err != nil {
			t.Fatalf("%s: %v", answer.Model, err)
		}
		if took <= 0 || took > time.Minute {
			t.Errorf("%s: took %s", answer.Model, took)
		}
		for i := range answer.Outputs {
			if diff := runtimetest.Diff(res.Tensors[i], answer.Outputs[i]); diff != "" {
				t.Errorf("%s: %s", answer.Model, diff)
			}
		}
		res.Release()
	}
}

func TestBackgroundRunsAreRefusedLikeOthers(t *testing.T) {
	session, err := openEngine(t).Open(context.Background(), runtimetest.Model(t, "mlp"), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := background(t, session, nil); err == nil || !strings.Contains(err.Error(), "0 inputs given") {
		t.Errorf("no inputs: got %v", err)
	}
	closeSession(t, session)
	if _, _, err := background(t, session, nil); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("closed session: got %v", err)
	}
}

// nices are the nicenesses of this process's threads.
func nices(t testing.TB) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		// The name, in brackets, may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		nice, err := strconv.Atoi(fields[16])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, nice)
	}
	return all
}

// TestErrandsStepBackAndAreHelped watches the threads of a run that takes long:
// its own has the lowest priority, then one that lets it end, and none of Go's
// has another than before.
func TestErrandsStepBackAndAreHelped(t *testing.T) {
	engine := openEngine(t)
	session := runtimetest.OpenFixture(t, engine, "large")
	// The system call answers 20 less the niceness.
	answer, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	before := 20 - answer
	seen := map[int]bool{}
	for rows := int64(256); rows < 1<<16 && (!seen[engine.priority.first] || !seen[engine.priority.then]); rows *= 2 {
		inputs := runtimetest.Place(t, runtimetest.Pattern("x", runtime.FP32, []int64{rows, 1024}))
		var done atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			defer done.Store(true)
			res, _, err := background(t, session, inputs)
			if err != nil {
				t.Error(err)
			}
			res.Release()
		})
		for !done.Load() {
			for _, nice := range nices(t) {
				seen[nice] = true
			}
		}
		wg.Wait()
	}
	if !seen[engine.priority.first] || !seen[engine.priority.then] {
		t.Errorf("saw threads of niceness %v, want %+v", seen, engine.priority)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		all := nices(t)
		if !slices.ContainsFunc(all, func(nice int) bool { return nice != before }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("threads of niceness %v are left, want all at %d", all, before)
		}
	}
}

func TestThePriorityOfErrandsIsOneThatCanBeMended(t *testing.T) {
	f := func(own int, mayRaise bool, want priority) {
		t.Helper()
		if got := errandPriority(own, mayRaise); got != want {
			t.Errorf("niceness %d, may raise %v: got %+v, want %+v", own, mayRaise, got, want)
		}
	}
	f(0, true, priority{19, 10})
	f(0, false, priority{10, 10})
	f(-5, false, priority{10, 10})
	f(15, true, priority{19, 15})
	f(15, false, priority{15, 15})
	f(19, true, priority{19, 19})
}

// TestErrandsEndOnABusyMachine holds that a version comes to life within
// seconds where every core is kept busy, with the privilege to raise a thread
// and without.
func TestErrandsEndOnABusyMachine(t *testing.T) {
	engine := openEngine(t)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 2 * goruntime.NumCPU() {
		wg.Go(func() {
			for !stop.Load() {
			}
		})
	}
	defer wg.Wait()
	defer stop.Store(true)
	inputs := runtimetest.Place(t, runtimetest.Pattern("x", runtime.FP32, []int64{8, 1024}))
	for _, p := range []priority{engine.priority, errandPriority(0, false)} {
		engine.priority = p
		began := time.Now()
		session, err := engine.Open(context.Background(), runtimetest.Model(t, "large"), runtime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		res, _, err := background(t, session, inputs)
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
		closeSession(t, session)
		t.Logf("%+v: %s", p, time.Since(began))
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%+v: opened, run and closed after %s", p, took)
		}
	}
}

// TestErrandsAreDoneWithoutFiles holds that a process which has no file
// descriptor left still closes its sessions.
func TestErrandsAreDoneWithoutFiles(t *testing.T) {
	engine := openEngine(t)
	session, err := engine.Open(context.Background(), runtimetest.Model(t, "mlp"), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, eventfd := unix.Eventfd(0, unix.EFD_CLOEXEC)
	closed := session.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if eventfd == nil || closed != nil {
		t.Errorf("eventfd: %v, want an error; close: %v, want none", eventfd, closed)
	}
}

func TestAnErrandTakesNoThreadOrFileWithIt(t *testing.T) {
	engine := openEngine(t)
	session := runtimetest.OpenFixture(t, engine, "mlp")
	inputs := runtimetest.Place(t, runtimetest.Pattern("x", runtime.FP32, []int64{1, 32}))
	count := func() string {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d goroutines, %d files", goruntime.NumGoroutine(), len(files))
	}
	before := count()
	for range 100 {
		res, _, err := background(t, session, inputs)
		if err != nil {
			t.Fatal(err)
		}
		res.Release()
	}
	if after := count(); after != before {
		t.Errorf("%s before, %s after", before, after)
	}
	if threads := len(nices(t)); threads > 50 {
		t.Errorf("%d threads are left", threads)
	}
}
