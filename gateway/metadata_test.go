package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/runtime/batch"
)

func TestReadOnlyRoutesAnswerWhatIsInForce(t *testing.T) {
	g := newTestGateway(t)
	g.put(
		g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", state: loader.StateFailed},
			version{name: "3", state: loader.StateWarming}),
		g.model("waiting", version{name: "1", state: loader.StateFetching}))
	const spec = `[{"name":"x","datatype":"FP32","shape":[-1,3]}]`
	out := strings.Replace(spec, `"x"`, `"y"`, 1)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v2", "", 200, `{"name":"segue","version":"1.2.3","extensions":["binary_tensor_data","model_configuration","statistics"]}`},
		{"GET", "/v2?a=b", "", 200, `{"name":"segue","version":"1.2.3","extensions":["binary_tensor_data","model_configuration","statistics"]}`},
		{"GET", "/v2/health/live", "", 200, `{"live":true}`},
		{"GET", "/v2/health/ready", "", 200, `{"ready":true}`},
		{"GET", "/v2/models/mozart/ready", "", 200, `{"name":"mozart","ready":true}`},
		{"GET", "/v2/models/mozart/versions/1/ready", "", 200, `{"name":"mozart","ready":true}`},
		{"GET", "/v2/models/mozart/versions/2/ready", "", 503, `{"name":"mozart","ready":false,"error":"version \"2\" of model \"mozart\" could not be loaded"}`},
		{"GET", "/v2/models/mozart/versions/9/ready", "", 404, `{"error":"model \"mozart\" has no version \"9\""}`},
		{"GET", "/v2/models/waiting/ready", "", 503, `{"name":"waiting","ready":false,"error":"model \"waiting\" is not ready"}`},
		{"GET", "/v2/models/haydn/ready", "", 404, `{"error":"unknown model \"haydn\""}`},
		{"GET", "/v2/models/mozart", "", 503, `{"error":"version \"3\" of model \"mozart\" is not ready"}`},
		{"GET", "/v2/models/mozart/versions/1", "", 200, `{"name":"mozart","versions":["1"],"platform":"fake_platform","inputs":` + spec + `,"outputs":` + out + `}`},
		{"GET", "/v2/models/mozart/versions/2", "", 503, `{"error":"version \"2\" of model \"mozart\" could not be loaded"}`},
		{"GET", "/v2/models/mozart/versions/9", "", 404, `{"error":"model \"mozart\" has no version \"9\""}`},
		{"GET", "/v2/models/mozart/versions/1/config", "", 200, `{"name":"mozart","platform":"fake_platform","backend":"fake","version_policy":{"specific":{"versions":[1]}},"max_batch_size":4,` +
			`"input":[{"name":"x","data_type":"TYPE_FP32","dims":[3]}],"output":[{"name":"y","data_type":"TYPE_FP32","dims":[3]}]}`},
		{"GET", "/v2/models/waiting/config", "", 503, `{"error":"version \"1\" of model \"waiting\" is not ready"}`},
		{"GET", "/v2/models/mozart/versions/9/stats", "", 404, `{"error":"model \"mozart\" has no version \"9\""}`},
		{"GET", "/v1/models", "", 200, `{"models":["mozart","waiting"]}`},
		{"GET", "/v1/models/mozart", "", 200, `{"name":"mozart","ready":true,"model_version_status":[` +
			`{"version":"1","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}},` +
			`{"version":"2","state":"END","status":{"error_code":"UNKNOWN","error_message":"the version could not be loaded"}},` +
			`{"version":"3","state":"LOADING","status":{"error_code":"OK","error_message":""}}]}`},
		{"GET", "/v1/models/mozart/versions/1", "", 200, `{"name":"mozart","ready":true,"model_version_status":[` +
			`{"version":"1","state":"AVAILABLE","status":{"error_code":"OK","error_message":""}}]}`},
		{"GET", "/v1/models/mozart/versions/9", "", 404, `{"error":"model \"mozart\" has no version \"9\""}`},
		{"GET", "/v1/models/haydn", "", 404, `{"error":"unknown model \"haydn\""}`},
		{"POST", "/v2/repository/index", "", 200, `[{"name":"mozart","version":"1","state":"READY","reason":""},` +
			`{"name":"mozart","version":"2","state":"UNAVAILABLE","reason":"failed"},{"name":"mozart","version":"3","state":"LOADING","reason":"warming"},` +
			`{"name":"waiting","version":"1","state":"LOADING","reason":"fetching"}]`},
		{"POST", "/v2/repository/index", `{"ready":true}`, 200, `[{"name":"mozart","version":"1","state":"READY","reason":""}]`},
		{"POST", "/v2/repository/index", `{"ready":null}`, 200, `[{"name":"mozart","version":"1","state":"READY","reason":""},` +
			`{"name":"mozart","version":"2","state":"UNAVAILABLE","reason":"failed"},{"name":"mozart","version":"3","state":"LOADING","reason":"warming"},` +
			`{"name":"waiting","version":"1","state":"LOADING","reason":"fetching"}]`},
		{"POST", "/v2/repository/index", `{"ready":`, 400, `{"error":"malformed JSON at byte 9"}`},
		{"POST", "/v2/repository/index", `[]`, 400, `{"error":"malformed request: the body is not the JSON object that is wanted"}`},
		{"POST", "/v2/repository/models/mozart/load", "", 403, `{"error":"models are not loaded or unloaded by request: they follow the configuration, which lives in documents in a test"}`},
		{"POST", "/v2/repository/models/mozart/unload", `{"parameters":{}}`, 403, `{"error":"models are not loaded or unloaded by request: they follow the configuration, which lives in documents in a test"}`},
		{"POST", "/v2/models/mozart/feedback", `{}`, 400, `{"error":"malformed: prediction_id is missing"}`},
		{"POST", "/v2/models/haydn/feedback", `{}`, 404, `{"error":"unknown model \"haydn\""}`},
		{"GET", "/", "", 404, `{"error":"no such route"}`},
		{"POST", "/v1/models/mozart:explain", "{}", 404, `{"error":"no such route"}`},
		{"GET", "/metrics", "", 404, `{"error":"no such route"}`},
		{"GET", "/debug/pprof/", "", 404, `{"error":"no such route"}`},
		{"GET", "/v2/", "", 404, `{"error":"no such route"}`},
		{"GET", "/v2/models/mozart/../mozart/ready", "", 404, `{"error":"no such route"}`},
		{"GET", "/v2/models/a%2Fb", "", 404, `{"error":"unknown model \"a/b\""}`},
		{"GET", infer, "", 405, `{"error":"method not allowed: use POST"}`},
		{"POST", "/v2", "", 405, `{"error":"method not allowed: use GET, HEAD"}`},
		{"DELETE", "/v2/models/mozart", "", 405, `{"error":"method not allowed: use GET, HEAD"}`},
		{"OPTIONS", infer, "", 405, `{"error":"method not allowed: use POST"}`},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			got := g.send(c.method, c.path, c.body)
			got.want(t, c.status, c.want)
			if allow := got.header.Get("Allow"); (c.status == 405) != (allow != "") {
				t.Errorf("Allow %q", allow)
			}
			if c.method == "GET" {
				if head := g.send("HEAD", c.path, ""); head.status != c.status || head.body != "" {
					t.Errorf("HEAD answers %d %q", head.status, head.body)
				}
			}
		})
	}
}

func TestAModelIsDescribedByTheVersionThatStandsForIt(t *testing.T) {
	g := newTestGateway(t)
	m := g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", model: doubler()})
	m.latest = m.versions["1"]
	g.put(m)
	got := g.send("GET", "/v2/models/mozart", "")
	if got.status != 200 || !strings.Contains(got.body, `"versions":["1","2"]`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	for name, want := range map[string]string{"Segue-Model-Version": "1", "Segue-Variant": "v1", "Segue-Config-Index": "42"} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	never := &modelRoute{name: "never", index: "0", versions: map[string]*versionRoute{}}
	g.put(never)
	g.send("GET", "/v2/models/never", "").want(t, 503, `{"error":"model \"never\" is not ready"}`)
	g.send("POST", "/v2/models/never/infer", rowsOf(1)).want(t, 503, `{"error":"model \"never\" is not ready"}`)
	g.send("GET", "/v2/models/never/stats", "").want(t, 200, `{"model_stats":[]}`)
}

func TestTheGatewayIsReadyWhenItsTableSays(t *testing.T) {
	g := newTestGateway(t)
	g.send("GET", "/v2/health/ready", "").want(t, 503, `{"ready":false,"error":"the gateway is not ready"}`)
	g.mozart()
	g.send("GET", "/v2/health/ready", "").want(t, 200, `{"ready":true}`)
}

func TestStatisticsCountWhatWasAnswered(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	for _, rows := range []int{1, 3} {
		g.send("POST", infer, rowsOf(rows))
	}
	g.send("POST", infer, `{}`)
	v := g.metrics.version("mozart", "1", "v1")
	s := v.statistics()
	if s.InferenceCount != 4 || s.ExecutionCount != 2 || s.InferenceStats.Success.Count != 2 || s.InferenceStats.Fail.Count != 1 {
		t.Errorf("statistics %+v", s)
	}
	for name, d := range map[string]oip.Duration{"success": s.InferenceStats.Success, "input": s.InferenceStats.ComputeInput, "infer": s.InferenceStats.ComputeInfer, "output": s.InferenceStats.ComputeOutput} {
		if d.Count != 2 || d.Nanoseconds == 0 {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if s.LastInference == 0 {
		t.Error("no time of the last inference")
	}
	unused := oip.ModelStatistics{Name: "mozart", Version: "2"}
	wantJSON(t, g.send("GET", "/v2/models/mozart/stats", "").body, oip.NewStatistics(s, unused))
	wantJSON(t, g.send("GET", "/v2/models/mozart/versions/1/stats", "").body, oip.NewStatistics(s))
	wantJSON(t, g.send("GET", "/v2/models/stats", "").body, oip.NewStatistics(s, unused))
}

// TestStatisticsTellRowsFromRuns has three requests that share a run: they
// count as three inferences and one execution.
func TestStatisticsTellRowsFromRuns(t *testing.T) {
	g := newTestGateway(t)
	model := doubler()
	waiting, release := blocking(t, model)
	block := model.Before
	var held atomic.Bool
	model.Before = func(ctx context.Context) error {
		if held.Load() {
			return block(ctx)
		}
		time.Sleep(60 * time.Millisecond) // for one row and for four
		return nil
	}
	route := g.model("mozart", version{name: "1", weight: 1, model: model})
	g.put(route)
	t.Cleanup(g.executor.Close)
	if _, err := route.latest.runner.Warm(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if plan := route.latest.runner.Plan(); plan.Mode != batch.ModeWorker || plan.MaxBatch != 4 {
		t.Fatalf("got %+v, want batches on workers", plan)
	}
	held.Store(true)
	var all []<-chan answer
	for n := range 5 {
		all = append(all, g.background(infer))
		eventually(t, "two run, the others wait", func() bool {
			return waiting.Load() == int64(min(n+1, 2)) && g.executor.Stats().Queued == max(0, n-1)
		})
	}
	close(release)
	for _, done := range all {
		(<-done).want(t, 200, answered)
	}
	var got oip.Statistics
	if err := json.Unmarshal([]byte(g.send("GET", "/v2/models/mozart/stats", "").body), &got); err != nil || len(got.ModelStats) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if s := got.ModelStats[0]; s.InferenceCount != 5 || s.ExecutionCount != 3 || s.InferenceStats.Success.Count != 5 {
		t.Errorf("%d rows in %d runs for %d requests, want 5, 3 and 5", s.InferenceCount, s.ExecutionCount, s.InferenceStats.Success.Count)
	}
}
