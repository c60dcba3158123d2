package gateway

import (
	"bytes"

	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// testGateway is a data server on a real listener, with a table that the test
// publishes.
type testGateway struct {
	*DataServer
	t        testing.TB
	registry *prometheus.Registry
	executor *batch.Executor
	address  string
	client   *http.Client
	document *apiDocument
	// connect opens a connection for raw bytes, over TCP unless everywhere
	// says otherwise.
	connect func() net.Conn
}

func newTestGateway(t testing.TB, change ...func(*DataOptions)) *testGateway {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	executor := batch.New(batch.Options{Permits: 2})
	opts := DataOptions{
		Version: "1.2.3", Platform: "fake_platform", Backend: "fake", ConfiguredIn: "documents in a test",
		Executor: executor, Pool: runtime.NewPool(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range change {
		f(&opts)
	}
	g := &testGateway{DataServer: newDataServer(newRouter(), NewMetrics(registry), opts), t: t, registry: registry,
		executor: executor, client: &http.Client{Transport: &http.Transport{DisableCompression: true}}, document: readAPIDocument(t)}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = ln.Addr().String()
	g.start(ln)
	g.connect = g.dialer("tcp", g.address)
	return g
}

// start serves a listener until the test ends.
func (g *testGateway) start(ln net.Listener) {
	served := make(chan error, 1)
	go func() { served <- g.Serve(ln) }()
	g.t.Cleanup(func() {
		g.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Drain(ctx, 0); err != nil {
			g.t.Error(err)
		}
		if err := <-served; err != nil {
			g.t.Error(err)
		}
		if n := g.inFlight.Load(); n != 0 {
			g.t.Errorf("%d requests in flight at the end", n)
		}
	})
}

// doubler answers y = 2x for rows of three numbers.
func doubler() *runtimetest.Fake {
	return &runtimetest.Fake{
		Signature: runtime.Signature{
			Inputs:  []runtime.TensorSpec{{Name: "x", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, 3}}},
			Outputs: []runtime.TensorSpec{{Name: "y", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, 3}}},
		},
		Func: func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
			values := float32s(in[0].Data)
			for i := range values {
				values[i] *= 2
			}
			return []runtime.Tensor{runtimetest.FP32("y", in[0].Shape, values...)}, nil
		},
	}
}

// version is one version of a table under test; with neither model nor session
// it is not loaded.
type version struct {
	name    string
	weight  float64
	model   *runtimetest.Fake
	session runtime.Session
	state   loader.State
	queue   int
}

// model builds a model's part of the table.
func (g *testGateway) model(name string, versions ...version) *modelRoute {
	g.t.Helper()
	m := &modelRoute{name: name, index: "42", versions: map[string]*versionRoute{}, timeout: 30 * time.Second, expires: 7 * 24 * time.Hour}
	var arms []rollout.Arm
	for _, v := range versions {
		route := &versionRoute{model: name, version: v.name, variant: "v" + v.name, state: v.state, maxBatch: 4,
			limits: oip.Limits{MaxTensorBytes: 1 << 20, MaxBatch: 4}, metrics: g.metrics.version(name, v.name, "v"+v.name), names: hashNames(name, v.name, "v"+v.name)}
		if v.model != nil {
			v.session = runtimetest.NewSession(v.model)
		}
		if v.session != nil {
			route.runner = g.executor.Instance(v.session, batch.InstanceOptions{Name: name, Version: v.name, MaxBatch: 4, QueueLimit: v.queue})
			route.resident, _ = newResident(g.t, route.runner)
			route.state = loader.StateReady
			arms = append(arms, rollout.Arm{Version: v.name, Weight: v.weight})
		}
		m.versions[v.name] = route
		m.order = append(m.order, v.name)
		m.latest = route
	}
	if split, err := rollout.NewSplit("salt", arms); err == nil {
		m.split = split
	}
	return m
}

// put publishes a table of these models.
func (g *testGateway) put(models ...*modelRoute) *table {
	t := &table{models: map[string]*modelRoute{}, access: openAccess(), maxBody: 1 << 20, maxInFlight: 100, ready: true}
	for _, m := range models {
		t.models[m.name] = m
	}
	g.router.publish(t)
	return t
}

// mozart publishes a model with version 1 in force and version 2 on demand.
func (g *testGateway) mozart() *table {
	return g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", model: doubler()}))
}

// answer is what came back for a request.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes one request. Headers are given as "Name: value". Every answer is
// held against the API's document.
func (g *testGateway) send(method, path, body string, headers ...string) answer {
	g.t.Helper()
	request, err := http.NewRequest(method, "http://"+g.address+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if body == "" {
		request.Body, request.ContentLength = http.NoBody, 0
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Set(name, value)
	}
	response, err := g.client.Do(request)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	g.document.check(g.t, method, path, response.StatusCode, response.Header, got)
	return answer{response.StatusCode, response.Header, string(got)}
}

// rowsOf is a JSON inference request of so many rows.
func rowsOf(n int) string {
	return fmt.Sprintf(`{"id":"a","inputs":[{"name":"x","shape":[%d,3],"datatype":"FP32","data":[%s]}]}`,
		n, strings.TrimSuffix(strings.Repeat("1,2,3,", n), ","))
}

func (a answer) want(t testing.TB, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("got %d %s\nwant %d %s", a.status, a.body, status, body)
	}
}

func wantJSON(t *testing.T, got string, want any) {
	t.Helper()
	encoded, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal([]byte(got), encoded) {
		t.Errorf("got  %s\nwant %s", got, encoded)
	}
}

// blocking makes a model wait in its run until release is closed, and counts
// those that wait. A test that fails before it closes release ends the wait as
// well: its version could not be unloaded otherwise, and the test never end.
func blocking(t testing.TB, m *runtimetest.Fake) (waiting *atomic.Int64, release chan struct{}) {
	waiting, release = &atomic.Int64{}, make(chan struct{})
	m.Before = func(context.Context) error {
		waiting.Add(1)
		select {
		case <-release:
		case <-t.Context().Done():
		}
		return nil
	}
	return waiting, release
}

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !true(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not true: %s", what)
		}
	}
}

// float32s decodes little-endian numbers.
func float32s(data []byte) []float32 {
	values := make([]float32, len(data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return values
}
