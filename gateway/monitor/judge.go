package monitor

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/drift"
)

const (
	// lockName is the lock of the gateway that judges.
	lockName = "drift"
	// mostPass is the longest time between two looks at a model's counts.
	mostPass = 10 * time.Second
	// sweepEvery is how often what nobody needs is swept.
	sweepEvery = time.Hour
	// writerGone is how long after its last write a writer that is windows behind
	// is taken for gone.
	writerGone = 10 * time.Minute
)

// judge merges what the fleet has counted and judges windows that are full. One
// gateway of the fleet does at a time; what it writes is written by
// check-and-set, so that a window is judged once even where two believe to.
type judge struct {
	m       *Monitor
	next    map[string]time.Time // by model
	swept   time.Time
	failing bool
}

func newJudge(m *Monitor) *judge {
	return &judge{m: m, next: map[string]time.Time{}, swept: m.opts.Now()}
}

// run judges whenever this gateway is the one to, until ctx ends.
func (j *judge) run(ctx context.Context) {
	err := j.m.opts.Locker.Hold(ctx, lockName, func(ctx context.Context) error {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			j.pass(ctx)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
	if err != nil {
		j.m.opts.Log.Error("drift is not judged", "error", err)
	}
}

// pass looks at the models that are due.
func (j *judge) pass(ctx context.Context) {
	var failed error
	watched := j.m.watched()
	for _, w := range watched {
		now := j.m.opts.Now()
		if now.Before(j.next[w.Name]) {
			continue
		}
		j.next[w.Name] = now.Add(min(roundOf(w.Drift), mostPass))
		if err := j.look(ctx, w, now); err != nil {
			failed = err
		}
	}
	if now := j.m.opts.Now(); now.Sub(j.swept) >= sweepEvery {
		j.swept = now
		_, err := configs.SweepDrift(ctx, j.m.opts.Store, now, func(model string) bool {
			return slices.ContainsFunc(watched, func(w *watch) bool { return w.Name == model })
		})
		failed = errors.Join(failed, err)
	}
	if failed != nil && !j.failing && ctx.Err() == nil {
		j.m.opts.Log.Warn("drift is not judged for now", "error", failed)
	}
	j.failing = failed != nil
}

// look reads what was counted of a model, judges the windows that are full, and
// writes what came of it.
func (j *judge) look(ctx context.Context, w *watch, now time.Time) error {
	counts, report, err := configs.ListDrift(ctx, j.m.opts.Store, w.Name)
	if err != nil {
		return err
	}
	if report == nil {
		report = &configs.DriftReport{Model: w.Name, Windows: map[string]configs.DriftWindowAt{}}
	}
	v := &verdict{watch: w, report: report, counts: counts, now: now.UTC(), log: j.m.opts.Log}
	v.tidy()
	streams := w.streams()
	for _, name := range slices.Sorted(maps.Keys(streams)) {
		v.stream(streams[name], len(streams))
	}
	v.sent(j.m.hooks.done(w.Name, report.Unsent))
	if v.changed {
		report.At, report.By = now.UTC(), j.m.opts.Instance
		shorten(report)
		index, err := configs.PutDriftReport(ctx, j.m.opts.Store, report)
		if errors.Is(err, configs.ErrConflict) {
			j.m.opts.Wrote("drift", "conflict")
			return nil // another gateway judged it
		}
		if err != nil {
			j.m.opts.Wrote("drift", "error")
			return err
		}
		j.m.opts.Wrote("drift", "ok")
		report.Index = index
		v.tell()
		j.m.show(report)
	}
	j.m.hooks.offer(w.Drift.Alarms, w.Name, report.Unsent)
	return j.removeGone(ctx, report, counts, now)
}

// removeGone deletes the counts of writers that write no more.
func (j *judge) removeGone(ctx context.Context, report *configs.DriftReport, counts []configs.DriftCounts, now time.Time) error {
	for _, c := range counts {
		behind := !slices.ContainsFunc(c.Streams, func(s configs.DriftStream) bool { return s.Window >= report.Windows[s.Name].Number })
		if c.Epoch == j.m.opts.Epoch || !behind || now.Sub(c.At) < writerGone {
			continue
		}
		if err := configs.DeleteDrift(ctx, j.m.opts.Store, c.Key(), c.Index); err != nil {
			return err
		}
	}
	return nil
}

// merged is what the fleet counted of one version in the window that a stream
// is at.
func (v *verdict) merged(s stream, version string) *drift.Window {
	sum := s.profile.NewWindow()
	for _, c := range v.counts {
		for _, part := range c.Streams {
			if part.Name == s.name && part.Window == v.report.Windows[s.name].Number {
				v.merge(sum, part.Counts[version], c.Epoch)
			}
		}
	}
	return sum
}

// past adds up what choose takes of the newest life of every gateway: a life
// that began anew knows what the one before it had counted.
func (v *verdict) past(s stream, choose func(configs.DriftStream) []byte) *drift.Window {
	newest := map[string]configs.DriftCounts{}
	for _, c := range v.counts {
		if c.At.After(newest[c.Instance].At) {
			newest[c.Instance] = c
		}
	}
	sum := s.profile.NewWindow()
	for _, c := range newest {
		for _, part := range c.Streams {
			if part.Name == s.name {
				v.merge(sum, choose(part), c.Epoch)
			}
		}
	}
	return sum
}

// merge adds one writer's counts. Those that cannot be read, or are of other
// bins because the gateway has another version in force, do not count.
func (v *verdict) merge(sum *drift.Window, encoded []byte, writer string) {
	if len(encoded) == 0 {
		return
	}
	part, err := sum.Profile().ParseWindow(encoded)
	if err == nil {
		err = sum.Merge(part)
	}
	if err != nil && !errors.Is(err, drift.ErrOtherBins) {
		v.log.Warn("counts for drift that cannot be read do not count", "model", v.watch.Name, "writer", writer, "error", err)
	}
}

// versionOf is the version that a stream of one version is of.
func versionOf(name string) string { return strings.TrimPrefix(name, configs.DriftStreamOf("")) }
