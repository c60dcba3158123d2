package probe

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Confinement says what shuts a child in.
type Confinement struct {
	// InPlace lists what holds, in few words each.
	InPlace []string `json:"in_place,omitempty"`
	// Missing lists what this kernel would not do, and why.
	Missing []string `json:"missing,omitempty"`
}

func (c *Confinement) holds(format string, args ...any) {
	c.InPlace = append(c.InPlace, fmt.Sprintf(format, args...))
}

func (c *Confinement) lacks(what string, err error) {
	c.Missing = append(c.Missing, fmt.Sprintf("%s: %v", what, err))
}

// confine shuts this process in, for good: limits, no inherited files, no new
// privileges, a filter of system calls, and of all files only those below the
// folders that are named to be read; with devices, those of a driver too. It is
// meant for a child before it loads anything: a limit set earlier, between fork
// and exec, would need code that runs in a copy of the parent. Wall and Resident
// are the parent's to watch.
//
// What a limit says is held or an error. The filters are a second line behind
// them, which some kernels and containers do not have; what is missing is said.
func confine(l Limits, reads []string, devices bool) (Confinement, error) {
	var c Confinement
	// The filter of system calls is taken over by the other threads from the
	// one that says that it wants no privileges.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	if err := closeInherited(); err != nil {
		return c, fmt.Errorf("close what was inherited: %w", err)
	}
	// Where memory ends all the same, this process is to go and not its parent.
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0); err != nil {
		c.lacks("first to go when memory ends", err)
	}
	if err := limit(l, &c); err != nil {
		return c, err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return c, fmt.Errorf("no new privileges: %w", err)
	}
	c.holds("no new privileges")
	if abi, err := filterFiles(reads, devices); err != nil {
		c.lacks("files (Landlock)", err)
	} else {
		c.holds("files: reads only the artifact and libraries (Landlock ABI %d)", abi)
	}
	if err := filterCalls(); err != nil {
		c.lacks("system calls (seccomp)", err)
	} else {
		c.holds("system calls: no program, no socket but Unix's, nothing of other processes or the kernel (seccomp)")
	}
	return c, nil
}

func limit(l Limits, c *Confinement) error {
	// Not dumpable also keeps a core from a handler that the kernel pipes it
	// to, which a limit of 0 does not.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("no core dumps: %w", err)
	}
	if err := setLimit(unix.RLIMIT_CORE, 0, 0); err != nil {
		return fmt.Errorf("no core dumps: %w", err)
	}
	// The report may go to a file.
	if err := setLimit(unix.RLIMIT_FSIZE, maxReportBytes, maxReportBytes); err != nil {
		return fmt.Errorf("limit of written files: %w", err)
	}
	c.holds("no core dumps")
	if l.CPU > 0 {
		// Go only takes note of the soft limit's signal, so it is the hard
		// limit that ends the process.
		seconds := cpuSeconds(l)
		if err := setLimit(unix.RLIMIT_CPU, seconds, seconds); err != nil {
			return fmt.Errorf("limit of processor time: %w", err)
		}
		c.holds("processor time: %d s", seconds)
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
		c.holds("address space: %d MiB", l.Memory>>20)
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

// closeInherited closes what native code of the parent opened without saying
// that it is not for children. Whatever this process opened by itself bears
// that mark, so what lacks it above ReportFD was inherited.
func closeInherited() error {
	const folder = "/proc/self/fd"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= ReportFD {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // the folder's own, closed by now; or one of this process
		}
		to, _ := os.Readlink(filepath.Join(folder, e.Name())) // for the message alone
		if err := unix.Close(fd); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(to), err)
		}
	}
	return nil
}
