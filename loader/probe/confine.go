package probe

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Confine sets the limits on this process, for good. It is meant for a child
// before it loads anything: a limit set earlier, between fork and exec, would
// need code that runs in a copy of the parent. Wall is the parent's to watch.
func Confine(l Limits) error {
	// Not dumpable also keeps a core from a handler that the kernel pipes it
	// to, which a limit of 0 does not.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("no core dumps: %w", err)
	}
	if err := setLimit(unix.RLIMIT_CORE, 0, 0); err != nil {
		return fmt.Errorf("no core dumps: %w", err)
	}
	if l.CPU > 0 {
		// Go only takes note of the soft limit's signal, so it is the hard
		// limit that ends the process.
		seconds := cpuSeconds(l)
		if err := setLimit(unix.RLIMIT_CPU, seconds, seconds); err != nil {
			return fmt.Errorf("limit of processor time: %w", err)
		}
	}
	if l.Memory > 0 {
		held, err := addressSpace()
		if err != nil {
			return fmt.Errorf("limit of memory: %w", err)
		}
		limit := held + uint64(l.Memory)
		if err := setLimit(unix.RLIMIT_AS, limit, limit); err != nil {
			return fmt.Errorf("limit of memory: %w", err)
		}
	}
	return nil
}

func cpuSeconds(l Limits) uint64 { return uint64(max(1, (l.CPU+time.Second-1)/time.Second)) }

// setLimit lowers a limit; one that is lower already stays.
func setLimit(resource int, soft, hard uint64) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(resource, &now); err != nil {
		return err
	}
	return unix.Setrlimit(resource, &unix.Rlimit{Cur: min(soft, now.Cur, now.Max), Max: min(hard, now.Max)})
}

// addressSpace returns the size of this process's address space in bytes. Go
// itself reserves some hundred MiB of it.
func addressSpace() (uint64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var pages uint64
	if _, err := fmt.Sscan(string(statm), &pages); err != nil {
		return 0, err
	}
	return pages * uint64(os.Getpagesize()), nil
}
