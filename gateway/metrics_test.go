package gateway

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/segue-serving/segue/configs"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fill makes every series exist.
func (g *testGateway) fill() {
	g.mozart()
	g.send("POST", infer, rowsOf(1))
	m := g.metrics
	m.modelInForce("mozart", map[string]float64{"1": 1}, map[string]float64{"1": 0.5, "2": 0.5}, configs.OverrideHold)
	m.signature("mozart", "2", true)
	m.configApplied("mozart", 42, time.Unix(1_790_000_000, 0), 20*time.Millisecond)
	m.configAccepted("mozart")
	m.configRead(7, true, false, true)
	m.configRejected("mozart", "parse")
	m.StoreWrite("overrides", "ok")
	m.rolloutStep.WithLabelValues("mozart").Set(1)
	m.evidence.WithLabelValues("mozart", "errors").Set(0.5)
	m.evidenceThreshold.WithLabelValues("mozart", "errors").Set(6)
	m.rolledBack("mozart", "errors")
	m.version("mozart", "1", "v1").shadow.count(shadowAgreed)
	m.feedbackOf("mozart").outcome(feedbackLabel, feedbackAccepted)
	m.feedbackOf("mozart").add("1", feedbackLabel, "", 1)
	m.version("mozart", "1", "v1").fellBack(fallbackModelError)
	m.watchSource(func() configs.SourceState {
		return configs.SourceState{Connected: true, LastContactUnixNano: 1_790_000_000_500_000_000}
	})
}

func TestNamesLabelsAndBucketsAreThoseOfTheGoldenList(t *testing.T) {
	g := newTestGateway(t)
	g.fill()
	g.fillDrift()
	families, err := g.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var list strings.Builder
	for _, f := range families {
		labels := map[string]struct{}{}
		var bounds []string
		for _, m := range f.Metric {
			for _, l := range m.Label {
				labels[l.GetName()] = struct{}{}
			}
			bounds = nil
			for _, b := range m.GetHistogram().GetBucket() {
				bounds = append(bounds, fmt.Sprintf("%g", b.GetUpperBound()))
			}
		}
		names := make([]string, 0, len(labels))
		for name := range labels {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(&list, "%s %s {%s} %s\n", f.GetName(), strings.ToLower(f.GetType().String()), strings.Join(names, ","), strings.Join(bounds, " "))
	}
	const file = "testdata/metrics.golden"
	got := strings.ReplaceAll(list.String(), " \n", "\n")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	g := newTestGateway(t)
	g.fill()
	g.fillDrift()
	problems, err := testutil.GatherAndLint(g.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// series returns the exported lines of some metrics, in order.
func (g *testGateway) series(names ...string) []string {
	g.t.Helper()
	recorder := httptest.NewRecorder()
	metricsHandler(g.registry).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	var lines []string
	for line := range strings.Lines(recorder.Body.String()) {
		name, _, _ := strings.Cut(strings.ReplaceAll(line, "{", " "), " ")
		if slices.Contains(names, name) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRequestsAreCountedUnderWhatAnswered(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	body := rowsOf(2)
	got := g.send("POST", infer, body)
	g.send("POST", infer, "{")
	g.send("POST", "/v2/models/mozart/versions/9/infer", body)
	g.send("POST", "/v2/models/haydn/infer", body)
	g.send("GET", "/nowhere", "")
	g.exchange("GET / HTTP/3.0\r\nHost: a\r\n\r\n")
	wantLines(t, g.series("segue_requests_total"),
		`segue_requests_total{code="200",model="mozart",protocol="grpc",variant="v1",version="1"} 0`,
		`segue_requests_total{code="200",model="mozart",protocol="grpc",variant="v2",version="2"} 0`,
		`segue_requests_total{code="200",model="mozart",protocol="http",variant="v1",version="1"} 1`,
		`segue_requests_total{code="200",model="mozart",protocol="http",variant="v2",version="2"} 0`,
		`segue_requests_total{code="400",model="mozart",protocol="http",variant="v1",version="1"} 1`,
		`segue_requests_total{code="400",model="unknown",protocol="http",variant="",version=""} 1`,
		`segue_requests_total{code="404",model="mozart",protocol="http",variant="",version=""} 1`,
		`segue_requests_total{code="404",model="unknown",protocol="http",variant="",version=""} 2`)
	wantLines(t, g.series("segue_request_duration_seconds_count", "segue_inference_duration_seconds_count", "segue_batch_size_rows_sum"),
		`segue_batch_size_rows_sum{model="mozart",version="1"} 2`,
		`segue_batch_size_rows_sum{model="mozart",version="2"} 0`,
		`segue_inference_duration_seconds_count{model="mozart",version="1"} 1`,
		`segue_inference_duration_seconds_count{model="mozart",version="2"} 0`,
		`segue_request_duration_seconds_count{model="mozart",version="1"} 2`,
		`segue_request_duration_seconds_count{model="mozart",version="2"} 0`)
	if lines := g.series("segue_request_bytes_total"); !slices.Contains(lines, fmt.Sprintf(`segue_request_bytes_total{model="mozart",version="1"} %d`, len(body)+1)) {
		t.Errorf("got %q", lines)
	}
	if lines := g.series("segue_response_bytes_total"); !slices.ContainsFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, fmt.Sprintf(`segue_response_bytes_total{model="mozart",version="1"} %d`, len(got.body))[:len(l)-3])
	}) {
		t.Errorf("got %q", lines)
	}
}

func TestClientsCannotMakeSeries(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	count := func() int {
		families, err := g.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, f := range families {
			n += len(f.Metric)
		}
		return n
	}
	invent := func(name string) {
		g.send("POST", "/v2/models/"+name+"/infer", rowsOf(1))
		g.send("POST", "/v2/models/mozart/versions/"+name+"/infer", rowsOf(1))
		g.send("GET", "/v2/models/mozart/versions/"+name, "")
		g.send("GET", "/v2/models/mozart/"+name, "")
		g.send("POST", "/v1/models/"+name+":predict", rowsOf(1))
		g.send("POST", "/v2/models/"+name+"/feedback", "{}")
		g.send("GET", "/"+name, "")
		g.send("POST", infer, rowsOf(1), "X-Request-Id: "+name, "X-User-Id: "+name, "Authorization: Bearer "+name)
		g.exchange("INVENT" + name + " " + infer + " HTTP/1.1\r\nHost: " + name + "\r\nConnection: close\r\n\r\n")
	}
	invent("first")
	before := count()
	for i := range 20 {
		invent(fmt.Sprintf("name%d", i))
	}
	if after := count(); after != before {
		t.Errorf("%d series became %d", before, after)
	}
	for _, line := range g.series("segue_requests_total", "segue_request_bytes_total") {
		if strings.Contains(line, "name") || !strings.Contains(line, `model="mozart"`) && !strings.Contains(line, `model="unknown"`) ||
			strings.Contains(line, `model="unknown"`) && !strings.Contains(line, `version=""`) {
			t.Error(line)
		}
	}
}

func TestAVersionsSeriesCanBeForgotten(t *testing.T) {
	g := newTestGateway(t)
	g.fill()
	g.send("POST", "/v2/models/mozart/versions/9/infer", rowsOf(1))
	held := g.metrics.version("mozart", "1", "v1")
	g.metrics.forget("mozart", "1")
	held.answered(0, protocolHTTP, 200, 1, 1)
	mentions := func(label string) bool {
		recorder := httptest.NewRecorder()
		metricsHandler(g.registry).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
		for line := range strings.Lines(recorder.Body.String()) {
			if strings.Contains(line, label) && !strings.HasPrefix(line, "segue_queue_l") && !strings.HasPrefix(line, "segue_breaker_state") { // which follow the table
				return true
			}
		}
		return false
	}
	if mentions(`version="1"`) || !mentions(`version="2"`) {
		t.Error("not just the series of version 1 are gone")
	}
	g.metrics.forgetModel("mozart")
	g.metrics.forget("mozart", "2")
	if mentions(`model="mozart"`) {
		t.Error("the model has series left")
	}
	if again := g.metrics.version("mozart", "1", "v1"); again == held || again.total().succeeded != 0 {
		t.Error("a version that came back goes on counting")
	}
}

func TestSharesThatAreGoneAreZero(t *testing.T) {
	g := newTestGateway(t)
	m := g.metrics
	m.modelInForce("mozart", map[string]float64{"1": 1}, map[string]float64{"2": 1}, "")
	m.modelInForce("mozart", map[string]float64{"2": 0.25, "3": 0.75}, map[string]float64{"2": 1}, configs.OverrideHold)
	wantLines(t, g.series("segue_route_weight_ratio", "segue_route_weight_wanted_ratio", "segue_override_active"),
		`segue_override_active{kind="hold",model="mozart"} 1`,
		`segue_override_active{kind="rollout",model="mozart"} 0`,
		`segue_route_weight_ratio{model="mozart",version="1"} 0`,
		`segue_route_weight_ratio{model="mozart",version="2"} 0.25`,
		`segue_route_weight_ratio{model="mozart",version="3"} 0.75`,
		`segue_route_weight_wanted_ratio{model="mozart",version="1"} 0`,
		`segue_route_weight_wanted_ratio{model="mozart",version="2"} 1`,
		`segue_route_weight_wanted_ratio{model="mozart",version="3"} 0`)
}

func TestConfigurationMetricsSayHowItStands(t *testing.T) {
	g := newTestGateway(t)
	g.fill()
	wantLines(t, g.series("segue_config_index", "segue_config_last_reload_successful", "segue_config_last_change_timestamp_seconds",
		"segue_config_last_contact_timestamp_seconds", "segue_config_rejected_total", "segue_config_source_connected", "segue_config_sentinel_present",
		"segue_config_from_last_good", "segue_config_frozen", "segue_config_apply_duration_seconds_count", "segue_consul_writes_total", "segue_ready"),
		`segue_config_apply_duration_seconds_count 1`,
		`segue_config_from_last_good 0`,
		`segue_config_frozen 1`,
		`segue_config_index{model="mozart"} 42`,
		`segue_config_last_change_timestamp_seconds{model="mozart"} 1.79e+09`,
		`segue_config_last_contact_timestamp_seconds 1.7900000005e+09`,
		`segue_config_last_reload_successful{model="mozart"} 0`,
		`segue_config_rejected_total{reason="parse"} 1`,
		`segue_config_sentinel_present 1`,
		`segue_config_source_connected 1`,
		`segue_consul_writes_total{kind="overrides",outcome="ok"} 1`,
		`segue_ready 1`)
}

func TestAnObservationFallsIntoTheFirstBucketThatHoldsIt(t *testing.T) {
	c := &versionCounters{}
	for i, ns := range []int64{0, 1000, 1001, 2500, 1e9, 1e9 + 1, 5e9} {
		c.observe(uint8(i), stageQueue, ns) // each to another stripe
	}
	total := c.total().stages[stageQueue]
	if got := total.buckets[:3]; !slices.Equal(got, []uint64{2, 2, 0}) || total.buckets[len(shortBounds)-1] != 1 || total.buckets[len(shortBounds)] != 2 {
		t.Errorf("buckets %v", total.buckets)
	}
	if total.count != 7 || total.sum != 1000+1001+2500+1e9+1e9+1+5e9 {
		t.Errorf("count %d, sum %d", total.count, total.sum)
	}
	for st, bounds := range stageBounds {
		if !slices.IsSorted(bounds) || len(bounds) >= maxBuckets {
			t.Errorf("bounds of stage %d: %v", st, bounds)
		}
	}
}

func TestAStatusWithoutAPlaceCountsAs500(t *testing.T) {
	for code, want := range map[int]int{200: 200, 504: 504, 418: 500} {
		if got := statusCodes[statusIndex(code)]; got != want {
			t.Errorf("%d counts as %d, want %d", code, got, want)
		}
	}
}

func TestMetricsCannotBeRegisteredTwice(t *testing.T) {
	registry := prometheus.NewRegistry()
	NewMetrics(registry)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewMetrics(registry)
}
