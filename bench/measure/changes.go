package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/payload"
	"github.com/segue-serving/segue/bench/report"
	"github.com/segue-serving/segue/bench/scenario"
	"github.com/segue-serving/segue/bench/server"
)

// fleet is a gateway that follows a Consul agent, and the model on it.
type fleet struct {
	*runner
	options   *scenario.Changes
	consul    *server.Consul
	gateway   *server.Gateway
	artifacts map[string]server.Artifact
	checker   *payload.Checker
	target    load.Target
	offered   float64
}

// changes measures latency while the configuration changes.
func (r *runner) changes(ctx context.Context, o *scenario.Changes) (err error) {
	f := &fleet{runner: r, options: o, artifacts: map[string]server.Artifact{}}
	for _, v := range o.Versions {
		dir, err := r.folder(o.Model, v)
		if err != nil {
			return err
		}
		if f.artifacts[v], err = server.NewArtifact(dir); err != nil {
			return err
		}
	}
	if err := f.startConsul(ctx); err != nil {
		return err
	}
	defer f.consul.Stop()
	if _, err := f.consul.Put("models/"+o.Model, f.split(100)); err != nil {
		return err
	}
	dir := filepath.Join(r.dir, "gateway")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if f.gateway, err = r.startGateway(ctx, server.GatewayOptions{Source: f.consul.Source(), Dir: dir}); err != nil {
		return err
	}
	defer func() {
		err = f.gateway.Explain(err)
		f.gateway.Stop()
	}()
	if err := f.learn(ctx); err != nil {
		return err
	}
	figures := &report.Changes{
		Model: o.Model, Versions: o.Versions, Protocol: o.Protocol, Transport: o.Transport,
		RequestBytes: len(f.target.Requests[0].Body), Connections: o.Connections, Arrivals: o.Arrivals,
		CapacityConnections: o.CapacityConnections, Load: o.Load,
	}
	r.result.Changes = figures
	if figures.Capacity, err = f.capacity(ctx); err != nil {
		return err
	}
	slower := min(figures.Capacity[0].Median, figures.Capacity[1].Median)
	f.offered = o.Load * slower
	figures.Offered = f.offered
	if f.offered <= 0 {
		return errors.New("no request was answered while the capacity was measured")
	}
	for _, p := range o.Phases {
		figures.Phases = append(figures.Phases, report.Phase{
			Name: p.Name, Change: p.Change,
			Every: report.Milliseconds(time.Duration(p.Every)), AimP99: report.Milliseconds(time.Duration(p.AimP99)), Within: report.Milliseconds(time.Duration(p.Within)),
		})
	}
	for round := range r.scenario.Rounds {
		for _, i := range turn(round, len(o.Phases)) {
			measured, err := f.phase(ctx, round, o.Phases[i])
			if err != nil {
				return fmt.Errorf("round %d, %s: %w", round+1, o.Phases[i].Name, err)
			}
			figures.Phases[i].Rounds = append(figures.Phases[i].Rounds, *measured)
		}
	}
	for i, p := range o.Phases {
		if p.AimRatio > 0 {
			r.result.Aims = append(r.result.Aims, figures.Aim(i, p.AimRatio))
		}
		if p.AimP99 > 0 {
			r.result.Aims = append(r.result.Aims, figures.AimInForce(i))
		}
	}
	return nil
}

func (f *fleet) startConsul(ctx context.Context) error {
	binary, err := f.Consul()
	if err != nil {
		return err
	}
	version, err := server.ConsulVersion(binary)
	if err != nil {
		return err
	}
	f.version("Consul", version)
	dir := filepath.Join(f.dir, "consul")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if f.consul, err = server.StartConsul(ctx, binary, dir); err != nil {
		return err
	}
	if err := f.consul.PutSettings(); err != nil {
		f.consul.Stop()
		return err
	}
	return nil
}

// learn asks every version by number for its answers, and makes the target.
func (f *fleet) learn(ctx context.Context) error {
	o := f.options
	network, addr := f.gateway.Address(o.Transport)
	f.target = load.Target{Network: network, Addr: addr, Timeout: answerTimeout}
	for _, v := range o.Versions {
		manifest, samples, err := f.artifact(o.Model, v)
		if err != nil {
			return err
		}
		if f.checker == nil {
			f.checker = payload.NewChecker(manifest.Tolerance)
			if f.target.Requests, err = payload.Requests(samples, payload.To{Model: o.Model}, payload.Protocol(o.Protocol)); err != nil {
				return err
			}
		}
		if err := f.gateway.AwaitVersion(ctx, o.Model, v); err != nil {
			return err
		}
		pinned := f.target
		if pinned.Requests, err = payload.Requests(samples, payload.To{Model: o.Model, Version: v}, payload.Protocol(o.Protocol)); err != nil {
			return err
		}
		if err := learn(f.checker, manifest, v, pinned); err != nil {
			return err
		}
	}
	f.target.Check = func(i int, a load.Answer, _ time.Time) error { return f.checker.Check(i, a) }
	return f.checker.TellsApart(o.Versions[0], o.Versions[1])
}

// The capacity is the median of short closed loops, both versions in turn.
const capacityRounds = 3

func (f *fleet) capacity(ctx context.Context) ([]report.Spread, error) {
	o := f.options
	perSecond := make([][]float64, len(o.Versions))
	for round := range capacityRounds {
		for _, i := range turn(round, len(o.Versions)) {
			if err := f.put(ctx, f.split(100-100*i)); err != nil {
				return nil, err
			}
			out, err := load.Closed(ctx, f.target, load.ClosedOptions{
				Connections: o.CapacityConnections, Warmup: f.warmup() / 2, Duration: f.round() / 2,
			})
			if err != nil {
				return nil, err
			}
			f.fail("capacity of version "+o.Versions[i], out)
			perSecond[i] = append(perSecond[i], float64(out.Answered)/out.Window.Seconds())
		}
	}
	spreads := make([]report.Spread, len(o.Versions))
	for i, v := range o.Versions {
		spreads[i] = report.NewSpread(perSecond[i])
		f.say("capacity of version %s: %.0f requests a second (%.0f to %.0f)", v, spreads[i].Median, spreads[i].Min, spreads[i].Max)
	}
	return spreads, nil
}

// split is the document with both versions, the first taking a part of 100.
func (f *fleet) split(first int) []byte {
	v := f.options.Versions
	return server.Document(f.options.Model, f.artifacts, map[string]int{v[0]: first, v[1]: 100 - first})
}

// only is the document with one version.
func (f *fleet) only(version string) []byte {
	return server.Document(f.options.Model, map[string]server.Artifact{version: f.artifacts[version]}, map[string]int{version: 100})
}

// inForceWithin is how long a change may take before it counts as lost.
const inForceWithin = 20 * time.Second

// put writes a document between measurements and waits until it is in force.
func (f *fleet) put(ctx context.Context, document []byte) error {
	index, err := f.consul.Put("models/"+f.options.Model, document)
	if err != nil {
		return err
	}
	return f.await(ctx, index)
}

// await asks until an answer comes from under an index.
func (f *fleet) await(ctx context.Context, index uint64) error {
	for deadline := time.Now().Add(inForceWithin); ; {
		var now uint64
		err := load.Once(f.target, 0, func(a load.Answer) error {
			now = configIndex(a)
			return f.checker.Check(0, a)
		})
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case now >= index:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("the document of index %d is not in force after %s, but that of %d", index, inForceWithin, now)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
