package measure

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/models"
	"github.com/segue-serving/segue/bench/payload"
	"github.com/segue-serving/segue/bench/scenario"
	"github.com/segue-serving/segue/bench/server"
)

// contest is the contenders of a scenario, each with the processes that it
// needs. A process serves every model of the scenario.
type contest struct {
	*runner
	models  []scenario.Model
	bare    *bare
	running map[string]process // by what they were started with
	closing []func()
}

// process is a server that was started once for several contenders.
type process interface {
	PID() int
	Explain(error) error
	Stop()
}

// contender is one way of answering one model's requests.
type contender struct {
	scenario.Contender
	// target is where its requests go; a runtime has none.
	target load.Target
	// run keeps it busy for one measurement.
	run func(context.Context, load.ClosedOptions) (*load.Outcome, error)
	// pid is its process; 0 stands for this one.
	pid                       int
	connections, requestBytes int
	workers                   *workers
}

// explain adds what a server that has ended has said.
func (c *contest) explain(err error) error {
	for _, p := range c.running {
		err = p.Explain(err)
	}
	return err
}

func (c *contest) close() {
	for i := len(c.closing) - 1; i >= 0; i-- {
		c.closing[i]()
	}
}

// start returns the process that a key stands for, started at most once.
func start[P process](c *contest, key string, begin func(dir string) (P, error)) (P, error) {
	if p, ok := c.running[key]; ok {
		return p.(P), nil
	}
	if c.running == nil {
		c.running = map[string]process{}
	}
	dir := filepath.Join(c.dir, fmt.Sprintf("process%d", len(c.running)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		var none P
		return none, err
	}
	p, err := begin(dir)
	if err == nil {
		c.running[key] = p
		c.closing = append(c.closing, p.Stop)
	}
	return p, err
}

// gateway serves every model of the scenario from a folder, as a contender
// wants it.
func (c *contest) gateway(ctx context.Context, env map[string]string, drift map[string]any) (*server.Gateway, error) {
	return start(c, "gateway "+fmt.Sprint(env, drift), func(dir string) (*server.Gateway, error) {
		documents := map[string][]byte{}
		for _, m := range c.models {
			folder, err := c.folder(m.Model, m.Version)
			if err != nil {
				return nil, err
			}
			if drift != nil {
				watched := filepath.Join(dir, "watched", m.Model)
				if err := models.AddProfile(m.Model, folder, watched); err != nil {
					return nil, err
				}
				folder = watched
			}
			artifact, err := server.NewArtifact(folder)
			if err != nil {
				return nil, err
			}
			versions, weights := map[string]server.Artifact{m.Version: artifact}, map[string]int{m.Version: 100}
			documents[m.Model] = server.Document(m.Model, versions, weights)
			if drift != nil {
				documents[m.Model] = server.WatchedDocument(m.Model, versions, weights, drift)
			}
		}
		folder := filepath.Join(dir, "documents")
		if err := server.WriteDocuments(folder, documents); err != nil {
			return nil, err
		}
		g, err := c.startGateway(ctx, server.GatewayOptions{Source: "file:" + folder, Dir: dir, Env: env})
		if err != nil {
			return nil, err
		}
		for _, m := range c.models {
			if err := g.AwaitVersion(ctx, m.Model, m.Version); err != nil {
				g.Stop()
				return nil, err
			}
		}
		return g, nil
	})
}

// prepare makes one contender on one model.
func (c *contest) prepare(ctx context.Context, m scenario.Model, one scenario.Contender) (contender, error) {
	manifest, samples, err := c.artifact(m.Model, m.Version)
	if err != nil {
		return contender{}, err
	}
	made := contender{Contender: one, connections: one.Connections, workers: &workers{}}
	if one.Kind == scenario.KindRuntime {
		made.connections = one.Streams
		made.run, err = c.prepareBare(ctx, m, manifest, samples)
		return made, err
	}
	requests, err := payload.Requests(samples, payload.To{Model: m.Model}, payload.Protocol(one.Protocol))
	if err != nil {
		return contender{}, err
	}
	made.target = load.Target{Network: "tcp", Timeout: answerTimeout, Requests: requests, GRPC: one.Protocol == string(payload.GRPC)}
	made.requestBytes = len(requests[0].Body)
	checker := payload.NewChecker(manifest.Tolerance)
	if one.Kind == scenario.KindPeer {
		checker = payload.NewAnonymousChecker(manifest.Tolerance, m.Version)
		p, err := c.peer(one)
		if err != nil {
			return contender{}, err
		}
		made.target.Addr, made.pid = p.Addr, p.PID()
		if err := p.Await(ctx, func() error { return learn(checker, manifest, m.Version, made.target) }); err != nil {
			return contender{}, err
		}
	} else {
		g, err := c.gateway(ctx, one.Env, one.Drift)
		if err != nil {
			return contender{}, err
		}
		made.target.Network, made.target.Addr = g.Address(one.Transport)
		if made.target.GRPC {
			made.target.Addr = g.GRPC
		}
		made.pid = g.PID()
		if err := learn(checker, manifest, m.Version, made.target); err != nil {
			return contender{}, err
		}
	}
	made.target.Check = func(i int, a load.Answer, _ time.Time) error {
		made.workers.note(a)
		return checker.Check(i, a)
	}
	if one.Kind == scenario.KindEcho {
		echo, bodies, err := c.startEcho(ctx, &made.target, one)
		if err != nil {
			return contender{}, err
		}
		same := payload.Echo(bodies)
		made.target.Addr, made.pid = echo.Addr, echo.PID()
		made.target.Check = func(i int, a load.Answer, _ time.Time) error { return same(i, a) }
	}
	made.run = func(ctx context.Context, o load.ClosedOptions) (*load.Outcome, error) {
		return load.Closed(ctx, made.target, o)
	}
	return made, nil
}

// peer starts a peer for every model of the scenario.
func (c *contest) peer(one scenario.Contender) (*server.Peer, error) {
	return start(c, fmt.Sprintf("peer %s %d %q", one.Peer, one.Workers, one.Options), func(dir string) (*server.Peer, error) {
		python, err := c.Python(one.Peer)
		if err != nil {
			return nil, err
		}
		versions, err := server.PeerVersions(c.Peers, one.Peer)
		if err != nil {
			return nil, err
		}
		files := map[string]string{}
		for _, m := range c.models {
			folder, err := c.folder(m.Model, m.Version)
			if err != nil {
				return nil, err
			}
			files[m.Model] = filepath.Join(folder, "model.onnx")
		}
		c.version("peer "+one.Peer, strings.Join(versions, ", "))
		return server.StartPeer(server.PeerOptions{Folder: c.Peers, Name: one.Peer, Workers: one.Workers, Options: one.Options, Models: files, Dir: dir}, python)
	})
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
	echo, err := server.StartEcho(ctx, one.Transport, socket, t.GRPC, answers)
	if err != nil {
		return nil, nil, err
	}
	c.closing = append(c.closing, echo.Stop)
	return echo, bodies, nil
}
