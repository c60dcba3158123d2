package load

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of /proc: the kernel's USER_HZ is 100 on every platform
// that Go runs on.
const tick = 10 * time.Millisecond

// OwnCPU is the CPU time of this process.
func OwnCPU() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(unix.TimevalToNsec(u.Utime) + unix.TimevalToNsec(u.Stime)), nil
}

// ProcessCPU meters a whole server: the process, all its threads and all the
// processes below it, those that have ended and were waited for included.
func ProcessCPU(pid int) Meter {
	return func() (time.Duration, error) {
		stats, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			return 0, err
		}
		all := map[int]processStat{}
		for _, path := range stats {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // it has ended since
			}
			one, err := parseProcessStat(text)
			if err != nil {
				return 0, err
			}
			all[one.pid] = one
		}
		if _, ok := all[pid]; !ok {
			return 0, fmt.Errorf("there is no process %d", pid)
		}
		var sum time.Duration
		for at := range all {
			if below(all, at, pid) {
				sum += all[at].cpu
			}
		}
		return sum, nil
	}
}

// below reports whether a process is another or one of its descendants.
func below(all map[int]processStat, pid, root int) bool {
	for pid != root {
		one, ok := all[pid]
		if !ok || pid == one.parent {
			return false
		}
		pid = one.parent
	}
	return true
}

type processStat struct {
	pid, parent int
	cpu         time.Duration
}

// parseProcessStat reads the ids, and utime, stime, cutime and cstime, fields
// 14 to 17. The second field is the program's name in parentheses and may hold
// anything.
func parseProcessStat(stat []byte) (s processStat, err error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const parent, first, last = 4 - 3, 14 - 3, 17 - 3
	if len(fields) <= last {
		return s, errors.New("a process's stat has too few fields")
	}
	id, _, _ := bytes.Cut(stat, []byte(" "))
	if s.pid, err = strconv.Atoi(string(id)); err != nil {
		return s, fmt.Errorf("a process's id: %w", err)
	}
	if s.parent, err = strconv.Atoi(string(fields[parent])); err != nil {
		return s, fmt.Errorf("a process's parent: %w", err)
	}
	s.cpu, err = sumTicks(fields[first : last+1])
	return s, err
}

// MachineCPU is the CPU time that was not idle, of all cores together, what
// the hypervisor took away included.
func MachineCPU() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseMachineStat(stat)
}

func parseMachineStat(stat []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, errors.New("the machine's stat does not begin with its CPU times")
	}
	// user nice system idle iowait irq softirq steal
	return sumTicks([][]byte{fields[1], fields[2], fields[3], fields[6], fields[7], fields[8]})
}

func sumTicks(fields [][]byte) (time.Duration, error) {
	var sum int64
	for _, f := range fields {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("a CPU time in ticks: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * tick, nil
}
