package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/drift"
)

// drifted is a store in which a fleet has judged a model: version 2 drifted
// from its profile, version 1 did not.
func drifted(t *testing.T) *configstest.Store {
	t.Helper()
	at := time.Date(2025, 3, 1, 11, 50, 0, 0, time.UTC)
	text := func(v any) json.RawMessage {
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	bars := func(window ...float64) []drift.Bar {
		var all []drift.Bar
		for _, share := range window {
			all = append(all, drift.Bar{Reference: 1 / float64(len(window)), Window: share})
		}
		return all
	}
	result := drift.Report{Alarm: true, Samples: 1000, Accuracy: &drift.Accuracy{Reference: 0.91, Expected: 0.84, Error: 0.01}, Features: []drift.FeatureReport{
		{Name: "age", Kind: drift.Numeric, Side: drift.Input, Alarm: true, P: 3e-17, Distances: drift.Distances{PSI: 0.8123}, Direction: "up", Histogram: bars(0, 0.1, 0.3, 0.6)},
		{Name: "city", Kind: drift.Categorical, Side: drift.Input, Alarm: true, P: 0.4, Distances: drift.Distances{PSI: 0.01},
			Rates: []drift.RateReport{{Rate: drift.Unseen, Reference: 0.001, Window: 0.25, Alarm: true}}, Histogram: bars(0.5, 0.5)},
		{Name: "p.class", Kind: drift.Class, Side: drift.Output, P: 0.02, Distances: drift.Distances{PSI: 0.03}, Direction: "more", Bin: "a composer with a very long name", Histogram: bars(0.3, 0.7)},
		{Name: "income", Kind: drift.Numeric, Side: drift.Input, P: 0.7, Insufficient: true},
	}}
	clean := drift.Report{Samples: 1000, Features: []drift.FeatureReport{{Name: "age", Kind: drift.Numeric, Side: drift.Input, P: 0.5, Histogram: bars(0.25, 0.25, 0.25, 0.25)}}}
	store := configstest.NewStore()
	store.Set("models/mozart", `{"model": "mozart", "versions": {"1": {"uri": "file:/a"}, "2": {"uri": "file:/b"}}, "drift": {}}`)
	_, err := configs.PutDriftReport(t.Context(), store, &configs.DriftReport{Model: "mozart", At: at, By: "gw-1", Windows: map[string]configs.DriftWindowAt{},
		Comparisons: []configs.DriftComparison{
			{Version: "1", Against: "1", Reference: configs.CompareTraining, From: at.Add(-time.Hour), To: at, Samples: 1000, Result: text(clean)},
			{Version: "1", Against: "1", Reference: configs.CompareLastWeek, From: at.Add(-time.Hour), To: at, Samples: 1000, Insufficient: "nothing was counted in the same hours a week ago"},
			{Version: "2", Against: "2", Reference: configs.CompareTraining, From: at.Add(-time.Hour), To: at, Samples: 1000, Result: text(result),
				Alarm: &configs.DriftAlarm{ID: "x", Since: at.Add(-2 * time.Hour), Features: []string{"age", "city"}}},
		}})
	if err != nil {
		t.Fatal(err)
	}
	status, err := configs.GatewayStatus{Instance: "gw-1", Models: map[string]configs.ModelStatus{"mozart": {Versions: map[string]configs.VersionStatus{
		"3": {Drift: &configs.DriftStatus{Off: "the artifact holds no drift-profile.json"}}}}}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	store.Set("status/gw-1", string(status))
	return store
}

func TestDriftShowsTheFeaturesThatDifferMost(t *testing.T) {
	t.Parallel()
	r := newRun(drifted(t))
	if code := r.code(t, "drift", "mozart", "--features", "1"); code != exitDone {
		t.Fatalf("exit code %d, %s", code, &r.stderr)
	}
	want := `mozart: version 1 against its training profile: no drift
  window of 1h00m, ended 10m ago: 1000 samples
     FEATURE  P      PSI    CHANGE  REFERENCE  WINDOW
     age      0.500  0.000          ████       ████

mozart: version 1 against the same hours a week ago: no drift
  window of 1h00m, ended 10m ago: 1000 samples; not judged: nothing was counted in the same hours a week ago

mozart: version 2 against its training profile: drift for 2h10m: age, city
  window of 1h00m, ended 10m ago: 1000 samples
  expected accuracy 0.840 ± 0.020, in the reference 0.910
     FEATURE  P      PSI    CHANGE               REFERENCE  WINDOW
  !  age      3e-17  0.812  up                   ▄▄▄▄        ▂▄█
  !  city     0.400  0.010  unseen 0.1 → 25.0 %  ██         ██
  and 2 features more
mozart: version 3 is not compared by gw-1: the artifact holds no drift-profile.json
`
	if got := r.stdout.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDriftKeepsToTheWidthAndTheUsersWish(t *testing.T) {
	t.Parallel()
	r := newRun(drifted(t))
	environment := map[string]string{"SEGUE_CONFIG": "memory", "COLUMNS": "62"}
	r.cli.redraw = true
	r.cli.lookupEnv = func(name string) (string, bool) { value, ok := environment[name]; return value, ok }
	r.code(t, "drift", "mozart", "--version", "2")
	if got := r.stdout.String(); !strings.Contains(got, "\x1b[31mdrift for 2h10m\x1b[0m") || !strings.Contains(got, "more of a composer with a v…") || !strings.Contains(got, "income   -      -") {
		t.Errorf("%s", got)
	}
	environment["NO_COLOR"] = "1"
	r.stdout.Reset()
	r.code(t, "drift", "mozart")
	if got := r.stdout.String(); strings.Contains(got, "\x1b") {
		t.Errorf("%s", got)
	}
	for _, c := range []struct {
		most          int
		before, after string
	}{{4, "▄▄▄▄", " ▂▄█"}, {3, "▅▅", "▁█"}, {1, "█", "█"}} {
		before, after := histograms([]drift.Bar{{Reference: .25}, {Reference: .25, Window: .1}, {Reference: .25, Window: .3}, {Reference: .25, Window: .6}}, c.most)
		if before != c.before || after != c.after {
			t.Errorf("in %d characters: %q, %q; want %q, %q", c.most, before, after, c.before, c.after)
		}
	}
}

func TestDriftForScripts(t *testing.T) {
	t.Parallel()
	r := newRun(drifted(t))
	if code := r.code(t, "drift", "mozart", "--json", "--exit-code"); code != exitChanges {
		t.Errorf("exit code %d", code)
	}
	var got struct {
		Alarm       bool
		Comparisons []struct {
			Version, Reference string
			Alarm              *struct{ Features []string }
			Result             *struct{ Features []struct{ Name string } }
		}
		Off map[string]map[string]string
	}
	if err := json.Unmarshal(r.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Alarm || len(got.Comparisons) != 3 || got.Comparisons[2].Alarm == nil || len(got.Comparisons[2].Result.Features) != 4 || got.Off["gw-1"]["3"] == "" {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"drift", "mozart", "--version", "1", "--exit-code"}, exitDone},
		{[]string{"drift", "haydn"}, exitFailed},
		{[]string{"drift"}, exitUsage},
		{[]string{"drift", "mozart", "--features", "-1"}, exitUsage},
	} {
		if code := newRun(drifted(t)).code(t, c.args...); code != c.want {
			t.Errorf("%q: exit code %d, want %d", c.args, code, c.want)
		}
	}
	empty := configstest.NewStore()
	empty.Set("models/mozart", `{"model": "mozart", "versions": {"1": {"uri": "file:/a"}}}`)
	r = newRun(empty)
	if code := r.code(t, "drift", "mozart", "--exit-code"); code != exitDone || r.stdout.String() != "mozart: nothing has been judged yet\n" {
		t.Errorf("exit code %d, %s", code, &r.stdout)
	}
}
