package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Meter returns the CPU time that something has taken since it began.
type Meter func() (time.Duration, error)

// Outcome is what one run of load measured. Requests of the warm-up are not in
// the histograms, but where they failed they are in Failed.
type Outcome struct {
	// Latency holds good answers: in an open loop from when the request was
	// due, in a closed one from when it was sent.
	Latency *Histogram
	// Lateness is how long after they were due requests were handed to a
	// connection by the generator's own clock, empty in a closed loop. It is
	// part of Latency.
	Lateness *Histogram
	// Window is how long was measured.
	Window time.Duration
	// Answered are the good answers of the window, Refused those of the window
	// that said no, Failed all bad ones; Failures are the first of them.
	Answered, Refused, Failed int64
	Failures                  []string
	// Refusal is the latency of what was refused.
	Refusal *Histogram
	// Samples are the requests of an open loop one by one, as they were due,
	// where they were asked for.
	Samples []Sample
	// CPU is what each meter moved by during Metered, the part of the window
	// between its two readings.
	CPU     map[string]time.Duration
	Metered time.Duration
}

// Sample is one request of an open loop.
type Sample struct {
	// Due counts from the end of the warm-up.
	Due, Latency time.Duration
	Kind         Kind
}

// Kind says how a request ended.
type Kind uint8

// A request is answered well, refused, or it failed.
const (
	Good Kind = iota
	Refused
	Failed
)

// kindOf reads what a check said.
func kindOf(err error) Kind {
	switch {
	case err == nil:
		return Good
	case errors.Is(err, ErrRefused):
		return Refused
	}
	return Failed
}

// mostFailures is how many failures are kept word by word.
const mostFailures = 10

// tally is what one goroutine has seen.
type tally struct {
	latency  *Histogram
	refusal  *Histogram
	answered int64
	refused  int64
	failed   int64
	failures []string
	samples  []Sample
}

func (t *tally) fail(err error) {
	t.failed++
	if len(t.failures) < mostFailures {
		t.failures = append(t.failures, err.Error())
	}
}

func (t *tally) good(latency time.Duration) {
	t.answered++
	t.latency.Record(latency)
}

func (t *tally) refuse(latency time.Duration) {
	t.refused++
	t.refusal.Record(latency)
}

// closed counts a request of a closed loop: failures always, others when they
// began and ended within the window.
func (t *tally) closed(from, to, begin, end time.Time, err error) {
	within := !from.Before(begin) && !to.After(end)
	switch kind := kindOf(err); {
	case kind == Failed:
		t.fail(err)
	case within && kind == Refused:
		t.refuse(to.Sub(from))
	case within:
		t.good(to.Sub(from))
	}
}

// sample counts a request of an open loop: failures always, others when they
// were due after the warm-up.
func (t *tally) sample(s Sample, err error) {
	switch {
	case s.Kind == Failed:
		t.fail(err)
	case s.Due < 0:
	case s.Kind == Refused:
		t.refuse(s.Latency)
	default:
		t.good(s.Latency)
	}
}

func newTallies(n int) []tally {
	all := make([]tally, n)
	for i := range all {
		all[i].latency, all[i].refusal = NewHistogram(), NewHistogram()
	}
	return all
}

func newOutcome(tallies []tally, window time.Duration) *Outcome {
	o := &Outcome{Latency: NewHistogram(), Lateness: NewHistogram(), Refusal: NewHistogram(), Window: window}
	for i := range tallies {
		o.Latency.Merge(tallies[i].latency)
		o.Refusal.Merge(tallies[i].refusal)
		o.Refused += tallies[i].refused
		o.Samples = append(o.Samples, tallies[i].samples...)
		o.Answered += tallies[i].answered
		o.Failed += tallies[i].failed
		o.Failures = append(o.Failures, tallies[i].failures...)
	}
	o.Failures = o.Failures[:min(len(o.Failures), mostFailures)]
	slices.SortFunc(o.Samples, func(a, b Sample) int { return cmp.Compare(a.Due, b.Due) })
	return o
}

// Merge adds the outcome of another run to this one, as if both were one.
// Samples are not merged: their times are of one run.
func (o *Outcome) Merge(other *Outcome) {
	o.Latency.Merge(other.Latency)
	o.Lateness.Merge(other.Lateness)
	o.Refusal.Merge(other.Refusal)
	o.Refused += other.Refused
	o.Window += other.Window
	o.Metered += other.Metered
	o.Answered += other.Answered
	o.Failed += other.Failed
	o.Failures = append(o.Failures, other.Failures...)
	o.Failures = o.Failures[:min(len(o.Failures), mostFailures)]
	for name, d := range other.CPU {
		o.CPU[name] += d
	}
}

// observe reads the meters at two times, waits until all load has ended and
// returns the outcome of the window. An error of the meters or of the context
// ends the load by stop.
func observe(ctx context.Context, stop, wait func(), meters map[string]Meter, from, to time.Time, window time.Duration, tallies []tally) (*Outcome, error) {
	cpu, err := measure(ctx, meters, from, to)
	if err != nil {
		stop()
	}
	wait()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	out := newOutcome(tallies, window)
	out.CPU, out.Metered = cpu, to.Sub(from)
	return out, nil
}

// measure reads the meters at two times and returns what they moved by. It
// returns at the second.
func measure(ctx context.Context, meters map[string]Meter, from, to time.Time) (map[string]time.Duration, error) {
	read := func(at time.Time) (map[string]time.Duration, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Until(at)):
		}
		all := map[string]time.Duration{}
		for name, meter := range meters {
			d, err := meter()
			if err != nil {
				return nil, fmt.Errorf("CPU time of %s: %w", name, err)
			}
			all[name] = d
		}
		return all, nil
	}
	before, err := read(from)
	if err != nil {
		return nil, err
	}
	after, err := read(to)
	if err != nil {
		return nil, err
	}
	for name := range after {
		after[name] -= before[name]
	}
	return after, nil
}
