package ort

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// longestSlice is the longest time slice that a thread of this niceness has.
func longestSlice(t *testing.T, nice int) (longest time.Duration) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			t.Fatal(err)
		}
		// An error says that the thread has ended.
		if a, err := unix.SchedGetAttr(id, 0); err == nil && int(a.Nice) == nice {
			longest = max(longest, time.Duration(a.Runtime))
		}
	}
	return longest
}

// kernelHasSlices reports whether a thread may choose its slice: since Linux
// 6.12.
func kernelHasSlices(t *testing.T) bool {
	t.Helper()
	var system unix.Utsname
	if err := unix.Uname(&system); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(system.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 12
}

// TestRunsAsideAreMadeByThreadsThatStandBack holds that there are as many
// threads as there were runs at once, nicer than the process, and none any more
// once the engine is closed.
func TestRunsAsideAreMadeByThreadsThatStandBack(t *testing.T) {
	engine, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	session, err := engine.Open(context.Background(), runtimetest.Model(t, "mlp"), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	want := min(lowest, 20-answer+handNice) // the system call answers 20 less the niceness
	count := func() (n int) {
		for _, nice := range nices(t) {
			if nice == want {
				n++
			}
		}
		return n
	}
	before := count()
	const rows, runs = 100_000, 3
	inputs := runtimetest.Place(t, floats(rows))
	var under, most atomic.Int64
	for range 4 {
		var wg sync.WaitGroup
		for range runs {
			wg.Go(func() {
				now := under.Add(1)
				for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
				}
				res, err := session.(runtime.AsideRunner).RunAside(context.Background(), inputs, nil)
				under.Add(-1)
				if err != nil {
					t.Error(err)
				}
				res.Release()
			})
		}
		wg.Wait()
	}
	if n := count() - before; n < 1 || n > int(most.Load()) {
		t.Errorf("%d threads of niceness %d after up to %d runs at once", n, want, most.Load())
	}
	if got := longestSlice(t, want); kernelHasSlices(t) && got != 100*time.Millisecond {
		t.Errorf("they have slices of %s", got)
	}
	closeSession(t, session)
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	// The kernel forgets a thread soon after it was joined.
	for until := time.Now().Add(20 * time.Second); count() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d threads of niceness %d are left", count()-before, want)
		}
	}
}
