package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/loader/store"
)

const followsAliases = `{"model": "mozart", "follow": {"from": "mlflow:models/mozart", "policy": {"aliases": ["champion", "challenger"]}}%s}`

// registry is one in memory.
type registry struct {
	mu      sync.Mutex
	aliases map[string]string
	err     error
	asked   int
}

func (g *registry) resolve(_ context.Context, f configs.Follow) (*configs.Resolution, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	if g.err != nil {
		return nil, g.err
	}
	s := &configs.Resolution{From: f.From, Policy: f.Policy, Versions: map[string]configs.ResolvedVersion{}, Aliases: maps.Clone(g.aliases)}
	for _, version := range g.aliases {
		s.Versions[version] = configs.ResolvedVersion{URI: "mlflow:models/mozart/" + version}
	}
	return s, nil
}

// ask asks the registry as the gateway with the lock does.
func (b *bench) ask(g *registry) {
	b.t.Helper()
	b.r.resolver.ask = g.resolve
	for model, f := range b.r.resolver.following() {
		b.r.resolver.resolve(b.t.Context(), model, f)
	}
	b.read()
}

// follows is how a model is served whose versions come from a registry.
func (b *bench) follows(want string, args ...any) {
	b.t.Helper()
	got := strings.ReplaceAll(b.serving("mozart"), "mlflow:models/mozart/", "v")
	if want = fmt.Sprintf(want, args...); got != want {
		b.t.Errorf("served as %q, want %q", got, want)
	}
}

func TestAMovedAliasIsAChangeOfConfiguration(t *testing.T) {
	b := newBench(t)
	g := &registry{aliases: map[string]string{"champion": "1", "challenger": "2"}}
	at := b.set("models/mozart", fmt.Sprintf(followsAliases, `, "traffic": {"weights": {"champion": 90, "challenger": 10}}`))
	b.read()
	b.follows("nothing: its registry was not asked yet")
	b.waitsFor("mozart", "mlflow:models/mozart was not asked yet")
	b.ask(g)
	b.follows("%d 1=90v1 2=10v2", at)
	b.waitsFor("mozart", "")

	// Until the new version is ready the old one answers.
	b.loader.state["mlflow:models/mozart/3"] = loader.StateFetching
	g.aliases["champion"] = "3"
	b.ask(g)
	b.follows("%d 1=90v1 2=10v2", at)
	b.waitsFor("mozart", "version 3 is fetching")
	b.becomes(loader.StateReady, "mlflow:models/mozart/3")
	b.follows("%d 2=10v2 3=90v3", at)

	records, err := configs.ListAudit(t.Context(), b.store, "mozart")
	if err != nil || len(records) < 2 {
		t.Fatal(records, err)
	}
	newest := records[0]
	want := "champion moved from 1 to 3; version 1 is not followed any more; version 3 is new, in mlflow:models/mozart"
	if newest.Event != configs.EventResolve || newest.Who.User != "gateway gw" || newest.Reason != want || newest.BeforeDigest == "" {
		t.Errorf("the audit says %+v", newest)
	}
	if s := b.status("mozart").Follow; s == nil || s.By != "gateway gw" || s.Aliases["champion"] != "3" || s.Problem != "" {
		t.Errorf("the status says %+v", s)
	}
	b.wantsMetric("2", "segue_consul_writes_total", "kind=resolved", "outcome=ok")
}

func TestWhatWasFoundLastStandsWithoutTheRegistry(t *testing.T) {
	b := newBench(t)
	g := &registry{aliases: map[string]string{"champion": "1", "challenger": "2"}}
	at := b.set("models/mozart", fmt.Sprintf(followsAliases, ""))
	b.read()
	b.ask(g)
	b.follows("%d 1=100v1 2=0v2", at)
	g.err = fmt.Errorf("mlflow is away: %w", store.ErrUnreachable)
	b.ask(g)
	b.follows("%d 1=100v1 2=0v2", at)
	if s := b.status("mozart").Follow; !strings.Contains(s.Problem, "mlflow is away") {
		t.Errorf("the status says %+v", s)
	}
	b.restart()
	b.pass() // before the source was heard
	b.follows("%d 1=100v1 2=0v2", at)
	b.remove("resolved/mozart")
	b.read()
	b.ask(g)
	b.follows("%d 1=100v1 2=0v2", at)
	b.set("resolved/mozart", `{"from": "file:/etc"`)
	b.read()
	b.follows("%d 1=100v1 2=0v2", at)
	if !strings.Contains(b.log.String(), "resolution refused") {
		t.Error("a resolution that cannot be read is not mentioned")
	}
	g.err = nil
	g.aliases["champion"] = "2"
	b.ask(g)
	b.follows("%d 2=100v2", at)
}

func TestABrokenVersionOfTheRegistryChangesNothing(t *testing.T) {
	b := newBench(t)
	g := &registry{aliases: map[string]string{"champion": "1", "challenger": "1"}}
	at := b.set("models/mozart", fmt.Sprintf(followsAliases, ""))
	b.read()
	b.ask(g)
	b.loader.state["mlflow:models/mozart/2"] = loader.StateFailed
	g.aliases["champion"] = "2"
	b.ask(g)
	b.follows("%d 1=100v1", at)
	b.waitsFor("mozart", "version 2 is failed: broken")
	delete(g.aliases, "champion")
	b.ask(g)
	b.follows("%d 1=100v1", at)
	if rejected := b.status("mozart").Rejected; len(rejected) != 1 || !strings.Contains(rejected[0], `no version or alias "champion"`) {
		t.Errorf("refused with %v", rejected)
	}
	g.aliases["champion"] = "1"
	b.ask(g)
	b.follows("%d 1=100v1", at)
	if rejected := b.status("mozart").Rejected; len(rejected) != 0 {
		t.Errorf("still refused: %v", rejected)
	}
}

func TestAFreezeStopsAliases(t *testing.T) {
	b := newBench(t)
	g := &registry{aliases: map[string]string{"champion": "1", "challenger": "1"}}
	at := b.set("models/mozart", fmt.Sprintf(followsAliases, ""))
	b.read()
	b.ask(g)
	b.set("settings", `{"schema": 1, "freeze": true}`)
	b.read()
	if wanted := b.r.resolver.following(); len(wanted) != 0 {
		t.Errorf("asks for %v", wanted)
	}
	// Another gateway may have asked before it saw the freeze.
	found, err := (&registry{aliases: map[string]string{"champion": "2", "challenger": "2"}}).resolve(t.Context(),
		configs.Follow{From: "mlflow:models/mozart", Policy: configs.FollowPolicy{Aliases: []string{"champion", "challenger"}}})
	if err != nil {
		t.Fatal(err)
	}
	found.By, found.At = "gateway other", b.now
	b.set("resolved/mozart", string(configs.CanonicalResolution(found)))
	b.read()
	b.follows("%d 1=100v1", at)
	b.waitsFor("mozart", "settings.freeze is on")
	b.set("settings", minimalSettings)
	b.read()
	b.follows("%d 2=100v2", at)
}

func TestAnotherPolicyWaitsForItsAnswerAndServesOn(t *testing.T) {
	b := newBench(t)
	g := &registry{aliases: map[string]string{"champion": "1", "challenger": "2"}}
	at := b.set("models/mozart", fmt.Sprintf(followsAliases, ""))
	b.read()
	b.ask(g)
	next := b.set("models/mozart", strings.Replace(fmt.Sprintf(followsAliases, ""), `["champion", "challenger"]`, `["challenger"]`, 1))
	b.read()
	b.follows("%d 1=100v1 2=0v2", at)
	b.waitsFor("mozart", "was not asked yet for what the document wants")
	delete(g.aliases, "champion")
	b.ask(g)
	b.follows("%d 2=100v2", next)
}

func TestARolloutFollowsItsLabels(t *testing.T) {
	b := newBench(t)
	g := &registry{aliases: map[string]string{"champion": "1", "challenger": "2"}}
	b.set("models/mozart", fmt.Sprintf(followsAliases, `, "rollout": {"stable": "champion", "canary": "challenger", "steps": [{"weight": 10}]}`))
	b.read()
	b.ask(g)
	b.read()
	if state := b.r.steer("mozart", b.r.models["mozart"].inForce.doc, b.now).Rollout; state == nil || !state.Running() {
		t.Fatalf("the rollout has not begun: %+v", state)
	}
	before := b.r.models["mozart"].inForce.doc.Basis()
	g.aliases["challenger"] = "3"
	b.ask(g)
	b.read()
	doc := b.r.models["mozart"].inForce.doc
	if doc.Rollout.Canary != "3" || doc.Basis() == before {
		t.Errorf("the rollout is still %+v", doc.Rollout)
	}
	g.aliases["champion"] = "3"
	b.ask(g)
	b.read()
	if doc := b.r.models["mozart"].inForce.doc; doc.Rollout != nil || doc.Traffic.Weights["3"] != 100 {
		t.Errorf("with one version there is %+v, %v", doc.Rollout, doc.Traffic.Weights)
	}
}

func TestRegistriesAreAskedInTurnAndOnlyUnderTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		g := &registry{aliases: map[string]string{"champion": "1", "challenger": "1"}}
		v := b.r.resolver
		v.ask, v.now = g.resolve, time.Now
		locker := &oneHolder{free: make(chan struct{})}
		v.locker = locker
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- v.run(ctx) }()
		v.follow(map[string]configs.Follow{"mozart": {From: "mlflow:models/mozart", Interval: configs.Duration(10 * time.Second)}})
		asked := func() int {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.asked
		}
		time.Sleep(time.Hour)
		if n := asked(); n != 0 {
			t.Errorf("asked %d times without the lock", n)
		}
		close(locker.free)
		time.Sleep(100 * time.Second)
		if n := asked(); n < 8 || n > 14 {
			t.Errorf("asked %d times in 100 s, of 10 s each", n)
		}
		// A registry that wants to be left alone is.
		g.mu.Lock()
		g.err, g.asked = store.Later(errors.New("too many requests"), time.Hour), 0
		g.mu.Unlock()
		time.Sleep(30 * time.Minute)
		if n := asked(); n != 1 {
			t.Errorf("asked %d times of a registry that wants an hour", n)
		}
		v.follow(nil)
		time.Sleep(time.Minute)
		if locker.held.Load() {
			t.Error("the lock is held for nothing")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// oneHolder is a lock that can be had from a time on.
type oneHolder struct {
	free chan struct{}
	held atomic.Bool
}

func (o *oneHolder) Hold(ctx context.Context, _ string, fn func(context.Context) error) error {
	select {
	case <-ctx.Done():
		return nil
	case <-o.free:
	}
	o.held.Store(true)
	defer o.held.Store(false)
	return fn(ctx)
}
