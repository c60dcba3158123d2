package probe

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// How often a child's memory is looked at. What it can take in between is
// bounded by how fast the kernel gives pages out, some GiB a second.
const residentLook = 10 * time.Millisecond

var errResidentLimit = errors.New("the limit of memory was reached")

// watchResident ends a child that holds more memory than the limit, which is
// for devices whose address space says nothing, and for a machine that has less
// than a model may reserve. The function returned stops the watch.
func watchResident(child int, limit int64, end func(cause error)) (stop func()) {
	if limit <= 0 {
		return func() {}
	}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(residentLook)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
			if held := residentOf(child); held > limit {
				end(fmt.Errorf("the try took %d MiB of memory, and may take %d MiB: %w", held>>20, limit>>20, errResidentLimit))
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-done
	}
}

// residentOf is what a process holds in memory, 0 once it has ended.
func residentOf(pid int) int64 {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	var all, resident int64
	if _, err := fmt.Sscan(string(statm), &all, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
