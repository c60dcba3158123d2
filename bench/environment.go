package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-serving/segue/bench/report"
)

// describe says what the figures will depend on, as it is now.
func describe(ctx context.Context) (report.Setup, error) {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return report.Setup{}, err
	}
	machine, err := machine()
	if err != nil {
		return report.Setup{}, err
	}
	return report.Setup{
		Started: time.Now().UTC().Truncate(time.Second), Commit: commit(ctx), Machine: machine,
		LoadAverage: strings.Join(strings.Fields(string(load))[:3], " "),
		Versions:    []report.Version{{Part: "Go", Version: strings.TrimPrefix(goruntime.Version(), "go")}},
	}, nil
}

func machine() (report.Machine, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return report.Machine{}, err
	}
	cpus, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return report.Machine{}, err
	}
	memory, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return report.Machine{}, err
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(field(string(memory), "MemTotal"), " kB"), 10, 64)
	if err != nil {
		return report.Machine{}, fmt.Errorf("size of the memory: %w", err)
	}
	return report.Machine{
		CPU: field(string(cpus), "model name"), Cores: goruntime.NumCPU(), MemoryMiB: kib >> 10,
		Kernel: unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]),
	}, nil
}

// field reads the first "name : value" of a file of /proc.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// commit names the tree that was measured, with a mark where it has changes
// that are not committed.
func commit(ctx context.Context) string {
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "--verify", "--quiet", "HEAD").Output()
	changes, statusErr := exec.CommandContext(ctx, "git", "status", "--porcelain").Output()
	name := strings.TrimSpace(string(head))
	if err != nil || statusErr != nil || name == "" {
		return "unknown"
	}
	if len(changes) > 0 {
		name += "-dirty"
	}
	return name
}
