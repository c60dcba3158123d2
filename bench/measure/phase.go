package measure

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/report"
	"github.com/segue-serving/segue/bench/scenario"
)

// phase measures one phase of a round: open-loop load, and changes while it
// runs.
func (f *fleet) phase(ctx context.Context, round int, p scenario.Phase) (*report.PhaseRound, error) {
	figures := &report.PhaseRound{InForce: []float64{}, Write: []float64{}}
	out, err := f.underLoad(ctx, round, p, figures)
	if err != nil {
		return nil, err
	}
	where := fmt.Sprintf("round %d, %s", round+1, p.Name)
	f.fail(where, out)
	figures.Latency = report.NewLatency(out.Latency)
	if p.Within > 0 {
		figures.Latency = report.NewLatency(within(out.Samples, figures.Written, time.Duration(p.Within)))
	}
	figures.LatenessP99 = report.Milliseconds(out.Lateness.Quantile(.99))
	figures.PerSecond = float64(out.Answered) / out.Window.Seconds()
	figures.Failed = out.Failed
	figures.Cores = report.NewCores(out.CPU, out.Metered)
	f.say("%s of %d: p50 %.2f ms, p99 %.2f ms, max %.2f ms at %.0f a second, %d failed; %d changes, in force p50 %.1f ms, p99 %.1f ms",
		where, f.scenario.Rounds, figures.Latency.P50, figures.Latency.P99, figures.Latency.Max, figures.PerSecond, out.Failed,
		len(figures.InForce), report.Quantile(figures.InForce, .5), report.Quantile(figures.InForce, .99))
	return figures, nil
}

func (f *fleet) underLoad(ctx context.Context, round int, p scenario.Phase, figures *report.PhaseRound) (*load.Outcome, error) {
	switch p.Change {
	case scenario.ChangeVersion:
		next := 0
		return f.changing(ctx, round, p, figures, func() []byte {
			next++
			return f.only(f.options.Versions[(next-1)%2])
		})
	case scenario.ChangeWeights:
		// The mean share is one half, as in the other phases. The same
		// weights twice would be no change at all.
		random, last := rand.New(rand.NewPCG(uint64(round), 1)), -1
		return f.changing(ctx, round, p, figures, func() []byte {
			share := random.IntN(101)
			for share == last {
				share = random.IntN(101)
			}
			last = share
			return f.split(share)
		})
	}
	return f.still(ctx, round)
}

// within gathers the good answers to requests that were due so soon after a
// write; written is in milliseconds from the begin of the load that counts.
func within(samples []load.Sample, written []float64, soon time.Duration) *load.Histogram {
	h := load.NewHistogram()
	for _, s := range samples {
		due := report.Milliseconds(s.Due)
		near := slices.ContainsFunc(written, func(at float64) bool { return due >= at && due < at+report.Milliseconds(soon) })
		if near && s.Kind == load.Good {
			h.Record(s.Latency)
		}
	}
	return h
}

// open sends the load of one measurement; the same round has the same
// schedule in every phase.
func (f *fleet) open(ctx context.Context, round int, during time.Duration, seen *sightings) (*load.Outcome, error) {
	target := f.target
	target.Check = func(i int, a load.Answer, at time.Time) error {
		seen.note(configIndex(a), at)
		return f.checker.Check(i, a)
	}
	return load.Open(ctx, target, load.OpenOptions{
		Rate: f.offered, Arrivals: load.Arrivals(f.options.Arrivals), Seed: uint64(round), Connections: f.options.Connections,
		Warmup: f.warmup(), Duration: during, Keep: true, Meters: meters(f.gateway.PID(), f.consul.PID()),
	})
}

// still measures each version alone for an equal part of the time: the same
// mixture of fast and slow answers as when they take turns.
func (f *fleet) still(ctx context.Context, round int) (*load.Outcome, error) {
	var all *load.Outcome
	for i := range f.options.Versions {
		if err := f.put(ctx, f.split(100-100*i)); err != nil {
			return nil, err
		}
		out, err := f.open(ctx, round, f.round()/time.Duration(len(f.options.Versions)), newSightings())
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = out
		} else {
			all.Merge(out)
		}
	}
	return all, nil
}

// changing measures under one change after another. The first document is in
// force before the load begins.
func (f *fleet) changing(ctx context.Context, round int, p scenario.Phase, figures *report.PhaseRound, next func() []byte) (*load.Outcome, error) {
	if err := f.put(ctx, next()); err != nil {
		return nil, err
	}
	seen := newSightings()
	begin := time.Now().Add(f.warmup())
	loadCtx, stop := context.WithCancel(ctx)
	defer stop()
	changeCtx, enough := context.WithDeadline(loadCtx, begin.Add(f.round()))
	defer enough()
	var pending uint64
	var changeErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		if pending, changeErr = f.change(changeCtx, begin, p, seen, figures, next); changeErr != nil {
			stop()
		}
	})
	out, err := f.open(loadCtx, round, f.round(), seen)
	wg.Wait()
	if changeErr != nil {
		return nil, changeErr
	}
	if err != nil {
		return nil, err
	}
	// A change that the end cut short is not counted, but must come true.
	if pending != 0 {
		err = f.await(ctx, pending)
	}
	return out, err
}

// change writes documents until the context ends. It returns the index of the
// last one where no answer had come from under it.
func (f *fleet) change(ctx context.Context, begin time.Time, p scenario.Phase, seen *sightings, figures *report.PhaseRound, next func() []byte) (pending uint64, err error) {
	for due := begin; ; due = due.Add(time.Duration(p.Every)) {
		if now := time.Now(); due.Before(now) && due != begin {
			due = now
		}
		select {
		case <-ctx.Done():
			return 0, nil
		case <-time.After(time.Until(due)):
		}
		written := time.Now()
		figures.Written = append(figures.Written, report.Milliseconds(written.Sub(begin)))
		index, took, err := f.write(next())
		if err != nil {
			return 0, err
		}
		waitCtx, cancel := context.WithTimeout(ctx, inForceWithin)
		at, err := seen.first(waitCtx, index)
		cancel()
		switch {
		case err == nil:
			figures.InForce = append(figures.InForce, report.Milliseconds(at.Sub(written)))
			figures.Write = append(figures.Write, report.Milliseconds(took))
		case ctx.Err() != nil:
			return index, nil
		case errors.Is(err, context.DeadlineExceeded):
			return 0, fmt.Errorf("no answer from under the document of index %d within %s", index, inForceWithin)
		default:
			return 0, err
		}
	}
}

// write puts a document and returns its index and how long the write took.
func (f *fleet) write(document []byte) (index uint64, took time.Duration, err error) {
	began := time.Now()
	if err := f.consul.Write("models/"+f.options.Model, document); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	index, err = f.consul.Index("models/" + f.options.Model)
	return index, took, err
}
