package main

import (
	"log/slog"
	"math"
	"runtime/debug"
	"testing"
)

func TestTheOperatorsCollectorSettingWins(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer debug.SetGCPercent(percent)
	defer debug.SetMemoryLimit(limit)
	small := map[string]string{"proc/meminfo": "MemTotal: 4194304 kB\n", "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1073741824\n"}
	for name, c := range map[string]struct {
		env     map[string]string
		machine map[string]string
		percent int
		limit   int64
	}{
		"nothing is known":     {nil, nil, collectorPercent, math.MaxInt64},
		"the control group's":  {nil, small, collectorPercent, 256 << 20},
		"the machine's":        {nil, map[string]string{"proc/meminfo": "MemTotal: 4194304 kB\n"}, collectorPercent, 1 << 30},
		"too small for Go":     {nil, map[string]string{"proc/meminfo": "MemTotal: 65536 kB\n"}, collectorPercent, 32 << 20},
		"GOMEMLIMIT is set":    {map[string]string{"GOMEMLIMIT": "1GiB"}, small, collectorPercent, math.MaxInt64},
		"GOGC is set":          {map[string]string{"GOGC": "50"}, small, 100, 256 << 20},
		"the operator does it": {map[string]string{"GOGC": "off", "GOMEMLIMIT": "1GiB"}, small, 100, math.MaxInt64},
	} {
		debug.SetGCPercent(100) // what the runtime read at its start stays
		debug.SetMemoryLimit(math.MaxInt64)
		setCollector(func(name string) string { return c.env[name] }, memory{root: machine(c.machine)}, slog.New(slog.DiscardHandler))
		if percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1); percent != c.percent || limit != c.limit {
			t.Errorf("%s: %d percent and %d bytes, want %d and %d", name, percent, limit, c.percent, c.limit)
		}
	}
}
