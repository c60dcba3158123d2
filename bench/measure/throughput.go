package measure

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/payload"
	"github.com/segue-serving/segue/bench/report"
	"github.com/segue-serving/segue/bench/scenario"
	"github.com/segue-serving/segue/bench/server"
)

// contest is the contenders on all models of a scenario.
type contest struct {
	*runner
	options *scenario.Throughput
	gateway *server.Gateway
	bare    *bare
	closing []func()
}

// contender is one way of answering one model's requests.
type contender struct {
	// run keeps it busy for one measurement.
	run func(context.Context, load.ClosedOptions) (*load.Outcome, error)
	// pid is its process; 0 stands for this one.
	pid int
}

// throughput measures contenders in a closed loop.
func (r *runner) throughput(ctx context.Context, o *scenario.Throughput) (err error) {
	c := &contest{runner: r, options: o}
	defer func() {
		if c.gateway != nil {
			err = c.gateway.Explain(err)
		}
		c.close()
	}()
	figures := &report.Throughput{Connections: o.Connections}
	r.result.Throughput = figures
	if err := c.startGateway(ctx); err != nil {
		return err
	}
	contenders := make([][]contender, len(o.Models))
	for i, m := range o.Models {
		manifest, samples, err := r.artifact(m.Model, m.Version)
		if err != nil {
			return err
		}
		model := report.ModelFigures{
			Model: m.Model, Version: m.Version, JSONBytes: len(samples[0].JSON), BinaryBytes: len(samples[0].Binary),
		}
		for _, one := range o.Contenders {
			made, err := c.prepare(ctx, m, manifest, samples, one)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", one.Name, m.Model, err)
			}
			contenders[i] = append(contenders[i], made)
			model.Contenders = append(model.Contenders, report.Contender{Name: one.Name, Kind: one.Kind})
		}
		figures.Models = append(figures.Models, model)
	}
	for round := range r.scenario.Rounds {
		for i := range o.Models {
			for _, j := range turn(round, len(o.Contenders)) {
				if err := c.measure(ctx, round, contenders[i][j], o.Contenders[j], &figures.Models[i], j); err != nil {
					return err
				}
			}
		}
	}
	for i := range figures.Models {
		figures.Models[i].Ratios = ratios(o.Ratios, figures.Models[i].Contenders)
	}
	return nil
}

func (c *contest) close() {
	for i := len(c.closing) - 1; i >= 0; i-- {
		c.closing[i]()
	}
}

// startGateway serves every model of the scenario from a folder.
func (c *contest) startGateway(ctx context.Context) error {
	documents := map[string][]byte{}
	for _, m := range c.options.Models {
		dir, err := c.folder(m.Model, m.Version)
		if err != nil {
			return err
		}
		artifact, err := server.NewArtifact(dir)
		if err != nil {
			return err
		}
		documents[m.Model] = server.Document(m.Model, map[string]server.Artifact{m.Version: artifact}, map[string]int{m.Version: 100})
	}
	dir := filepath.Join(c.dir, "documents")
	if err := server.WriteDocuments(dir, documents); err != nil {
		return err
	}
	gateway, err := c.runner.gateway(ctx, "file:"+dir)
	if err != nil {
		return err
	}
	c.gateway = gateway
	c.closing = append(c.closing, gateway.Stop)
	return nil
}

// prepare makes one contender on one model.
func (c *contest) prepare(ctx context.Context, m scenario.Model, manifest *payload.Manifest, samples []payload.Sample, one scenario.Contender) (contender, error) {
	if one.Kind == scenario.KindRuntime {
		return c.prepareBare(ctx, m, manifest, samples, one.Streams)
	}
	if err := c.gateway.AwaitVersion(ctx, m.Model, m.Version); err != nil {
		return contender{}, err
	}
	path := "/v2/models/" + m.Model + "/infer"
	network, addr := c.gateway.Address(one.Transport)
	target := load.Target{
		Network: network, Addr: addr, Timeout: answerTimeout,
		Requests: payload.Requests(samples, path, payload.Protocol(one.Protocol)),
	}
	checker := payload.NewChecker(manifest.Tolerance)
	if err := learn(checker, manifest, m.Version, target); err != nil {
		return contender{}, err
	}
	target.Check = func(i int, a load.Answer, _ time.Time) error { return checker.Check(i, a) }
	pid := c.gateway.PID()
	if one.Kind == scenario.KindEcho {
		echo, bodies, err := c.startEcho(ctx, &target, one)
		if err != nil {
			return contender{}, err
		}
		same := payload.Echo(bodies)
		target.Addr, pid = echo.Addr, echo.PID()
		target.Check = func(i int, a load.Answer, _ time.Time) error { return same(i, a) }
	}
	return contender{pid: pid, run: func(ctx context.Context, o load.ClosedOptions) (*load.Outcome, error) {
		o.Connections = c.options.Connections
		return load.Closed(ctx, target, o)
	}}, nil
}

// startEcho records the gateway's answers and starts a server that gives them.
// Each request gets a path of its own, of the same length as the gateway's.
func (c *contest) startEcho(ctx context.Context, t *load.Target, one scenario.Contender) (*server.Echo, [][]byte, error) {
	var answers []server.Recorded
	var bodies [][]byte
	for i := range t.Requests {
		path := fmt.Sprintf("%s%d", t.Requests[i].Path[:len(t.Requests[i].Path)-1], i)
		err := load.Once(*t, i, func(a load.Answer) error {
			recorded := server.Record(path, a)
			answers, bodies = append(answers, recorded), append(bodies, recorded.Body)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		t.Requests[i].Path = path
	}
	socket := filepath.Join(c.dir, fmt.Sprintf("echo%d.sock", len(c.closing)))
	echo, err := server.StartEcho(ctx, one.Transport, socket, answers)
	if err != nil {
		return nil, nil, err
	}
	c.closing = append(c.closing, echo.Stop)
	return echo, bodies, nil
}

// measure runs one contender for one round.
func (c *contest) measure(ctx context.Context, round int, made contender, one scenario.Contender, model *report.ModelFigures, j int) error {
	out, err := made.run(ctx, load.ClosedOptions{Warmup: c.warmup(), Duration: c.round(), Meters: meters(made.pid, 0)})
	if err != nil {
		return fmt.Errorf("round %d, %s on %s: %w", round+1, one.Name, model.Model, err)
	}
	where := fmt.Sprintf("round %d, %s on %s", round+1, one.Name, model.Model)
	c.fail(where, out)
	if made.pid == 0 { // the client is the server
		out.CPU[report.MeterServer], out.CPU[report.MeterClient] = out.CPU[report.MeterClient], 0
	}
	figures := report.ThroughputRound{
		PerSecond: float64(out.Answered) / out.Window.Seconds(), Latency: report.NewLatency(out.Latency),
		Failed: out.Failed, Cores: report.NewCores(out.CPU, out.Window),
	}
	if out.Answered > 0 {
		figures.CPU = float64(out.CPU[report.MeterServer].Microseconds()) / float64(out.Answered)
	}
	model.Contenders[j].Rounds = append(model.Contenders[j].Rounds, figures)
	c.say("%s of %d: %.0f a second, p50 %.3f ms, p99 %.3f ms, %.1f µs of CPU each, %d failed",
		where, c.scenario.Rounds, figures.PerSecond, figures.Latency.P50, figures.Latency.P99, figures.CPU, figures.Failed)
	return nil
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
