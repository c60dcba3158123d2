package load

import (
	"bytes"
	"errors"
	"fmt"
	"os"
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

// ProcessCPU meters a whole process: all its threads, and the children that it
// has waited for.
func ProcessCPU(pid int) Meter {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	return func() (time.Duration, error) {
		stat, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		return parseProcessStat(stat)
	}
}

// parseProcessStat reads utime, stime, cutime and cstime, fields 14 to 17. The
// second field is the program's name in parentheses and may hold anything.
func parseProcessStat(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const first, last = 14 - 3, 17 - 3
	if len(fields) <= last {
		return 0, errors.New("a process's stat has too few fields")
	}
	return sumTicks(fields[first : last+1])
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
