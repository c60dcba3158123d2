package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

// rollingOutOf is a document of a model that rolls one of the examples out over
// another: stable and canary are folders such as mozart/2, and the versions'
// names where they are different ones. Rollout holds the further fields.
func rollingOutOf(t testing.TB, model, stable, canary, rollout, more string) string {
	t.Helper()
	path := func(folder string) string {
		path, err := filepath.Abs(filepath.Join(quickstart, "models", folder))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	names := [2]string{filepath.Base(stable), filepath.Base(canary)}
	if stable == canary {
		names[1] += "-again"
	}
	return fmt.Sprintf(`{"model": %q, "versions": {%q: {"uri": "file:%s"}, %q: {"uri": "file:%s"}}, "limits": {"timeout": "20s"}, %s
		"rollout": {"stable": %q, "canary": %q, %s}}`, model, names[0], path(stable), names[1], path(canary), more, names[0], names[1], rollout)
}

// startGateways starts some gateways on one agent and waits for all of them.
func startGateways(t testing.TB, agent *consultest.Agent, n int) []*seguetest.Gateway {
	t.Helper()
	all := make([]*seguetest.Gateway, n)
	for i := range all {
		all[i] = seguetest.Start(t, seguetest.Config{Source: "consul://" + agent.Addr + "/segue/test", NotReady: true,
			Args: []string{"--instance", fmt.Sprintf("gw-%d", i)}})
	}
	for _, gw := range all {
		gw.WaitReady(t, 90*time.Second)
	}
	return all
}

// wantShareOf waits until a gateway gives a version of mozart a share.
func wantShareOf(t testing.TB, gw *seguetest.Gateway, version, share string) {
	t.Helper()
	seguetest.Eventually(t, 20*time.Second, "version "+version+" has a share of "+share, func() error {
		if got, _ := gw.Metric(t, fmt.Sprintf(`segue_route_weight_ratio{model="mozart",version=%q}`, version)); got != share {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
}

// wantNoFailures ends a load of which every request must have been answered.
func (c *callers) wantNoFailures() {
	c.t.Helper()
	c.end()
	if n := c.failing.Load(); n > 0 {
		c.t.Errorf("%d of %d requests failed, the last with %s", n, c.answers.Load(), *c.lastFailure.Load())
	}
}

// outcomes are the audit's events about mozart, oldest first.
func outcomes(t testing.TB, agent *consultest.Agent) (events []string, records []configs.AuditRecord) {
	t.Helper()
	for _, pair := range agent.List(prefix + "audit/mozart/") {
		var record configs.AuditRecord
		if err := json.Unmarshal([]byte(pair.Value), &record); err != nil {
			t.Fatalf("%s: %v", pair.Key, err)
		}
		events, records = append(events, record.Event), append(records, record)
	}
	return events, records
}

func TestAFleetDecidesAsOne(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	document := func(attempt int) string { return rollingOut(t, 50, fmt.Sprintf(`"attempt": %d,`, attempt)) }
	agent.Put(prefix+"models/mozart", document(0))
	fleet := startGateways(t, agent, counts(3, 20))
	t.Run("every gateway follows a verdict within a second", func(t *testing.T) {
		var took []time.Duration
		other := ""
		for attempt := range counts(2, 20) {
			agent.Put(prefix+"models/mozart", document(attempt))
			started := wantPhase(t, agent, 30*time.Second, configs.PhaseStep, other)
			for _, gw := range fleet {
				wantShareOf(t, gw, "3", "0.5")
			}
			loaded := time.Now()
			load := startCallers(t, max(1, 300/len(fleet)), fleet...)
			state := wantPhase(t, agent, 60*time.Second, configs.PhaseRolledBack, other)
			for _, gw := range fleet {
				wantShareOf(t, gw, "3", "0")
			}
			load.wantNoFailures()
			if state.ID() != started.ID() || state.Decision.Guard != "classes" {
				t.Errorf("taken back by %+v", state.Decision)
			}
			for _, gw := range fleet {
				took = append(took, backAfter(t, gw, loaded, state.Decision.At))
			}
			other = state.ID()
		}
		p := seguetest.Percentiles(took, 0.5, 0.99, 1)
		t.Logf("%d gateways, %d verdicts: from a verdict to a gateway that follows p50 %v, p99 %v, most %v", len(fleet), len(took)/len(fleet), p[0], p[1], p[2])
		if bound := time.Duration(counts(5, 1)) * time.Second; p[1] >= bound {
			t.Errorf("99 %% of gateways followed within %v, want less than %v", p[1], bound)
		}
	})
	t.Run("a better version walks up and is promoted", func(t *testing.T) {
		agent.Put(prefix+"models/mozart", rollingOutOf(t, "mozart", "mozart/1", "mozart/2",
			`"steps": [{"weight": 25}, {"weight": 50, "min_time": "1s"}], "guards": {"errors": {}, "nonfinite": {}}`, ""))
		first := wantPhase(t, agent, 30*time.Second, configs.PhaseStep, stored(agent).ID())
		for _, gw := range fleet {
			wantShareOf(t, gw, "2", "0.25")
		}
		load := startCallers(t, max(1, 300/len(fleet)), fleet...)
		state := wantPhase(t, agent, 90*time.Second, configs.PhasePromoted, "")
		for _, gw := range fleet {
			wantShareOf(t, gw, "2", "1")
		}
		load.wantNoFailures()
		if state.ID() != first.ID() || len(state.Decision.Evidence) != 2 {
			t.Errorf("promoted by %+v", state.Decision)
		}
		events, records := outcomes(t, agent)
		if got := strings.Join(events[max(0, len(events)-4):], " "); got != "document start step promote" {
			t.Errorf("the audit says %q", got)
		}
		for _, r := range records[len(records)-2:] {
			if !strings.Contains(r.Document, `"promote_ln_e"`) || !strings.HasPrefix(r.Who.User, "gateway gw-") {
				t.Errorf("record without its numbers: %+v", r)
			}
		}
		t.Logf("%d gateways: promoted after %d answers and %v: %s", len(fleet), load.answers.Load(), state.Since.Sub(first.Since).Round(time.Millisecond), state.Decision.Reason)
	})
}

func TestIdenticalVersionsAreNotTakenBack(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	models := make([]string, counts(3, 40))
	for i := range models {
		models[i] = fmt.Sprintf("wine-%d", i)
		agent.Put(prefix+"models/"+models[i], rollingOutOf(t, models[i], "wine/1", "wine/1",
			`"steps": [{"weight": 20, "min_time": "1h"}], "guards": {"errors": {}, "nonfinite": {}, "slow": {}, "classes": {}}`, ""))
	}
	fleet := startGateways(t, agent, 2)
	for _, gw := range fleet {
		for _, model := range models {
			seguetest.Eventually(t, 30*time.Second, model+" rolls out", func() error {
				if got, _ := gw.Metric(t, fmt.Sprintf(`segue_rollout_step{model=%q}`, model)); got != "1" {
					return fmt.Errorf("%q", got)
				}
				return nil
			})
		}
	}
	var bodies [][]byte
	for range 100 { // wines of all kinds: each feature somewhere between the least and the most
		row := make([]string, len(wineLeast))
		for i := range row {
			row[i] = fmt.Sprintf("%.2f", wineLeast[i]+rand.Float64()*(wineMost[i]-wineLeast[i]))
		}
		bodies = append(bodies, fmt.Appendf(nil, `{"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 13], "data": [%s]}]}`, strings.Join(row, ", ")))
	}
	var running sync.WaitGroup
	end := time.Now().Add(time.Duration(counts(8, 100)) * time.Second)
	var mu sync.Mutex
	answers, canary := 0, 0
	for worker := range 4 {
		running.Go(func() {
			for ticker := time.NewTicker(5 * time.Millisecond); time.Now().Before(end); <-ticker.C {
				url := fleet[worker%2].URL + "/v2/models/" + models[rand.IntN(len(models))] + "/infer"
				a, err := seguetest.Do(http.MethodPost, url, bodies[rand.IntN(len(bodies))], nil)
				if err != nil || a.Code != http.StatusOK {
					t.Errorf("%d %s %v", a.Code, a.Body, err)
					return
				}
				mu.Lock()
				answers++
				if a.Version() == "1-again" {
					canary++
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	taken := 0
	for _, model := range models {
		pair, _ := agent.Get(prefix + "overrides/" + model)
		o, err := configs.ParseOverride(configs.Entry{Name: model, Value: []byte(pair.Value)})
		switch {
		case err != nil:
			t.Error(err)
		case o.Rollout.Phase == configs.PhaseRolledBack:
			taken++
			t.Logf("%s: %s", model, o.Rollout.Decision.Reason)
		case o.Rollout.Phase != configs.PhaseStep || o.Rollout.Step != 0:
			t.Errorf("%s went on before its time: %+v", model, o.Rollout)
		}
	}
	t.Logf("%d rollouts of identical versions, %d answers, %d of canaries: %d taken back", len(models), answers, canary, taken)
	if taken > 2 {
		t.Errorf("%d of %d were taken back, want at most 2", taken, len(models))
	}
}

// wineLeast and wineMost are about what wines have of everything.
var (
	wineLeast = []float64{11, 0.7, 1.4, 10, 70, 1, 0.3, 0.1, 0.4, 1.3, 0.5, 1.3, 280}
	wineMost  = []float64{14.8, 5.8, 3.2, 30, 160, 3.9, 5, 0.7, 3.6, 13, 1.7, 4, 1680}
)

func TestCopiesTellABadVersionBeforeItAnswersAnybody(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	agent.Put(prefix+"models/mozart", rollingOutOf(t, "mozart", "mozart/2", "mozart/3",
		`"steps": [{"weight": 5}], "guards": {"errors": {}, "shadow": {"max_disagreement": 0.1}}`, `"traffic": {"shadow": {"3": 50}},`))
	fleet := startGateways(t, agent, 3)
	wantPhase(t, agent, 20*time.Second, configs.PhaseShadow, "")
	load := startCallers(t, 20, fleet...)
	state := wantPhase(t, agent, 60*time.Second, configs.PhaseRolledBack, "")
	load.wantNoFailures()
	if n := load.canary.Load(); n > 0 || state.Decision.Guard != "shadow" {
		t.Errorf("%d answers of the bad version, taken back by %+v", n, state.Decision)
	}
	t.Logf("after %d answers: %s", load.answers.Load(), state.Decision.Reason)
}

func TestFeedbackTellsABadVersion(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	agent.Put(prefix+"models/mozart", rollingOutOf(t, "mozart", "mozart/2", "mozart/3",
		`"steps": [{"weight": 5, "min_time": "1h"}], "guards": {"errors": {}, "feedback": {"kind": "label"}}`, ""))
	fleet := startGateways(t, agent, 3)
	wantPhase(t, agent, 20*time.Second, configs.PhaseStep, "")
	for _, gw := range fleet {
		wantShareOf(t, gw, "3", "0.05")
	}
	goldens := seguetest.Goldens(t, manifestOf(t, "mozart", "2"))
	bad, answers := 0, 0
	deadline := time.Now().Add(90 * time.Second)
	// The answer of one gateway, and what came of it at another.
	for state := stored(agent); state.Phase == configs.PhaseStep; state = stored(agent) {
		if time.Now().After(deadline) {
			t.Fatalf("not taken back after %d answers, %d of the bad version: %+v", answers, bad, fleet[0].Status(t).Models["mozart"].Rollout)
		}
		for range 20 {
			golden := goldens[rand.IntN(len(goldens))]
			a := fleet[answers%len(fleet)].Infer(t, "mozart", golden.Request(t), nil)
			answers++
			if a.Version() == "3" {
				bad++
			}
			said := fmt.Appendf(nil, `{"prediction_id": %q, "label": %d}`, a.Header.Get("Segue-Prediction-Id"), int(golden.Outputs[1].Data[0]))
			told, err := seguetest.Do(http.MethodPost, fleet[answers%len(fleet)].URL+"/v2/models/mozart/feedback", said, nil)
			if err != nil || a.Code != http.StatusOK || told.Code != http.StatusAccepted {
				t.Fatalf("%d %s, feedback %d %s %v", a.Code, a.Body, told.Code, told.Body, err)
			}
		}
	}
	state := wantPhase(t, agent, time.Second, configs.PhaseRolledBack, "")
	for _, gw := range fleet {
		wantShareOf(t, gw, "3", "0")
	}
	if bad >= 200 || state.Decision.Guard != "feedback" {
		t.Errorf("%d answers of the bad version, want fewer than 200; taken back by %+v", bad, state.Decision)
	}
	t.Logf("after %d of %d answers: %s", bad, answers, state.Decision.Reason)
}

func TestAnOperatorsPromotionDuringAVerdictStands(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	agent.Put(prefix+"models/mozart", rollingOut(t, 50, ""))
	proxy := consultest.NewProxy(t, agent.Addr)
	gw := seguetest.Start(t, seguetest.Config{Source: "consul://" + proxy.Addr + "/segue/test"})
	wantPhase(t, agent, 20*time.Second, configs.PhaseStep, "")
	wantShareOf(t, gw, "3", "0.5")
	// What the gateway reads is right, and what it writes does not arrive.
	proxy.SetFunc(func(r *http.Request) consultest.Fault {
		return consultest.Fault{Close: r.Method == http.MethodPut && !r.URL.Query().Has("consistent")}
	})
	load := startCallers(t, 60, gw)
	wantShareOf(t, gw, "3", "0")
	load.wantNoFailures()
	operator := &fleet{gw, agent}
	operator.seguectl(t, "promote", "mozart", "--full", "--yes", "--reason", "I know better")
	wantShareOf(t, gw, "3", "1")
	proxy.Set(consultest.Fault{})
	time.Sleep(3 * time.Second) // in which a rollback would be replayed
	wantShareOf(t, gw, "3", "1")
	if s := stored(agent); s.Phase != configs.PhasePromoted || s.Decision.Reason != "I know better" {
		t.Errorf("what the operator decided is replaced by %+v", s.Decision)
	}
	if !strings.Contains(gw.Log(), "rollback let go") {
		t.Errorf("not a word in the log\n%s", gw.Log())
	}
}

func TestAKilledConsulHoldsNoRollbackUp(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{Persistent: true})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	agent.Put(prefix+"models/mozart", rollingOut(t, 50, ""))
	fleet := startGateways(t, agent, 2)
	first := wantPhase(t, agent, 20*time.Second, configs.PhaseStep, "")
	for _, gw := range fleet {
		wantShareOf(t, gw, "3", "0.5")
	}
	load := startCallers(t, 40, fleet...)
	agent.Kill()
	for _, gw := range fleet { // each by itself
		wantShareOf(t, gw, "3", "0")
	}
	bad := load.canary.Load()
	agent.Restart()
	state := wantPhase(t, agent, 60*time.Second, configs.PhaseRolledBack, "")
	if state.ID() != first.ID() || state.Decision.Guard != "classes" {
		t.Errorf("taken back by %+v", state.Decision)
	}
	for _, gw := range fleet {
		wantShareOf(t, gw, "3", "0")
		seguetest.Eventually(t, 20*time.Second, "the gateway knows what is written", func() error {
			if r := gw.Status(t).Models["mozart"].Rollout; r.Phase != configs.PhaseRolledBack || r.By != state.Decision.By {
				return fmt.Errorf("%+v", r)
			}
			return nil
		})
	}
	load.wantNoFailures()
	if n := load.canary.Load(); n != bad {
		t.Errorf("%d answers of the refused version", n-bad)
	}
}
