package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/segue-serving/segue/bench/report"
)

// describe says what the figures of a commit will depend on, as it is now.
func describe(commit string) (report.Setup, error) {
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return report.Setup{}, err
	}
	machine, err := machine()
	if err != nil {
		return report.Setup{}, err
	}
	return report.Setup{
		Started: time.Now().UTC().Truncate(time.Second), Commit: commit, Machine: machine,
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

// commit names the tree that dir lies in, with a mark where it has changes that
// are not committed. Those below out are none: what is written there is read by
// nobody who is measured, and a scenario's results would mark the next ones. A
// folder that holds the whole tree holds the code too, and hides nothing.
func commit(ctx context.Context, dir, out string) string {
	git := func(arguments ...string) (string, error) {
		text, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, arguments...)...).Output()
		return string(text), err
	}
	head, headErr := git("rev-parse", "--short=12", "--verify", "--quiet", "HEAD")
	root, rootErr := git("rev-parse", "--show-toplevel")
	changes, statusErr := git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
	if headErr != nil || rootErr != nil || statusErr != nil {
		return "unknown"
	}
	name := strings.TrimSpace(head)
	results := below(strings.TrimSuffix(root, "\n"), out)
	for change := range strings.SplitSeq(strings.TrimSuffix(changes, "\x00"), "\x00") {
		// Two letters say what has changed, then come a blank and the path.
		if change != "" && (results == "" || !strings.HasPrefix(change[3:], results)) {
			return name + "-dirty"
		}
	}
	return name
}

// below is the beginning of the paths, as git writes them, of all files of a
// folder in the tree at root; empty where it is not below it.
func below(root, folder string) string {
	absolute, err := filepath.Abs(folder)
	if err != nil || folder == "" {
		return ""
	}
	// Git names the tree without links. A folder that is not there yet has no
	// changes, and no links either.
	if real, err := filepath.EvalSymlinks(absolute); err == nil {
		absolute = real
	}
	relative, err := filepath.Rel(root, absolute)
	if err != nil || relative == "." || !filepath.IsLocal(relative) {
		return ""
	}
	return filepath.ToSlash(relative) + "/"
}
