package gateway

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/runtime/batch"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// givenSource publishes what its test gives it.
type givenSource struct{ snapshots chan configs.Snapshot }

func (s givenSource) Run(ctx context.Context, publish func(configs.Snapshot)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case snapshot := <-s.snapshots:
			publish(snapshot)
		}
	}
}

func (givenSource) State() configs.SourceState { return configs.SourceState{Connected: true} }

// announced keeps what was announced last; it may fail at once.
type announced struct {
	err    error
	mu     sync.Mutex
	newest configs.GatewayStatus
}

func (a *announced) Announce(ctx context.Context, _ string, updates <-chan []byte) error {
	if a.err != nil {
		return a.err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case value := <-updates:
			s, err := configs.ParseStatus(value)
			if err != nil {
				return err
			}
			a.mu.Lock()
			a.newest = s
			a.mu.Unlock()
		}
	}
}

// whole is a gateway with a loader of its own, in simulated time.
type whole struct {
	*Gateway
	t         *testing.T
	bench     *bench // writes the keys
	source    givenSource
	announced *announced
	log       *strings.Builder
	mu        sync.Mutex // of sessions, which several goroutines open
	sessions  []*runtimetest.Session
	stop      func()
}

// packed is an artifact's folder, as document writes contents.
func packed(t *testing.T, salt string) string {
	dir, _ := artifacttest.PackDoubler(t, salt)
	return strings.TrimPrefix(dir, "/")
}

func startWhole(t *testing.T, dir string, a *announced) *whole {
	t.Helper()
	g := &whole{t: t, source: givenSource{make(chan configs.Snapshot)}, announced: a, log: &strings.Builder{},
		bench: &bench{t: t, store: configstest.NewStore(), now: time.Now()}}
	executor := batch.New(batch.Options{Permits: 1})
	var err error
	g.Gateway, err = New(Options{
		Source: g.source, Store: g.bench.store, Announcer: a, Locker: freely{}, SourceID: "test", StateDir: dir, Instance: "gw", Version: "1",
		Loader: loader.Options{
			Stores: store.NewRegistry(map[string]store.Store{"file": store.File{}}, nil),
			Open: func(_ context.Context, r loader.OpenRequest) (loader.Instance, error) {
				session := runtimetest.NewSession(&runtimetest.Fake{Signature: *r.Manifest.Signature})
				g.mu.Lock()
				g.sessions = append(g.sessions, session)
				g.mu.Unlock()
				return Instance{executor.Instance(session, batch.InstanceOptions{Name: r.Wanted.Model, Version: r.Wanted.Version})}, nil
			},
		},
		MaxTensorBytes: 1 << 20, Log: slog.New(slog.NewTextHandler(g.log, nil)), Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- g.Run(ctx) }()
	g.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	return g
}

// read hands the newest snapshot over and waits until all has come to rest.
func (g *whole) read() {
	g.bench.now = time.Now()
	g.source.snapshots <- g.bench.snapshot()
	synctest.Wait()
}

// split is which versions of mozart answer.
func (g *whole) split() string {
	m := g.router.load().models["mozart"]
	if m == nil || m.split == nil {
		return ""
	}
	return strings.Join(m.split.Versions(), " ")
}

func (g *whole) wants(want string) {
	g.t.Helper()
	synctest.Wait()
	if got := g.split(); got != want {
		g.t.Errorf("versions %q answer, want %q\n%s", got, want, g.log)
	}
}

func TestTimeAloneEndsGracesAndHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startWhole(t, t.TempDir(), &announced{})
		defer g.stop()
		one := packed(t, "1")
		two := packed(t, "2")
		g.bench.set("settings", minimalSettings)
		g.bench.document("mozart", "1:"+one+" 2:"+two, "1=100")
		g.bench.held("mozart", "2=100", time.Hour)
		g.read()
		g.wants("2")
		if s := g.Status(); !s.Ready || s.Models["mozart"].Weights["2"] != 1 {
			t.Errorf("status %+v", s)
		}
		time.Sleep(time.Hour - time.Millisecond)
		g.wants("2")
		time.Sleep(2 * time.Millisecond)
		g.wants("1")
		g.bench.remove("models/mozart")
		g.read()
		time.Sleep(configs.DefaultDeleteGrace - time.Millisecond)
		g.wants("1")
		time.Sleep(2 * time.Millisecond)
		g.wants("")
		g.announced.mu.Lock()
		defer g.announced.mu.Unlock()
		if s := g.announced.newest; len(s.Models) != 0 || !s.Ready {
			t.Errorf("announced %+v", s)
		}
	})
}

func TestAVersionThatHealsIsTakenWithoutAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startWhole(t, t.TempDir(), &announced{})
		defer g.stop()
		one := packed(t, "1")
		two := packed(t, "2")
		later := t.TempDir() + "/later"
		g.bench.set("settings", minimalSettings)
		g.bench.document("mozart", "1:"+one, "1=100")
		g.read()
		g.bench.document("mozart", "1:"+one+" 2:"+later[1:], "2=100")
		g.read()
		time.Sleep(10 * time.Minute)
		g.wants("1")
		if m := g.Status().Models["mozart"]; m.Versions["2"].State == configs.VersionReady || !strings.Contains(m.Waiting, "version 2") {
			t.Errorf("status %+v", m)
		}
		if err := os.Rename("/"+two, later); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		g.wants("2")
	})
}

func TestTheEndClosesEveryVersionAndKeepsWhatWasInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		one := packed(t, "1")
		g := startWhole(t, dir, &announced{})
		g.bench.set("settings", minimalSettings)
		g.bench.document("mozart", "1:"+one, "1=100")
		g.read()
		g.wants("1")
		g.stop()
		for _, s := range g.sessions {
			if _, err := s.Run(context.Background(), nil, nil); err == nil {
				t.Error("a session is still open")
			}
		}
		again := startWhole(t, dir, &announced{})
		defer again.stop()
		again.wants("1")
	})
}

func TestAGatewayThatCannotBeSeenServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startWhole(t, t.TempDir(), &announced{err: errors.New("no place for a status")})
		defer g.stop()
		one := packed(t, "1")
		g.bench.document("mozart", "1:"+one, "1=100")
		g.read()
		time.Sleep(time.Minute)
		g.wants("1")
		if !strings.Contains(g.log.String(), "no place for a status") {
			t.Error("it is not said")
		}
	})
}
