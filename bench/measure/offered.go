package measure

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/report"
	"github.com/segue-serving/segue/bench/scenario"
)

// offering is the contenders of a scenario of offered rates.
type offering struct {
	*contest
	options *scenario.Offered
	made    []contender
	// beside are the second model on each contender.
	beside []contender
}

// offered measures latency at rates that are offered.
func (r *runner) offered(ctx context.Context, o *scenario.Offered) (err error) {
	f := &offering{contest: &contest{runner: r, models: []scenario.Model{o.Model}}, options: o}
	if o.Beside != nil {
		f.models = append(f.models, o.Beside.Model)
	}
	defer func() {
		err = f.explain(err)
		f.close()
	}()
	figures := &report.Offered{
		Model: o.Model.Model, Version: o.Model.Version, Connections: o.Connections, CapacityConnections: o.CapacityConnections, Arrivals: o.Arrivals,
	}
	if o.Beside != nil {
		figures.Beside, figures.BesidePart = o.Beside.Model.Model, o.Beside.Part
	}
	r.result.Offered = figures
	for _, one := range o.Contenders {
		made, err := f.prepare(ctx, o.Model, one)
		if err != nil {
			return fmt.Errorf("%s: %w", one.Name, err)
		}
		f.made = append(f.made, made)
		if o.Beside != nil {
			second := one
			second.Protocol, second.Transport = o.Beside.Protocol, "tcp"
			if made, err = f.prepare(ctx, o.Beside.Model, second); err != nil {
				return fmt.Errorf("%s beside: %w", one.Name, err)
			}
			f.beside = append(f.beside, made)
		}
		series := report.Series{Name: one.Name, Kind: one.Kind, RequestBytes: f.made[len(f.made)-1].requestBytes}
		for _, p := range o.Points {
			series.Points = append(series.Points, report.Point{Name: p.Name, Part: p.Part, Rate: p.Rate, Beside: p.Beside, Overload: p.Overload})
		}
		figures.Series = append(figures.Series, series)
	}
	for round := range r.scenario.Rounds {
		for _, i := range turn(round, len(f.made)) {
			if err := f.points(ctx, round, i, &figures.Series[i]); err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, f.made[i].Name, err)
			}
		}
	}
	for _, a := range o.Aims {
		r.result.Aims = append(r.result.Aims, figures.Aim(a.Figure, a.Of, a.To, a.AtLeast, a.AtMost))
	}
	return nil
}

// points measures the capacity of one contender, and every point of it.
func (f *offering) points(ctx context.Context, round, i int, series *report.Series) error {
	capacity, err := f.capacity(ctx, f.made[i])
	if err != nil {
		return err
	}
	series.Capacity = append(series.Capacity, capacity)
	besideCapacity := 0.0
	if f.options.Beside != nil {
		if besideCapacity, err = f.capacity(ctx, f.beside[i]); err != nil {
			return err
		}
	}
	for j := range f.options.Points {
		p := &f.options.Points[j]
		rate := p.Rate
		if p.Part > 0 {
			rate = p.Part * capacity
		}
		o := f.load(round, p, capacity, rate)
		o.Meters = meters(f.made[i].pid, 0)
		out, beside, err := f.point(ctx, round, i, p, o, besideCapacity)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		figures := f.figures(out, rate, p)
		if beside != nil {
			figures.BesidePerSecond = float64(beside.Answered) / beside.Window.Seconds()
			figures.BesideP99 = report.Milliseconds(beside.Latency.Quantile(.99))
		}
		if p.Name == f.options.Floor {
			if figures.FloorPerSecond, err = f.floor(ctx, round, f.made[i], figures.RefusedPerSecond); err != nil {
				return fmt.Errorf("%s, floor: %w", p.Name, err)
			}
		}
		series.Points[j].Rounds = append(series.Points[j].Rounds, figures)
		f.say("round %d of %d, %s, %s: %.0f offered, %.0f good a second, p50 %.3f ms, p99 %.3f ms, %d refused (p99 %.2f ms), %d failed, recovered after %.1f s",
			round+1, f.scenario.Rounds, f.made[i].Name, p.Name, rate, figures.PerSecond, figures.Latency.P50, figures.Latency.P99,
			out.Refused, figures.RefusalP99, out.Failed, figures.Recovery)
	}
	return nil
}

// load is that of one point: at an overload the meters are read over its own
// time, and not over the calm before and behind it.
func (f *offering) load(round int, p *scenario.Point, capacity, rate float64) load.OpenOptions {
	o := load.OpenOptions{
		Rate: rate, Arrivals: load.Arrivals(f.options.Arrivals), Seed: uint64(round), Connections: f.options.Connections,
		Warmup: f.warmup(), Duration: f.round(), Keep: true,
	}
	if p.Overload {
		o.Rate = capacity / 2
		o.Stages = []load.Stage{{Rate: o.Rate, For: calm}, {Rate: rate, For: f.round()}, {Rate: o.Rate, For: after}}
		o.MeterFrom, o.MeterFor = calm, f.round()
	}
	return o
}

// capacity is how much a closed loop gets.
func (f *offering) capacity(ctx context.Context, made contender) (float64, error) {
	out, err := made.run(ctx, load.ClosedOptions{Connections: f.options.CapacityConnections, Warmup: f.warmup(), Duration: f.round()})
	if err != nil {
		return 0, err
	}
	f.fail("capacity of "+made.Name, out)
	if out.Answered == 0 {
		return 0, fmt.Errorf("no request was answered while the capacity was measured")
	}
	return float64(out.Answered) / out.Window.Seconds(), nil
}

// point sends the load of one point, and where it asks for it that on the
// second model at the same time.
func (f *offering) point(ctx context.Context, round, i int, p *scenario.Point, o load.OpenOptions, besideCapacity float64) (out, beside *load.Outcome, err error) {
	var besideErr error
	var wg sync.WaitGroup
	if p.Beside {
		wg.Go(func() {
			beside, besideErr = load.Open(ctx, f.beside[i].target, load.OpenOptions{
				Rate: f.options.Beside.Part * besideCapacity, Arrivals: o.Arrivals, Seed: uint64(round) + 1, Connections: o.Connections,
				Warmup: o.Warmup, Duration: o.Duration,
			})
		})
	}
	out, err = load.Open(ctx, f.made[i].target, o)
	wg.Wait()
	if err == nil {
		err = besideErr
	}
	if err != nil {
		return nil, nil, err
	}
	where := fmt.Sprintf("round %d, %s, %s", round+1, f.made[i].Name, p.Name)
	judged := *out
	if p.Overload || p.Part > 1 {
		judged.Refused = 0 // that is what the point is for
	}
	f.fail(where, &judged)
	if beside != nil {
		f.fail(where+", beside", beside)
	}
	return out, beside, nil
}

// figures reads an outcome; of an overload, its own time and what came after.
func (f *offering) figures(out *load.Outcome, rate float64, p *scenario.Point) report.OfferedRound {
	r := report.OfferedRound{
		Offered: rate, Latency: report.NewLatency(out.Latency), LatenessP99: report.Milliseconds(out.Lateness.Quantile(.99)),
		PerSecond: float64(arrived(out.Samples, 0, out.Window)) / out.Window.Seconds(), RefusedPerSecond: float64(out.Refused) / out.Window.Seconds(),
		RefusalP50: report.Milliseconds(out.Refusal.Quantile(.5)), RefusalP99: report.Milliseconds(out.Refusal.Quantile(.99)),
		Failed: out.Failed, Cores: report.NewCores(out.CPU, out.Metered),
	}
	if p.Overload {
		over := during(out.Samples, calm, calm+f.round())
		r.Latency = report.NewLatency(over.good)
		r.PerSecond = float64(arrived(out.Samples, calm, calm+f.round())) / f.round().Seconds()
		r.RefusedPerSecond = float64(over.refused) / f.round().Seconds()
		r.Recovery = recovery(out.Samples, calm, calm+f.round()).Seconds()
	}
	return r
}

// How long half of the capacity is offered before an overload, and after it.
const (
	calm  = time.Second
	after = 3 * time.Second
)
