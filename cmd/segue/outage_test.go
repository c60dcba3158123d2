package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

// backWithin is how soon after Consul's return a write has to be in force.
const backWithin = 2 * time.Second

// outage is a gateway under a light load, with mozart and wine from a Consul
// that can be made to fail. Every answer must come from the version that is
// allowed just then.
type outage struct {
	*fleet
	t       *testing.T
	load    *seguetest.Load
	body    []byte
	allowed atomic.Pointer[string]
	version string
}

// lightLoad is in requests a second.
const lightLoad = 50

// example is a document of an example model, all on version 1.
func example(t testing.TB, model string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(quickstart, "models", model, "1"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"model": %q, "versions": {"1": {"uri": "file:%s"}}}`, model, path)
}

// on is a document of mozart with all weight on one version.
func on(t testing.TB, version string) string {
	weights := map[string]int{"1": 0, "2": 0}
	weights[version] = 100
	return mozart(t, weights)
}

// startOutage starts a gateway that sees the agent at address, on version 1.
func startOutage(t *testing.T, agent *consultest.Agent, address string) *outage {
	t.Helper()
	agent.Put(prefix+"settings", `{"schema": 1, "delete_grace": "1s"}`)
	agent.Put(prefix+"models/wine", example(t, "wine"))
	agent.Put(prefix+"models/mozart", on(t, "1"))
	o := &outage{
		fleet: &fleet{seguetest.Start(t, seguetest.Config{Source: "consul://" + address + "/segue/test"}), agent},
		t:     t, version: "1", body: seguetest.Goldens(t, manifestOf(t, "mozart", "1"))[0].Request(t),
	}
	o.allow("1")
	o.load = seguetest.StartLoad(o.URL+"/v2/models/mozart/infer", o.body, lightLoad, func(a seguetest.Answer) error {
		if a.Code != http.StatusOK || !strings.Contains(*o.allowed.Load(), a.Version()) {
			return fmt.Errorf("%d from version %q, allowed is %s: %.200s", a.Code, a.Version(), *o.allowed.Load(), a.Body)
		}
		return nil
	})
	return o
}

func (o *outage) allow(versions string) { o.allowed.Store(&versions) }

// swap writes the document for the other version and returns how long it took
// until that answered.
func (o *outage) swap() time.Duration {
	o.t.Helper()
	o.version = map[string]string{"1": "2", "2": "1"}[o.version]
	o.allow("1 2")
	start := time.Now()
	o.agent.Put(prefix+"models/mozart", on(o.t, o.version))
	for a := o.Infer(o.t, "mozart", o.body, nil); a.Version() != o.version; a = o.Infer(o.t, "mozart", o.body, nil) {
		if time.Since(start) > 10*time.Second {
			o.t.Fatalf("after 10 s the write is not in force: %d from version %q\n%+v", a.Code, a.Version(), o.Status(o.t))
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(start)
	time.Sleep(100 * time.Millisecond) // for answers under way
	o.allow(o.version)
	return took
}

// serves checks that both models answer as they did.
func (o *outage) serves(when string) {
	o.t.Helper()
	if a := o.Infer(o.t, "mozart", o.body, nil); a.Code != http.StatusOK || a.Version() != o.version {
		o.t.Errorf("%s: mozart answers %d from version %q", when, a.Code, a.Version())
	}
	wine := seguetest.Goldens(o.t, manifestOf(o.t, "wine", "1"))[0]
	a := o.Infer(o.t, "wine", wine.Request(o.t), nil)
	if a.Code != http.StatusOK {
		o.t.Errorf("%s: wine answers %d", when, a.Code)
	} else if err := wine.Check(a.Body, tolerance); err != nil {
		o.t.Errorf("%s: wine: %v", when, err)
	}
	if a := o.Get(o.t, "/v2/health/ready"); a.Code != http.StatusOK {
		o.t.Errorf("%s: ready answers %d", when, a.Code)
	}
}

// back measures the next valid write after Consul's return, which was now.
func (o *outage) back(what string) {
	o.t.Helper()
	took := o.swap()
	o.t.Logf("%s: the next write was in force %s after Consul's return", what, took.Round(time.Millisecond))
	if took >= backWithin {
		o.t.Errorf("%s: the next write took %s after Consul's return, want less than %s", what, took, backWithin)
	}
	o.serves("after " + what)
}

// wantMetric waits until a series has a value.
func wantMetric(t testing.TB, gw *seguetest.Gateway, series, want string) {
	t.Helper()
	seguetest.Eventually(t, 5*time.Second, series+" is "+want, func() error {
		if got, ok := gw.Metric(t, series); !ok || got != want {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

func TestAFailingConsulChangesNothingAndTheNextWriteCountsAtOnce(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	proxy := consultest.NewProxy(t, agent.Addr)
	o := startOutage(t, agent, proxy.Addr)
	for _, c := range []struct {
		what  string
		fault consultest.Fault
		lasts time.Duration
	}{
		{"429", consultest.Fault{Status: http.StatusTooManyRequests}, 1500 * time.Millisecond},
		{"500", consultest.Fault{Status: http.StatusInternalServerError, Body: "rpc error"}, 1500 * time.Millisecond},
		{"slow", consultest.Fault{Latency: 1500 * time.Millisecond}, 3 * time.Second},
		{"hanging", consultest.Fault{Hang: true}, 2500 * time.Millisecond},
		{"404 for everything", consultest.Fault{Status: http.StatusNotFound}, 1500 * time.Millisecond},
	} {
		proxy.Set(c.fault)
		time.Sleep(c.lasts)
		o.serves("while " + c.what)
		proxy.Set(consultest.Fault{})
		o.back(c.what)
	}
	wantMetric(t, o.Gateway, "segue_config_source_connected", "1")

	agent.Kill()
	wantMetric(t, o.Gateway, "segue_config_source_connected", "0")
	wantMetric(t, o.Gateway, "segue_ready", "1")
	o.serves("while killed")
	agent.RestartEmpty()
	o.back("killed, and restarted empty")
	// Longer than the grace: what the new Consul lacks was not deleted.
	time.Sleep(1500 * time.Millisecond)
	o.serves("with a Consul that lacks wine and settings")
	wantMetric(t, o.Gateway, "segue_config_sentinel_present", "0")

	// When all is back, a deletion is one again.
	agent.Put(prefix+"settings", `{"schema": 1, "delete_grace": "1s"}`)
	agent.Put(prefix+"models/wine", example(t, "wine"))
	wantMetric(t, o.Gateway, "segue_config_sentinel_present", "1")
	o.swap()
	agent.Delete(prefix + "models/wine")
	seguetest.Eventually(t, 5*time.Second, "wine is gone", func() error {
		if a := o.Get(t, "/v2/models/wine"); a.Code != http.StatusNotFound {
			return fmt.Errorf("it answers %d", a.Code)
		}
		return nil
	})
	if answered := o.load.Stop(t); answered < lightLoad {
		t.Errorf("only %d answers: that was no load", answered)
	}
}

func TestAConsulWithAnOlderIndexChangesNothingAndTheNextWriteCountsAtOnce(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{Persistent: true})
	agent.Put(prefix+"settings", `{"schema": 1, "delete_grace": "1s"}`)
	agent.Put(prefix+"models/mozart", on(t, "1"))
	agent.Stop()
	older := agent.CopyData()
	agent.Restart()
	for range 50 {
		agent.Put("elsewhere", "x") // the next write must have a lower index than the last
	}
	o := startOutage(t, agent, agent.Addr)
	before := o.Status(t).Config.Index
	agent.Kill()
	agent.RestartFrom(older)
	o.back("restarted with an older index")
	if index := o.Status(t).Config.Index; index >= before {
		t.Fatalf("the index is %d after %d: it did not fall, so this test shows nothing", index, before)
	}
	time.Sleep(1500 * time.Millisecond)
	o.serves("with a Consul that lacks wine")

	// A backup of the running cluster: connections stay, and the document is
	// an older one, which counts as any other would.
	backup := agent.Backup()
	was := o.version
	o.swap()
	o.allow("1 2")
	agent.Restore(backup)
	o.version = was
	seguetest.Eventually(t, backWithin, "the document of the backup is in force", func() error {
		if a := o.Infer(t, "mozart", o.body, nil); a.Version() != was {
			return fmt.Errorf("version %q answers", a.Version())
		}
		return nil
	})
	o.back("restored from a backup")
	o.load.Stop(t)
}

func TestAGatewayStartsAndServesWithoutConsul(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", withKey)
	agent.Put(prefix+"models/mozart", mozart(t, map[string]int{"1": 0, "2": 100}))
	config := seguetest.Config{Source: "consul://" + agent.Addr + "/segue/test", StateDir: t.TempDir(), NotReady: true}
	body := seguetest.Goldens(t, manifestOf(t, "mozart", "2"))[0].Request(t)
	infer := func(gw *seguetest.Gateway) error {
		a := gw.Infer(t, "mozart", body, map[string]string{"Authorization": "Bearer secret"})
		if a.Code != http.StatusOK || a.Version() != "2" {
			return fmt.Errorf("%d from version %q: %s", a.Code, a.Version(), a.Body)
		}
		return nil
	}
	ready := func(gw *seguetest.Gateway) {
		t.Helper()
		seguetest.Eventually(t, 15*time.Second, "ready", func() error {
			a, err := seguetest.Do(http.MethodGet, gw.MetricsURL+"/readyz", nil, nil)
			if err == nil && a.Code != http.StatusOK {
				err = fmt.Errorf("%d %s", a.Code, a.Body)
			}
			return err
		})
	}
	status := func(gw *seguetest.Gateway) (s configs.GatewayStatus) {
		t.Helper()
		a, err := seguetest.Do(http.MethodGet, gw.AdminURL+"/status", nil, map[string]string{"Authorization": "Bearer secret"})
		if err == nil {
			s, err = configs.ParseStatus(a.Body)
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	gw := seguetest.Start(t, config)
	ready(gw)
	// A document that is refused is not what a restart serves.
	agent.Put(prefix+"models/mozart", `{"model": "mozart"}`)
	seguetest.Eventually(t, 5*time.Second, "the bad document is refused", func() error {
		if m := status(gw).Models["mozart"]; len(m.Rejected) == 0 {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	gw.Kill()
	agent.Kill()

	gw = seguetest.Start(t, config)
	ready(gw)
	if err := infer(gw); err != nil {
		t.Error(err)
	}
	if a := gw.Infer(t, "mozart", body, nil); a.Code != http.StatusUnauthorized {
		t.Errorf("without a key: %d, want 401: the keys of the last good settings hold", a.Code)
	}
	wantMetric(t, gw, "segue_config_from_last_good", "1")
	wantMetric(t, gw, "segue_config_source_connected", "0")
	if s := status(gw); !s.Ready || s.Config.Connected || !s.Config.FromLastGood {
		t.Errorf("status %+v", s)
	}

	agent.RestartEmpty()
	agent.Put(prefix+"settings", withKey)
	agent.Put(prefix+"models/mozart", mozart(t, map[string]int{"1": 100}))
	start := time.Now()
	seguetest.Eventually(t, backWithin, "the new document is in force", func() error {
		if infer(gw) == nil {
			return fmt.Errorf("version 2 still answers")
		}
		return nil
	})
	t.Logf("in force %s after Consul's return", time.Since(start).Round(time.Millisecond))
	wantMetric(t, gw, "segue_config_from_last_good", "0")
	// A status is written at most every ten seconds, and some jitter.
	seguetest.Eventually(t, 20*time.Second, "the status is in Consul", func() error {
		pairs := agent.List(prefix + "status/")
		if len(pairs) != 1 {
			return fmt.Errorf("%d keys", len(pairs))
		}
		if s, err := configs.ParseStatus(pairs[0].Value); err != nil || !s.Ready || !s.Config.Connected {
			return fmt.Errorf("%s %v", pairs[0].Value, err)
		}
		return nil
	})
}
