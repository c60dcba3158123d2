package loader

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/segue-serving/segue/loader/probe"
)

func TestMetricsFollowTheVersions(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	// States are read as "version=state" of the series that are 1.
	states := func() string {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var current []string
		for _, f := range families {
			if f.GetName() != "segue_model_state" {
				continue
			}
			if len(f.GetMetric())%len(States()) != 0 {
				t.Errorf("%d series of %d states", len(f.GetMetric()), len(States()))
			}
			for _, m := range f.GetMetric() {
				if m.GetGauge().GetValue() == 1 {
					labels := m.GetLabel() // sorted: model, state, version
					current = append(current, labels[2].GetValue()+"="+labels[1].GetValue())
				}
			}
		}
		slices.Sort(current)
		return strings.Join(current, " ")
	}
	compare := func(want string, names ...string) {
		t.Helper()
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
			t.Error(err)
		}
	}
	simulate(t, Options{Metrics: NewMetrics(registry)}, func(w *world) {
		good := w.version(t, "1", script{openTime: 3 * time.Second})
		missing := w.version(t, "2", script{fetch: errors.New("missing")})
		crashes := w.version(t, "3", script{refused: probe.Report{Verdict: probe.Crashed, Reason: "SIGSEGV"}})
		slow := w.version(t, "4", script{fetchTime: time.Hour})
		w.want(good, missing, crashes, slow)
		if got, want := states(), "1=Opening 2=Failed 3=Failed 4=Fetching"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		compare(`
# HELP segue_model_load_failures_total Tries to load a version that failed, by reason: fetch, verify, digest, unsigned, probe, crash, limit, memory, open, signature, golden or warm.
# TYPE segue_model_load_failures_total counter
segue_model_load_failures_total{model="mozart",reason="crash",version="3"} 1
segue_model_load_failures_total{model="mozart",reason="fetch",version="2"} 1
`, "segue_model_load_failures_total")
		w.want(good)
		w.settle(3 * time.Second)
		compare(fmt.Sprintf(`
# HELP segue_model_info Digest of a version that is ready; always 1.
# TYPE segue_model_info gauge
segue_model_info{digest=%q,model="mozart",version="1"} 1
# HELP segue_swaps_total Tries to bring a version into memory that ended, by outcome: ready, failed or cancelled.
# TYPE segue_swaps_total counter
segue_swaps_total{outcome="cancelled"} 1
segue_swaps_total{outcome="failed"} 2
segue_swaps_total{outcome="ready"} 1
`, good.Digest), "segue_model_info", "segue_swaps_total")

		// While a version is replaced under its number, what serves is shown.
		replaced := good
		replaced.Threads = 2
		w.want(good, replaced)
		if got, want := states(), "1=Ready 2=Gone 3=Gone 4=Gone"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		w.want()
		w.settle(keepGone - time.Second)
		if got, want := states(), "1=Gone"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		w.settle(time.Second)
		compare("", "segue_model_state", "segue_model_info", "segue_model_load_failures_total")
	})
	durations, err := testutil.GatherAndCount(registry, "segue_model_load_duration_seconds")
	if err != nil || durations != 5 {
		t.Errorf("%d phases are timed (%v), want 5", durations, err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}
