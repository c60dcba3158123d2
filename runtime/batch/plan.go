package batch

import (
	"fmt"
	"time"
)

// Plan is how an instance runs its calls, as Warm chose it, with the figures
// that it chose by.
type Plan struct {
	// Mode is ModeInline or ModeWorker.
	Mode string `json:"mode"`
	// Fixed and PerRow are the cost of a run of n rows: Fixed + n·PerRow.
	Fixed  time.Duration `json:"fixed_ns"`
	PerRow time.Duration `json:"per_row_ns"`
	// MaxBatch is how many rows of several calls may share a run, 1 where none
	// do, and Batching says why.
	MaxBatch int    `json:"max_batch"`
	Batching string `json:"batching"`
	// Sessions is how many there are, Workers how many runs may be under way.
	Sessions int `json:"instances"`
	Workers  int `json:"workers"`
	// Prepared says that runs are made on memory that is known to the engine.
	Prepared bool `json:"prepared"`
}

// The values of Plan.Mode.
const (
	// ModeInline runs a call in its caller's goroutine.
	ModeInline = "inline"
	// ModeWorker hands a call over to a worker.
	ModeWorker = "worker"
)

const (
	// longRun is the run time from which a call is handed over to a worker: from
	// there on the slowest calls are faster by a quarter to three quarters and
	// about as many get through; below it a tenth to a fifth fewer do
	// (BenchmarkInlineAgainstWorkers).
	longRun = 100 * time.Microsecond
	// longBatch is the same where a batch pays, which makes up for that.
	longBatch = 50 * time.Microsecond
	// worthwhile is how many times more rows the largest batch must get through
	// in the same time than runs of one row: more than the fifth that a
	// hand-over may cost. What gains less only waits longer.
	worthwhile = 1.3
)

// Plan returns how calls are run.
func (i *Instance) Plan() Plan { return i.way.Load().plan }

// choose decides how calls are run from what was measured. apart says why rows
// may not share a run, ready are the runs that were made ready.
func (i *Instance) choose(report WarmReport, apart string, ready *slots) Plan {
	one := report.Fixed + report.PerRow
	if len(report.Runs) > 0 && report.Runs[0].Rows == 1 {
		one = report.Runs[0].Best
	}
	plan := Plan{Mode: ModeInline, Fixed: report.Fixed, PerRow: report.PerRow, MaxBatch: 1, Batching: "off: " + apart, Sessions: len(i.sessions)}
	device := i.options.Device != "" && i.options.Device != "cpu"
	gain := 1.0
	if n := len(report.Runs); apart == "" && n > 0 && report.Runs[n-1].Rows > 1 {
		last := report.Runs[n-1]
		gain = float64(one) * float64(last.Rows) / float64(max(1, last.Best))
		apart = fmt.Sprintf("%d rows in one run get through %.1f× as fast", last.Rows, gain)
		plan.Batching = "off: " + apart
	} else if apart == "" {
		plan.Batching = "off: not measured"
	}
	pays := gain >= worthwhile
	if device || one >= longRun || pays && one >= longBatch {
		plan.Mode = ModeWorker
	}
	switch {
	case pays && plan.Mode == ModeWorker:
		plan.MaxBatch, plan.Batching = i.options.MaxBatch, "on: "+apart
	case pays:
		plan.Batching = "off: a run is too short to wait for"
	}
	w := &way{lane: i.executor.short, worked: plan.Mode == ModeWorker, padded: device,
		line: &line{limit: i.options.QueueLimit, maxRows: plan.MaxBatch}}
	if w.worked {
		w.lane = i.executor.laneOf(i.options.Device)
		i.executor.staff(w.lane)
	}
	if plan.MaxBatch > 1 {
		w.line.delay = i.options.MaxQueueDelay
	}
	w.line.hint.Store(int64(one))
	w.line.usual.Store(int64(one))
	w.slots = ready
	plan.Prepared = w.slots != nil
	plan.Workers = w.lane.places
	w.plan = plan
	if old := i.way.Swap(w); old.slots != nil {
		// Slots in use are closed as they come back; none is idle for long.
		_ = old.slots.close()
	}
	return plan
}
