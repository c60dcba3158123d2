package measure

import (
	"context"
	"fmt"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/report"
	"github.com/segue-serving/segue/bench/scenario"
)

// throughput measures contenders in a closed loop.
func (r *runner) throughput(ctx context.Context, o *scenario.Throughput) (err error) {
	c := &contest{runner: r, models: o.Models}
	defer func() {
		err = c.explain(err)
		c.close()
	}()
	figures := &report.Throughput{Connections: o.Connections}
	r.result.Throughput = figures
	contenders := make([][]contender, len(o.Models))
	for i, m := range o.Models {
		model := report.ModelFigures{Model: m.Model, Version: m.Version}
		for _, one := range o.Contenders {
			made, err := c.prepare(ctx, m, one)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", one.Name, m.Model, err)
			}
			if made.connections == 0 {
				made.connections = o.Connections
			}
			contenders[i] = append(contenders[i], made)
			model.Contenders = append(model.Contenders, report.Contender{
				Name: one.Name, Kind: one.Kind, Connections: made.connections, RequestBytes: made.requestBytes,
			})
		}
		for _, d := range o.Decoders {
			model.Decoders = append(model.Decoders, report.Decoder{Name: d.Name, Protocol: d.Protocol})
		}
		figures.Models = append(figures.Models, model)
	}
	for round := range r.scenario.Rounds {
		for i, m := range o.Models {
			for j, d := range o.Decoders {
				if err := c.decode(ctx, m, d, &figures.Models[i].Decoders[j]); err != nil {
					return fmt.Errorf("round %d, decoder %s: %w", round+1, d.Name, err)
				}
			}
			for _, j := range turn(round, len(o.Contenders)) {
				if err := c.measure(ctx, round, contenders[i][j], &figures.Models[i], j); err != nil {
					return err
				}
			}
		}
	}
	for i := range figures.Models {
		figures.Models[i].Ratios = ratios(o.Ratios, figures.Models[i].Contenders)
		r.result.Aims = append(r.result.Aims, aims(o.Ratios, &figures.Models[i])...)
		for j, d := range o.Decoders {
			if d.AtMost > 0 {
				r.result.Aims = append(r.result.Aims, figures.Models[i].Decoders[j].Aim(o.Models[i].Model, d.AtMost))
			}
		}
	}
	return nil
}

// mostTries is how often a round is measured in which a peer's workers do not
// share the connections: those that run the model in their event loop did so in
// three of ten tries, and lack one round in thirty with these.
const mostTries = 10

// measure runs one contender for one round.
func (c *contest) measure(ctx context.Context, round int, made contender, model *report.ModelFigures, j int) error {
	where := fmt.Sprintf("round %d, %s on %s", round+1, made.Name, model.Model)
	for range mostTries {
		made.workers.reset()
		out, err := made.run(ctx, load.ClosedOptions{
			Connections: made.connections, Warmup: c.warmup(), Duration: c.round(), Meters: meters(made.pid, 0),
		})
		if err != nil {
			return fmt.Errorf("%s: %w", where, err)
		}
		c.fail(where, out)
		figures := throughputRound(out, made.pid)
		figures.Round, figures.Workers = round+1, made.workers.counts()
		c.say("%s of %d: %.0f a second, p50 %.3f ms, p99 %.3f ms, %.1f µs of CPU each, %d failed, workers %v",
			where, c.scenario.Rounds, figures.PerSecond, figures.Latency.P50, figures.Latency.P99, figures.CPU, figures.Failed, figures.Workers)
		to := &model.Contenders[j]
		if made.Balanced && !figures.Balanced(made.Workers) {
			to.Unbalanced = append(to.Unbalanced, figures)
			continue
		}
		to.Rounds = append(to.Rounds, figures)
		return nil
	}
	c.result.Missing = append(c.result.Missing, fmt.Sprintf("%s: its %d workers did not share the connections in any of %d tries", where, made.Workers, mostTries))
	return nil
}

// throughputRound reads the figures of a closed loop; a pid of 0 says that the
// client is the server.
func throughputRound(out *load.Outcome, pid int) report.ThroughputRound {
	if pid == 0 {
		out.CPU[report.MeterServer], out.CPU[report.MeterClient] = out.CPU[report.MeterClient], 0
	}
	figures := report.ThroughputRound{
		PerSecond: float64(out.Answered) / out.Window.Seconds(), Latency: report.NewLatency(out.Latency),
		Failed: out.Failed + out.Refused, Cores: report.NewCores(out.CPU, out.Metered),
	}
	if out.Answered > 0 {
		figures.CPU = float64(out.CPU[report.MeterServer].Microseconds()) / float64(out.Answered)
	}
	return figures
}

// ratios compares contenders as the scenario asks.
func ratios(asked []scenario.Ratio, contenders []report.Contender) []report.Ratio {
	byName := map[string]*report.Contender{}
	for i := range contenders {
		byName[contenders[i].Name] = &contenders[i]
	}
	all := make([]report.Ratio, len(asked))
	for i, r := range asked {
		all[i] = report.NewRatio(byName[r.Of], byName[r.To])
	}
	return all
}

// aims reads those ratios that the scenario has an aim for.
func aims(asked []scenario.Ratio, m *report.ModelFigures) []report.Aim {
	var all []report.Aim
	for i, r := range asked {
		if r.Figure == "" {
			continue
		}
		aim := report.Aim{
			What: fmt.Sprintf("%s: %s / %s, %s", m.Model, r.Of, r.To, figureName(r.Figure)), Unit: "×",
			AtLeast: r.AtLeast, AtMost: r.AtMost, Measured: m.Ratios[i].Rounds,
		}
		switch ratio := &m.Ratios[i]; {
		case r.Figure == scenario.FigurePerSecond:
			aim.Reached = ratio.PerSecond
		case r.Figure == scenario.FigureCPU:
			aim.Reached = ratio.CPU
		case r.Figure == scenario.FigureP50 && ratio.P50 != nil:
			aim.Reached = *ratio.P50
		case r.Figure == scenario.FigureP99 && ratio.P99 != nil:
			aim.Reached = *ratio.P99
		}
		all = append(all, aim)
	}
	return all
}

// figureName is how a figure is called in a text.
func figureName(figure string) string {
	switch figure {
	case scenario.FigurePerSecond:
		return "answers a second"
	case scenario.FigureCPU:
		return "server CPU per answer"
	}
	return figure
}
