package main

import (
	"runtime/debug"
	"testing"
)

func TestTheOperatorsCollectorSettingWins(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	f := func(gogc string, want int) {
		t.Helper()
		debug.SetGCPercent(100)
		setCollector(func(name string) string { return map[string]string{"GOGC": gogc}[name] })
		if got := debug.SetGCPercent(100); got != want {
			t.Errorf("GOGC=%q: %d percent, want %d", gogc, got, want)
		}
	}
	f("", collectorPercent)
	f("50", 100) // what the runtime read at its start stays
}
