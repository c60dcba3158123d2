package gateway

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/gateway/monitor"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// freely lets everybody hold every lock.
type freely struct{}

func (freely) Hold(ctx context.Context, _ string, fn func(context.Context) error) error {
	return fn(ctx)
}

// doublerProfile is a profile of the doubler on numbers between 0 and 10.
func doublerProfile(t testing.TB) []byte {
	t.Helper()
	sig := doubler().Signature
	b, err := drift.NewBuilder(&sig, drift.Options{})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		x, y := make([]float32, 3), make([]float32, 3)
		for i := range x {
			x[i] = 10 * random.Float32()
			y[i] = 2 * x[i]
		}
		if err := b.Add(drift.Rows{Inputs: []runtime.Tensor{runtimetest.FP32("x", []int64{1, 3}, x...)}, Outputs: []runtime.Tensor{runtimetest.FP32("y", []int64{1, 3}, y...)}}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := b.Profile()
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// watchDrift makes a monitor follow the ready versions of a model of the table, and
// runs it until the test ends.
func (g *testGateway) watchDrift(m *modelRoute, d configs.Drift, store configs.Store) *monitor.Monitor {
	g.t.Helper()
	profile := doublerProfile(g.t)
	mon := monitor.New(monitor.Options{Store: store, Locker: freely{}, Instance: "gw", Epoch: "gw-1", Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: time.Now, Wrote: func(string, string) {}})
	g.metrics.watchDrift(mon)
	model := monitor.Model{Name: m.name, Drift: d.WithDefaults()}
	for _, name := range m.order {
		v := m.versions[name]
		model.Named = append(model.Named, name)
		model.Versions = append(model.Versions, monitor.Version{Name: name, Digest: "sha256:" + name, Signature: v.runner.Signature(),
			Profile: func() ([]byte, error) { return profile, nil }, Answers: v.metrics.answers})
	}
	mon.Follow([]monitor.Model{model})
	for name, v := range m.versions {
		v.watched = mon.Target(m.name, name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mon.Run(ctx) }()
	g.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			g.t.Error(err)
		}
	})
	g.eventually("every request is sampled", func() bool {
		states, _, _ := mon.State(m.name)
		for _, s := range states {
			if s.SampledRatio < 1 {
				return false
			}
		}
		return true
	})
	return mon
}

// counted waits until as many samples of a version were counted as the test
// wants, and a moment longer for more to be noticed by the next look.
func counted(t *testing.T, mon *monitor.Monitor, version string, want uint64) {
	t.Helper()
	eventually(t, "the samples are counted", func() bool {
		states, _, _ := mon.State("mozart")
		return states[version].Samples >= want
	})
	if states, _, _ := mon.State("mozart"); states[version].Samples != want {
		t.Errorf("%d samples of version %s, want %d", states[version].Samples, version, want)
	}
}

func TestWhatCallersAreAnsweredCounts(t *testing.T) {
	g := newTestGateway(t)
	m := g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", model: doubler()})
	m.testersHeader, m.testers = "X-Tester", map[string]*versionRoute{"2": m.versions["2"]}
	m.shadows = []*shadowRoute{{to: m.versions["2"], share: 1, like: true, tolerance: 1e-3}}
	m.versions["2"].breaker = newBreaker(nil)
	g.put(m)
	mon := g.watchDrift(m, configs.Drift{}, configstest.NewStore())
	for range 5 {
		g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
	}
	g.send("POST", infer, rowsOf(4))                                                  // one row counts
	g.send("POST", infer, strings.ReplaceAll(rowsOf(1), "FP32", "FP64"))              // refused
	g.send("POST", "/v2/models/mozart/versions/2/infer", rowsOf(1))                   // who names a version is answered by it
	g.send("POST", infer, rowsOf(1), "X-Tester: 2")                                   // no caller like others
	g.send("POST", "/v1/models/mozart/versions/2:predict", `{"instances":[[1,2,3]]}`) // another protocol
	counted(t, mon, "1", 6)
	counted(t, mon, "2", 2)
}

func TestInARolloutOnlyWhatItDrewCounts(t *testing.T) {
	g := newTestGateway(t)
	m := g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", model: doubler()})
	m.rollout = &rolloutRoute{recorder: rollout.NewRecorder("r", "e"), stable: "1", canary: "2", judge: func() {}}
	g.put(m)
	mon := g.watchDrift(m, configs.Drift{}, configstest.NewStore())
	g.send("POST", "/v2/models/mozart/versions/2/infer", rowsOf(1)).want(t, 200, strings.Replace(answered, `"model_version":"1"`, `"model_version":"2"`, 1))
	for range 3 {
		g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
	}
	counted(t, mon, "1", 3)
	counted(t, mon, "2", 0)
}

func TestCallersAreToldApartByTheirHeader(t *testing.T) {
	g := newTestGateway(t)
	m := g.model("mozart", version{name: "1", weight: 1, model: doubler()})
	m.unitHeader = "X-User-Id"
	g.put(m)
	store := configstest.NewStore()
	mon := g.watchDrift(m, configs.Drift{Compare: []string{configs.CompareTraining}, Window: configs.DriftWindow{Samples: 50, Time: configs.Duration(time.Second)}}, store)
	body := rowsOf(1)
	eventually(t, "a window of one caller is judged", func() bool {
		for range 100 {
			g.send("POST", infer, body, "X-User-Id: ann")
		}
		_, report, _ := mon.State("mozart")
		if report == nil {
			return false
		}
		c := report.Comparison("1", configs.CompareTraining)
		return c != nil && c.Samples >= 50 && strings.Contains(c.Insufficient, "too few to judge")
	})
}

func TestADocumentSaysWhichVersionsAreWatched(t *testing.T) {
	b := newBench(t)
	watched := func(version string) *monitor.Target {
		return b.r.router.load().models["mozart"].versions[version].watched
	}
	b.document("mozart", "1:a 2:b", "1=90 2=10")
	b.read()
	if watched("1") != nil || len(b.r.monitor.Models()) != 0 {
		t.Error("watched unasked")
	}
	b.document("mozart", "1:a 2:b", "1=90 2=10", `"drift": {}`)
	b.read()
	first, second := watched("1"), watched("2")
	if first == nil || second == nil || first == second {
		t.Fatal("not watched")
	}
	if f := b.r.router.load().models["mozart"].fallback; f == nil || f.watched != first {
		t.Error("what answers in another's place is not watched")
	}
	// Windows of unchanged versions go on, whatever else changes.
	b.document("mozart", "1:a 3:c", "1=10 3=90", `"drift": {"unit": "X-User-Id", "false_alarms_per_month": 2}`)
	b.read()
	if watched("1") != first || watched("3") == second || watched("3") == nil {
		t.Error("windows of unchanged versions began anew, or those of others did not")
	}
	if unit := b.r.router.load().models["mozart"].unitHeader; unit != "X-User-Id" {
		t.Errorf("unit %q", unit)
	}
	b.document("mozart", "1:a", "1=100")
	b.read()
	if watched("1") != nil || len(b.r.monitor.Models()) != 0 {
		t.Error("watched still")
	}
}

// eventually is for helpers of tests and benchmarks alike.
func (g *testGateway) eventually(what string, true func() bool) {
	g.t.Helper()
	for end := time.Now().Add(10 * time.Second); !true(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatalf("still not true: %s", what)
		}
	}
}

// fillDrift makes every series of drift exist.
func (g *testGateway) fillDrift() {
	m := g.router.load().models["mozart"]
	store := configstest.NewStore()
	_, err := configs.PutDriftReport(g.t.Context(), store, &configs.DriftReport{
		Model: m.name, At: time.Now(), Windows: map[string]configs.DriftWindowAt{"version/1": {Number: 1, Basis: "1", Started: time.Now()}},
		Comparisons: []configs.DriftComparison{{Version: "1", Reference: configs.CompareTraining, Samples: 1000,
			Result: []byte(`{"samples": 1000, "features": [{"name": "x[0]", "kind": "numeric", "side": "input", "statistic": 3, "critical": 20}]}`)}},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	mon := g.watchDrift(m, configs.Drift{ExportBins: true, Compare: []string{configs.CompareTraining}}, store)
	g.eventually("the report is shown", func() bool { _, report, _ := mon.State(m.name); return report != nil })
}

func TestTheAdminListenerShowsDrift(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	g.fillDrift()
	gw := &Gateway{router: g.router, metrics: g.metrics, monitor: g.metrics.drift.Load()}
	send := served(t, gw.AdminServer(AdminOptions{Level: &slog.LevelVar{}, Log: slog.New(slog.DiscardHandler)}).HTTPServer)
	send("GET", "/drift", "").want(t, 200, "{\n  \"models\": [\n    \"mozart\"\n  ]\n}\n")
	send("GET", "/drift/haydn", "").want(t, 404, `{"error":"model \"haydn\" is not watched for drift"}`)
	var shown struct {
		Model    string
		Versions map[string]struct {
			Features int `json:"features"`
		}
		Report struct {
			Comparisons []struct{ Version, Reference string }
		}
	}
	a := send("GET", "/drift/mozart", "")
	if err := json.Unmarshal([]byte(a.body), &shown); err != nil || a.status != 200 {
		t.Fatalf("%d %v", a.status, err)
	}
	if shown.Model != "mozart" || len(shown.Versions) != 2 || shown.Versions["1"].Features == 0 || len(shown.Report.Comparisons) != 1 || shown.Report.Comparisons[0].Version != "1" {
		t.Errorf("%+v", shown)
	}
}

func TestTheStatusSaysHowVersionsAreCompared(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100", `"drift": {}`)
	b.read()
	if d := b.status("mozart").Versions["1"].Drift; d == nil || d.Off != "" {
		t.Errorf("before the profile is looked for: %+v", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.r.monitor.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	<-b.r.heard // there is something else to show
	b.pass()
	if d := b.status("mozart").Versions["1"].Drift; d == nil || !strings.Contains(d.Off, "no drift-profile.json") {
		t.Errorf("%+v", d)
	}
}
