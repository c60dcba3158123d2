package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// series is one line of the exposition, labelPair one of its labels.
var (
	series    = regexp.MustCompile(`^(segue_\w+)(?:\{(.*)\})? \S+$`)
	labelPair = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// family is what the golden list says of one metric.
type family struct {
	kind   string
	labels map[string]struct{}
	bounds []string
}

// families reads the gateway's own metrics out of an exposition. The libraries'
// are theirs to change.
func families(t *testing.T, exposition []byte) map[string]*family {
	t.Helper()
	all := map[string]*family{}
	var current string
	for line := range strings.Lines(string(exposition)) {
		line = strings.TrimSpace(line)
		if words := strings.Fields(line); len(words) == 4 && words[1] == "TYPE" {
			current = words[2]
			if strings.HasPrefix(current, "segue_") {
				all[current] = &family{kind: words[3], labels: map[string]struct{}{}}
			}
			continue
		}
		found := series.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		f := all[current]
		if f == nil || !strings.HasPrefix(found[1], current) {
			t.Fatalf("a series without a type: %s", line)
		}
		for _, pair := range labelPair.FindAllStringSubmatch(found[2], -1) {
			switch {
			case pair[1] != "le":
				f.labels[pair[1]] = struct{}{}
			case pair[2] != "+Inf" && !slices.Contains(f.bounds, pair[2]):
				f.bounds = append(f.bounds, pair[2])
			}
		}
	}
	return all
}

// TestMetricsAreThoseOfTheGoldenList holds the metrics of a whole process,
// which has served, refused, loaded and failed to load, against the list that
// dashboards and alerts are written for.
func TestMetricsAreThoseOfTheGoldenList(t *testing.T) {
	dir := copyQuickstart(t)
	for name, text := range map[string]string{
		"bad.yaml":     "model: bad\ncolour: 1\n",
		"missing.yaml": "model: missing\nversions:\n  \"1\": {uri: \"file:models/missing/1\"}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + dir})
	body := seguetest.Goldens(t, manifestOf(t, "wine", "1"))[0].Request(t)
	for model, want := range map[string]int{"wine": http.StatusOK, "wine/versions/9": http.StatusNotFound, "haydn": http.StatusNotFound, "missing": http.StatusServiceUnavailable} {
		if a := gw.Infer(t, model, body, nil); a.Code != want {
			t.Errorf("%s: %d %s, want %d", model, a.Code, a.Body, want)
		}
	}
	predicted := gw.Infer(t, "wine", body, nil).Header.Get("Segue-Prediction-Id")
	if a, err := seguetest.Do(http.MethodPost, gw.URL+"/v2/models/wine/feedback", fmt.Appendf(nil, `{"prediction_id": %q, "reward": 0.5}`, predicted), nil); err != nil || a.Code != http.StatusAccepted {
		t.Errorf("feedback: %v %d %s", err, a.Code, a.Body)
	}
	// The audit of the documents is written beside the path of a change.
	seguetest.Eventually(t, 10*time.Second, "writes are counted", func() error {
		if _, ok := gw.Metric(t, `segue_consul_writes_total{kind="audit",outcome="ok"}`); !ok {
			return fmt.Errorf("no series\n%s", gw.Log())
		}
		return nil
	})
	a, err := seguetest.Do(http.MethodGet, gw.MetricsURL+"/metrics", nil, nil)
	if err != nil || a.Code != http.StatusOK {
		t.Fatalf("%d %v", a.Code, err)
	}
	for _, theirs := range []string{"\ngo_goroutines ", "\nprocess_resident_memory_bytes "} {
		if !strings.Contains(string(a.Body), theirs) {
			t.Errorf("no metric %q", strings.TrimSpace(theirs))
		}
	}
	problems, err := promlint.New(bytes.NewReader(a.Body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	var list strings.Builder
	all := families(t, a.Body)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f := all[name]
		line := fmt.Sprintf("%s %s {%s} %s", name, f.kind, strings.Join(slices.Sorted(maps.Keys(f.labels)), ","), strings.Join(f.bounds, " "))
		list.WriteString(strings.TrimSpace(line) + "\n")
	}
	const file = "testdata/metrics.golden"
	if *update {
		if err := os.WriteFile(file, []byte(list.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if list.String() != string(want) {
		t.Errorf("got\n%swant\n%s", &list, want)
	}
}

func TestTheProcessCountsWhereItsRequestsWent(t *testing.T) {
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + quickstart})
	body := seguetest.Goldens(t, manifestOf(t, "wine", "1"))[0].Request(t)
	gw.Infer(t, "wine", body, nil)
	gw.Infer(t, "haydn", body, nil)
	for line, want := range map[string]string{
		`segue_requests_total{code="200",model="wine",protocol="http",variant="v1",version="1"}`: "1",
		`segue_requests_total{code="404",model="unknown",protocol="http",variant="",version=""}`: "1",
		`segue_model_state{model="wine",state="Ready",version="1"}`:                              "1",
		`segue_model_state{model="wine",state="Failed",version="1"}`:                             "0",
		`segue_ready`: "1",
	} {
		if got, ok := gw.Metric(t, line); !ok || got != want {
			t.Errorf("%s is %q, want %s", line, got, want)
		}
	}
}
