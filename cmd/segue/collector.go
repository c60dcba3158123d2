package main

import (
	"log/slog"
	"runtime/debug"
)

// collectorPercent is how much garbage may gather, in percent of what lives,
// before it is collected. Bodies, tensors and models lie outside of Go's heap;
// what lives in it is a few megabytes, so that Go's own 100 has it collected
// some sixty times a second under 25,000 calls over gRPC: a sixth of a call's
// CPU. Predictions over HTTP leave no garbage. With 400 the resident set of a
// small gateway moves by a third as garbage comes and goes.
const collectorPercent = 200

// Of the memory that the process may hold, a quarter is Go's and the rest ONNX
// Runtime's: its models and what their runs need lie outside of Go's heap, and
// so do bodies and tensors. Go needs leastGoMemory whatever it does.
const (
	goMemoryPart  = 4
	leastGoMemory = 32 << 20
)

// setCollector lets more garbage gather than Go does by itself, but never so
// much that it takes the models' part of the memory, unless the operator says
// how much with GOGC or GOMEMLIMIT.
func setCollector(getenv func(string) string, m memory, log *slog.Logger) {
	if getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPercent)
	}
	limit, ok := m.limit()
	if !ok || getenv("GOMEMLIMIT") != "" {
		return
	}
	part := max(limit/goMemoryPart, leastGoMemory)
	debug.SetMemoryLimit(part)
	log.Debug("memory", "limit", limit, "go", part)
}
