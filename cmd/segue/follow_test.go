package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
	"github.com/segue-serving/segue/loader/store/mlflow/mlflowtest"
)

// following are two gateways whose mozart follows a registry, under load.
type following struct {
	t        *testing.T
	agent    *consultest.Agent
	registry *mlflowtest.Server
	gateways [2]*seguetest.Gateway
	loads    [2]*seguetest.Load
	states   [2]string
	body     []byte
}

// startFollowing registers versions 1 and 2 of the example, lets champion name 1
// and serves it.
func startFollowing(t *testing.T) *following {
	f := &following{t: t, agent: consultest.Start(t, consultest.Options{}), registry: mlflowtest.Start(t, mlflowtest.Options{}),
		states: [2]string{t.TempDir(), t.TempDir()}, body: seguetest.Goldens(t, manifestOf(t, "mozart", "1"))[0].Request(t)}
	for _, version := range []string{"1", "2"} {
		if got := f.registry.Register("composers", filesOf(t, "mozart", version)); got != version {
			t.Fatalf("MLflow calls version %s %s", version, got)
		}
	}
	f.registry.SetAlias("composers", "champion", "1")
	f.agent.Put(prefix+"settings", `{"schema": 1}`)
	f.agent.Put(prefix+"models/mozart", `{"model": "mozart", "follow": {"from": "mlflow:models/composers", "policy": {"aliases": ["champion"]}, "interval": "1s"}}`)
	for i := range f.gateways {
		f.start(i)
	}
	f.serves("1")
	for i, gw := range f.gateways {
		f.loads[i] = seguetest.StartLoad(gw.URL+"/v2/models/mozart/infer", f.body, lightLoad, func(a seguetest.Answer) error {
			if a.Code != http.StatusOK {
				return fmt.Errorf("%d: %.200s", a.Code, a.Body)
			}
			return nil
		})
	}
	return f
}

func (f *following) start(i int) {
	f.t.Helper()
	f.gateways[i] = seguetest.Start(f.t, seguetest.Config{
		Source: "consul://" + f.agent.Addr + "/segue/test", StateDir: f.states[i], Args: []string{"--instance", fmt.Sprintf("gw-%d", i)},
		Env: []string{"MLFLOW_TRACKING_URI=" + f.registry.URL},
	})
}

// filesOf are the files of an example's version, by name.
func filesOf(t testing.TB, model, version string) map[string][]byte {
	t.Helper()
	dir := filepath.Join(quickstart, "models", model, version)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		if files[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// serves waits until both gateways answer with a version.
func (f *following) serves(version string) {
	f.t.Helper()
	for _, gw := range f.gateways {
		seguetest.Eventually(f.t, 30*time.Second, "version "+version+" answers", func() error {
			a := gw.Infer(f.t, "mozart", f.body, nil)
			if a.Code != http.StatusOK || a.Version() != version {
				return fmt.Errorf("%d from version %q: %.200s; %+v", a.Code, a.Version(), a.Body, gw.Status(f.t).Models["mozart"])
			}
			return nil
		})
	}
}

// says waits until both gateways say something of the model.
func (f *following) says(what string, of func(configs.ModelStatus) string) {
	f.t.Helper()
	for _, gw := range f.gateways {
		seguetest.Eventually(f.t, 30*time.Second, "the status says "+what, func() error {
			if got := of(gw.Status(f.t).Models["mozart"]); !strings.Contains(got, what) {
				return fmt.Errorf("it says %q", got)
			}
			return nil
		})
	}
}

func TestGatewaysFollowARegistryThatFailsAndFlips(t *testing.T) {
	t.Parallel() // it mostly waits
	f := startFollowing(t)
	waiting := func(m configs.ModelStatus) string { return m.Waiting }

	f.registry.SetAlias("composers", "champion", "2")
	f.serves("2")
	events, records := outcomes(t, f.agent)
	last := records[len(records)-1]
	if last.Event != configs.EventResolve || !strings.HasPrefix(last.Reason, "champion moved from 1 to 2; ") || !strings.HasPrefix(last.Who.User, "gateway gw-") {
		t.Errorf("the audit says %v, at last %+v", events, last)
	}

	// A version without an artifact fails for that reason, and what serves goes on.
	run, artifacts := f.registry.Run()
	empty := f.registry.RegisterAt("composers", artifacts+"/model", run)
	f.registry.SetAlias("composers", "champion", empty)
	f.says("version "+empty+" is registered, and its artifact is not there", waiting)
	f.serves("2")
	f.registry.SetAlias("composers", "champion", "2")

	// One that flips faster than it is asked for is served as it is found.
	for i := range 10 {
		f.registry.SetAlias("composers", "champion", []string{"1", "2"}[i%2])
		time.Sleep(500 * time.Millisecond)
	}
	f.registry.SetAlias("composers", "champion", "1")
	f.serves("1")

	// Without the registry nothing changes; a gateway that starts then serves what
	// was found last, from its cache.
	f.registry.Kill()
	time.Sleep(3 * time.Second)
	f.serves("1")
	f.loads[1].Stop(t)
	f.gateways[1].Stop(t)
	f.start(1)
	f.serves("1")
	f.loads[0].Stop(t)
	f.gateways[0].Stop(t)
	f.start(0)
	f.serves("1")
	f.registry.Restart()
	f.registry.SetAlias("composers", "champion", "2")
	f.serves("2")
}
