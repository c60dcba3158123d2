package main

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	goruntime "runtime"
	"strconv"
	"strings"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/runtime/batch"
)

// tooManyThreads says what is amiss where the runs of a version that may be
// under way at once, one for each core, have more threads than there are cores;
// "" where they have not.
func tooManyThreads(cores int, w loader.Wanted) string {
	if w.Device != configs.DefaultDevice || w.Threads <= 1 {
		return ""
	}
	return fmt.Sprintf("runs of %d threads, and as many at once as there are cores (%d): under load they get in each other's way", w.Threads, cores)
}

// newExecutor has a place for a run on each of n cores. Beside workers, which
// compute on threads that Go does not count, the kernel may put a thread of Go's
// off in the middle of a system call, and Go gives what it holds to another only
// after up to ten milliseconds; so each worker adds to the threads that Go may
// run.
func newExecutor(n int) *batch.Executor {
	return batch.New(batch.Options{Permits: n, OnWorkers: func(workers int) { goruntime.GOMAXPROCS(n + workers) }})
}

// cores is how many the process may use: as many as GOMAXPROCS says where it is
// set, else the least of the CPUs that it may run on and the limits of its
// control groups, rounded up. Go's own reckoning is never under 2.
func cores(root fs.FS) int {
	if n, err := strconv.Atoi(os.Getenv("GOMAXPROCS")); err == nil && n > 0 {
		return n
	}
	least := float64(goruntime.NumCPU())
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return int(least)
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(parts) != 3 || parts[1] != "" && !strings.Contains(","+parts[1]+",", ",cpu,") {
			continue
		}
		mount := "sys/fs/cgroup"
		if parts[1] != "" {
			mount = "sys/fs/cgroup/cpu"
		}
		for at := path.Clean("/" + parts[2]); ; at = path.Dir(at) {
			least = min(least, share(root, path.Join(mount, at)))
			if at == "/" {
				break
			}
		}
	}
	return max(1, int(math.Ceil(least)))
}

// share is how many CPUs' time a control group may use, infinite without a
// limit.
func share(root fs.FS, group string) float64 {
	read := func(name string) []string {
		text, _ := fs.ReadFile(root, path.Join(group, name)) // missing is no limit
		return strings.Fields(string(text))
	}
	limit := read("cpu.max") // of version 2: quota and period
	if len(limit) == 0 {
		limit = append(read("cpu.cfs_quota_us"), read("cpu.cfs_period_us")...)
	}
	if len(limit) != 2 {
		return math.Inf(1)
	}
	quota, err := strconv.ParseFloat(limit[0], 64)
	period, periodErr := strconv.ParseFloat(limit[1], 64)
	if err != nil || periodErr != nil || quota <= 0 || period <= 0 {
		return math.Inf(1) // the word max, or -1
	}
	return quota / period
}
