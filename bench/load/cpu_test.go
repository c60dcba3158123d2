package load

import (
	"os"
	"testing"
	"time"
)

func TestProcessStatIsRead(t *testing.T) {
	stat := "42 (a (strange) name) S 1 42 42 0 -1 4194560 100 200 0 0 7 5 3 2 20 0 9 0 100 1 2\n"
	if got, err := parseProcessStat([]byte(stat)); err != nil || got != (processStat{pid: 42, parent: 1, cpu: 170 * time.Millisecond}) {
		t.Errorf("got %+v, %v, want 170ms", got, err)
	}
	for _, bad := range []string{"", "42 (x) S 1", "42 (x) S 1 42 42 0 -1 0 0 0 0 0 a 5 3 2 20",
		"42 (x) S z 42 42 0 -1 0 0 0 0 0 1 5 3 2 20", "x (x) S 1 42 42 0 -1 0 0 0 0 0 1 5 3 2 20"} {
		if got, err := parseProcessStat([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func TestProcessesBelowAServerAreItsOwn(t *testing.T) {
	all := map[int]processStat{1: {parent: 0}, 10: {parent: 1}, 11: {parent: 10}, 12: {parent: 11}, 20: {parent: 1}, 30: {parent: 99}}
	for pid, want := range map[int]bool{10: true, 11: true, 12: true, 1: false, 20: false, 30: false} {
		if below(all, pid, 10) != want {
			t.Errorf("process %d is below 10: %v, want %v", pid, !want, want)
		}
	}
}

func TestMachineStatIsRead(t *testing.T) {
	stat := "cpu  10 1 20 5000 600 2 3 4 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"
	if got, err := parseMachineStat([]byte(stat)); err != nil || got != 400*time.Millisecond {
		t.Errorf("got %s, %v, want 400ms: idle and iowait are no work", got, err)
	}
	for _, bad := range []string{"", "cpu 1 2 3\n", "intr 1 2 3 4 5 6 7 8 9\n", "cpu a 2 3 4 5 6 7 8\n"} {
		if got, err := parseMachineStat([]byte(bad)); err == nil {
			t.Errorf("%q is read as %s", bad, got)
		}
	}
}

func TestMetersMoveWithWork(t *testing.T) {
	for name, meter := range map[string]Meter{"own": OwnCPU, "process": ProcessCPU(os.Getpid()), "machine": MachineCPU} {
		before, err := meter()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// A thread's time is counted in ticks: work until one has passed.
		after := before
		for deadline := time.Now().Add(10 * time.Second); after == before && time.Now().Before(deadline); {
			if after, err = meter(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if after <= before {
			t.Errorf("%s: %s of CPU time after work, %s before", name, after, before)
		}
	}
	if _, err := ProcessCPU(1 << 30)(); err == nil {
		t.Error("a process that is not there has CPU time")
	}
}
