package main

import (
	"io/fs"
	"os"
	"testing"
	"testing/fstest"
)

func machine(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestTheMemoryLimitIsTheLeastThatHolds(t *testing.T) {
	const total = "MemTotal:        8 kB\nMemFree: 1 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"the machine's": {map[string]string{"proc/meminfo": total}, 8192},
		"no limit": {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n"}, 8192},
		"the group's": {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "4096\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 4096},
		"of a group above": {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "4096\n", "sys/fs/cgroup/a/memory.max": "2048\n"}, 2048},
		"in a container": {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "0::/kubepods/pod1/c\n",
			"sys/fs/cgroup/memory.max": "1024\n"}, 1024},
		"version 1": {map[string]string{"proc/meminfo": total, "proc/self/cgroup": "7:cpu,cpuacct:/x\n6:memory:/a\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "512\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 512},
		"nothing known": {nil, 0},
	} {
		got, ok := memory{root: machine(c.files)}.limit()
		if ok != (c.want > 0) || ok && got != c.want {
			t.Errorf("%s: %d %v, want %d", name, got, ok, c.want)
		}
	}
}

func TestTheResidentSetIsCountedInBytes(t *testing.T) {
	got, err := memory{root: machine(map[string]string{"proc/self/statm": "100 7 3 1 0 9 0\n"})}.resident()
	if want := int64(7 * os.Getpagesize()); err != nil || got != want {
		t.Errorf("%d %v, want %d", got, err, want)
	}
	for name, files := range map[string]map[string]string{"no file": nil, "no numbers": {"proc/self/statm": "x"}} {
		if got, err := (memory{root: machine(files)}).resident(); err == nil {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got, err := newMemory(0).resident(); err != nil || got < 1<<20 {
		t.Errorf("of this process: %d %v", got, err)
	}
}
