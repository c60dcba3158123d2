package load

import (
	goruntime "runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// processors guards Go's number of processors between runs that begin or end at
// the same time.
var processors sync.Mutex

// claimProcessors gives Go n processors more: a thread that waits in an event
// loop keeps one, and meters and timers need some as well.
func claimProcessors(n int) (release func()) {
	add := func(n int) {
		processors.Lock()
		defer processors.Unlock()
		goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(0) + n)
	}
	add(n)
	return func() { add(-n) }
}

// startThreads runs f(0) to f(n-1), each on a thread of its own.
func startThreads(n int, f func(k int)) (wait func()) {
	release := claimProcessors(n)
	var wg sync.WaitGroup
	for k := range n {
		wg.Go(func() {
			goruntime.LockOSThread() // never unlocked: the thread ends with the goroutine, and its timer slack with it
			// Without it the kernel may wake the thread 50 µs late. Refused,
			// the lateness shows it.
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
			f(k)
		})
	}
	return func() {
		wg.Wait()
		release()
	}
}

// share is how many of n things thread k of some gets.
func share(n, k, threads int) int { return (n - k + threads - 1) / threads }
