package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

// rollingOut is a document that rolls version 3 of mozart out over version 2.
// Version 3 is confident and wrong: nothing but the classes that it predicts
// tells.
func rollingOut(t testing.TB, weight int, more string) string {
	t.Helper()
	var versions []string
	for _, v := range []string{"2", "3"} {
		path, err := filepath.Abs(filepath.Join(quickstart, "models", "mozart", v))
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, fmt.Sprintf(`%q: {"uri": "file:%s"}`, v, path))
	}
	return fmt.Sprintf(`{"model": "mozart", "versions": {%s}, "limits": {"timeout": "20s"}, "rollout": {"stable": "2", "canary": "3", %s
		"steps": [{"weight": %d, "min_time": "1h"}], "guards": {"errors": {}, "classes": {"output": "probabilities"}}}}`,
		strings.Join(versions, ", "), more, weight)
}

// callers ask gateways for predictions of all goldens, so many a second each,
// until they are stopped.
type callers struct {
	t                        testing.TB
	bodies                   [][]byte
	canary, answers, failing atomic.Int64
	lastFailure              atomic.Pointer[string]
	stop                     chan struct{}
	running                  sync.WaitGroup
}

func startCallers(t testing.TB, rate int, gateways ...*seguetest.Gateway) *callers {
	t.Helper()
	c := &callers{t: t, stop: make(chan struct{})}
	for _, golden := range seguetest.Goldens(t, manifestOf(t, "mozart", "2")) {
		c.bodies = append(c.bodies, golden.Request(t))
	}
	for _, gw := range gateways {
		c.running.Go(func() { c.call(gw, time.Second/time.Duration(rate)) })
	}
	t.Cleanup(c.end)
	return c
}

func (c *callers) call(gw *seguetest.Gateway, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-ticker.C:
		}
		a, err := seguetest.Do(http.MethodPost, gw.URL+"/v2/models/mozart/infer", c.bodies[rand.IntN(len(c.bodies))], nil)
		c.answers.Add(1)
		switch {
		case err != nil || a.Code != http.StatusOK:
			failure := fmt.Sprintf("%d %.200s %v", a.Code, a.Body, err)
			c.lastFailure.Store(&failure)
			c.failing.Add(1)
		case a.Version() == "3":
			c.canary.Add(1)
		}
	}
}

func (c *callers) end() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
	c.running.Wait()
}

// stored is the state of the rollout in Consul.
func stored(agent *consultest.Agent) *configs.RolloutState {
	pair, ok := agent.Get(prefix + "overrides/mozart")
	if !ok {
		return nil
	}
	o, err := configs.ParseOverride(configs.Entry{Name: "mozart", Value: []byte(pair.Value)})
	if err != nil {
		return nil
	}
	return o.Rollout
}

// wantPhase waits until Consul has a rollout other than one in a phase.
func wantPhase(t testing.TB, agent *consultest.Agent, within time.Duration, phase configs.RolloutPhase, other string) *configs.RolloutState {
	t.Helper()
	var state *configs.RolloutState
	seguetest.Eventually(t, within, "the rollout is in phase "+string(phase), func() error {
		if state = stored(agent); state == nil || state.Phase != phase || state.ID() == other {
			text, _ := json.Marshal(state)
			return fmt.Errorf("%s", text)
		}
		return nil
	})
	return state
}

// wantShare waits until a gateway gives version 3 a share.
func wantShare(t testing.TB, gw *seguetest.Gateway, within time.Duration, share string) {
	t.Helper()
	seguetest.Eventually(t, within, "the canary has a share of "+share, func() error {
		if got, _ := gw.Metric(t, `segue_route_weight_ratio{model="mozart",version="3"}`); got != share {
			return fmt.Errorf("%q\n%s", got, gw.Log())
		}
		return nil
	})
}

var logTime = regexp.MustCompile(`(?m)^time=(\S+) .*msg="configuration in force" model=mozart .*weights="map\[2:100 3:0\]"`)

// backAfter is how long after a verdict a gateway had put everything on stable.
// It is negative where the gateway took the canary back by itself and another
// one's verdict became the fleet's. Since is when the canary had its share.
func backAfter(t testing.TB, gw *seguetest.Gateway, since, verdict time.Time) time.Duration {
	t.Helper()
	for _, found := range logTime.FindAllStringSubmatch(gw.Log(), -1) {
		if at, err := time.Parse(time.RFC3339Nano, found[1]); err == nil && at.After(since) {
			return at.Sub(verdict)
		}
	}
	t.Fatalf("never\n%s", gw.Log())
	return 0
}

func TestABadCanaryIsTakenBackOnEveryGatewayWithoutAPerson(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	document := rollingOut(t, 5, "")
	agent.Put(prefix+"models/mozart", document)
	fleet := make([]*seguetest.Gateway, counts(4, 20))
	for i := range fleet {
		fleet[i] = seguetest.Start(t, seguetest.Config{Source: "consul://" + agent.Addr + "/segue/test", NotReady: true, Args: []string{"--instance", fmt.Sprintf("gw-%d", i)}})
	}
	for _, gw := range fleet {
		gw.WaitReady(t, 90*time.Second)
	}
	first := wantPhase(t, agent, 30*time.Second, configs.PhaseStep, "")
	for _, gw := range fleet {
		wantShare(t, gw, 10*time.Second, "0.05")
	}
	loaded := time.Now()
	load := startCallers(t, 300/len(fleet), fleet...)
	state := wantPhase(t, agent, 90*time.Second, configs.PhaseRolledBack, "")
	for _, gw := range fleet {
		wantShare(t, gw, 10*time.Second, "0")
	}
	bad := load.canary.Load()
	slowest := time.Duration(0)
	for _, gw := range fleet {
		slowest = max(slowest, backAfter(t, gw, loaded, state.Decision.At))
	}
	t.Logf("%d gateways: taken back after %d of %d answers by %s, on the last of them %v after the verdict: %s",
		len(fleet), bad, load.answers.Load(), state.Decision.By, slowest, state.Decision.Reason)
	if bad >= 200 {
		t.Errorf("%d answers of the bad version, want fewer than 200", bad)
	}
	if slowest > 2*time.Second {
		t.Errorf("the last gateway followed after %v", slowest)
	}
	if state.ID() != first.ID() || state.Decision.Guard != "classes" {
		t.Errorf("taken back by %+v", state.Decision)
	}
	pinned := fleet[0].Get(t, "/v2/models/mozart/versions/3/ready")
	if pinned.Code != http.StatusServiceUnavailable {
		t.Errorf("the refused version answers %d", pinned.Code)
	}
	// What does not touch the rollout moves nothing.
	agent.Put(prefix+"models/mozart", document)
	agent.Put(prefix+"models/mozart", strings.Replace(document, `"20s"`, `"21s"`, 1))
	time.Sleep(time.Second)
	for _, gw := range fleet {
		wantShare(t, gw, time.Second, "0")
	}
	if now := load.canary.Load(); now != bad {
		t.Errorf("%d more answers of the refused version", now-bad)
	}
	// Another attempt does.
	agent.Put(prefix+"models/mozart", rollingOut(t, 5, `"attempt": 2,`))
	wantPhase(t, agent, 20*time.Second, configs.PhaseStep, first.ID())
	wantShare(t, fleet[len(fleet)-1], 10*time.Second, "0.05")
	load.end()
	if n := load.failing.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the last with %s", n, load.answers.Load(), *load.lastFailure.Load())
	}
}

// classesReason says which composer the canary hears how often.
var classesReason = regexp.MustCompile(`^guard classes: ln E \S+ ≥ \S+ with class (bach|beethoven|monteverdi|mozart|palestrina) (more|less) often: \d+ of \d+, stable \d+ of \d+$`)

func TestARollbackWithoutConsulStandsAndIsReplayedUnlessTheOperatorMovedOn(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	agent.Put(prefix+"models/mozart", rollingOut(t, 50, ""))
	proxy := consultest.NewProxy(t, agent.Addr)
	gw := seguetest.Start(t, seguetest.Config{Source: "consul://" + proxy.Addr + "/segue/test"})
	first := wantPhase(t, agent, 20*time.Second, configs.PhaseStep, "")
	wantShare(t, gw, 10*time.Second, "0.5")
	proxy.Set(consultest.Fault{Close: true})
	load := startCallers(t, 60, gw)
	wantShare(t, gw, 60*time.Second, "0")
	if s := stored(agent); s.Phase != configs.PhaseStep {
		t.Fatalf("written although Consul is away: %+v", s)
	}
	// Not even a crash forgets it.
	gw.Kill()
	load.end()
	gw = seguetest.Start(t, seguetest.Config{Source: "consul://" + proxy.Addr + "/segue/test", StateDir: gw.StateDir})
	wantShare(t, gw, time.Second, "0")
	proxy.Set(consultest.Fault{})
	replayed := wantPhase(t, agent, 40*time.Second, configs.PhaseRolledBack, "")
	if replayed.ID() != first.ID() || replayed.Decision.Guard != "classes" || !classesReason.MatchString(replayed.Decision.Reason) {
		t.Errorf("replayed %+v", replayed)
	}
	// The same again, but this time somebody changes the rollout meanwhile.
	agent.Put(prefix+"models/mozart", rollingOut(t, 50, `"attempt": 2,`))
	second := wantPhase(t, agent, 20*time.Second, configs.PhaseStep, first.ID())
	wantShare(t, gw, 10*time.Second, "0.5")
	proxy.Set(consultest.Fault{Close: true})
	load = startCallers(t, 60, gw)
	wantShare(t, gw, 60*time.Second, "0")
	load.end()
	agent.Put(prefix+"models/mozart", rollingOut(t, 20, `"attempt": 3,`))
	proxy.Set(consultest.Fault{})
	third := wantPhase(t, agent, 40*time.Second, configs.PhaseStep, second.ID())
	wantShare(t, gw, 10*time.Second, "0.2")
	if third.Decision.Event != configs.DecideStart {
		t.Errorf("the operator's rollout stands at %+v", third.Decision)
	}
}

func TestAGoodCanaryWalksUpThroughACrashAndEveryStepIsTakenOnce(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	document := rollingOut(t, 10, "")
	document = strings.NewReplacer(`"3"`, `"1"`, "mozart/3", "mozart/1").Replace(document) // from 2 to 1, which is as good as far as guards can tell
	document = document[:strings.Index(document, `"steps"`)] + `"steps": [{"weight": 20}, {"weight": 50}, {"weight": 80}], "guards": {"errors": {"max_rate": 0.03}}}}`
	agent.Put(prefix+"models/mozart", document)
	var fleet []*seguetest.Gateway
	for i := range 3 {
		fleet = append(fleet, seguetest.Start(t, seguetest.Config{Source: "consul://" + agent.Addr + "/segue/test", Args: []string{"--instance", fmt.Sprintf("gw-%d", i)}}))
	}
	wantPhase(t, agent, 20*time.Second, configs.PhaseStep, "")
	load := startCallers(t, 40, fleet[1:]...)
	dying := startCallers(t, 40, fleet[0])
	time.Sleep(2 * time.Second) // it has written what it has seen by then
	dying.end()
	fleet[0].Kill()
	fleet[0] = seguetest.Start(t, seguetest.Config{Source: "consul://" + agent.Addr + "/segue/test", StateDir: fleet[0].StateDir, Args: []string{"--instance", "gw-0"}})
	promoted := wantPhase(t, agent, 90*time.Second, configs.PhasePromoted, "")
	for _, gw := range fleet {
		seguetest.Eventually(t, 5*time.Second, "the canary has all", func() error {
			if s := gw.Status(t).Models["mozart"]; s.Weights["1"] != 1 || s.Rollout == nil || !s.Rollout.Behind {
				return fmt.Errorf("%+v %+v", s.Weights, s.Rollout)
			}
			return nil
		})
	}
	load.end()
	if n := load.failing.Load(); n > 0 {
		t.Errorf("%d of %d requests failed, the last with %s", n, load.answers.Load(), *load.lastFailure.Load())
	}
	events := map[string]int{}
	for _, pair := range agent.List(prefix + "audit/mozart/") {
		var r configs.AuditRecord
		if json.Unmarshal([]byte(pair.Value), &r) == nil && strings.HasPrefix(r.Who.User, "gateway ") {
			events[r.Event]++
		}
	}
	if events["start"] != 1 || events["step"] != 2 || events["promote"] != 1 || len(events) != 3 {
		t.Errorf("decided %v, want one start, two steps and one promotion", events)
	}
	t.Logf("promoted after %d answers: %s", load.answers.Load()+dying.answers.Load(), promoted.Decision.Reason)
	writers := map[string]bool{}
	for _, pair := range agent.List(prefix + "evidence/mozart/") {
		writers[pair.Key] = true
	}
	if len(writers) != 4 {
		t.Errorf("evidence of %d writers, want that of three gateways and of the one that crashed: %v", len(writers), writers)
	}
}
