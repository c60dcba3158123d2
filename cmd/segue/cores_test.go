package main

import (
	goruntime "runtime"
	"testing"
	"testing/fstest"

	"github.com/segue-serving/segue/loader"
)

func TestCoresFollowTheControlGroups(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	all := goruntime.NumCPU()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  int
	}{
		"no groups":                     {fstest.MapFS{}, all},
		"no limit":                      {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/cpu.max": file("max 100000\n")}, all},
		"half a core":                   {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/cpu.max": file("50000 100000\n")}, 1},
		"a limit above":                 {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/cpu.max": file("100000 100000\n")}, 1},
		"the mount is its group":        {fstest.MapFS{"proc/self/cgroup": file("0::/docker/x\n"), "sys/fs/cgroup/cpu.max": file("90000 100000\n")}, 1},
		"more than there are":           {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/cpu.max": file("99900000 100000\n")}, all},
		"version 1":                     {fstest.MapFS{"proc/self/cgroup": file("4:cpu,cpuacct:/a\n"), "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": file("70000\n"), "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": file("100000\n")}, 1},
		"version 1 without a limit":     {fstest.MapFS{"proc/self/cgroup": file("4:cpu:/\n"), "sys/fs/cgroup/cpu/cpu.cfs_quota_us": file("-1\n"), "sys/fs/cgroup/cpu/cpu.cfs_period_us": file("100000\n")}, all},
		"a group of another controller": {fstest.MapFS{"proc/self/cgroup": file("4:cpuset:/\n"), "sys/fs/cgroup/cpu/cpu.cfs_quota_us": file("1\n"), "sys/fs/cgroup/cpu/cpu.cfs_period_us": file("100000\n")}, all},
	} {
		if got := cores(c.files); got != c.want {
			t.Errorf("%s: %d cores, want %d", name, got, c.want)
		}
	}
	t.Setenv("GOMAXPROCS", "7")
	if got := cores(fstest.MapFS{}); got != 7 {
		t.Errorf("%d cores with GOMAXPROCS=7", got)
	}
}

func TestRunsWithMoreThreadsThanCoresAreWarnedOf(t *testing.T) {
	for _, c := range []struct {
		cores   int
		device  string
		threads int
		want    string
	}{
		{2, "cpu", 1, ""},
		{2, "cpu", 0, ""},
		{2, "cpu", 4, "runs of 4 threads, and as many at once as there are cores (2): under load they get in each other's way"},
		{1, "cpu", 2, "runs of 2 threads, and as many at once as there are cores (1): under load they get in each other's way"},
		{2, "cuda:0", 4, ""},
	} {
		if got := tooManyThreads(c.cores, loader.Wanted{Device: c.device, Threads: c.threads}); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
