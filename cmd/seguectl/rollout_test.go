package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

const rolloutDocument = `{"model": "mozart", "versions": {"1": {"uri": "file:/m/1"}, "2": {"uri": "file:/m/2"}},
	"rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 5}, {"weight": 50}]}}`

func TestDecisionsSomebodyWasQuickerWithAreNotWritten(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"promote", "rollback", "pause", "resume", "retry"} {
		store := configstest.NewStore()
		store.Set("models/mozart", rolloutDocument)
		if code := newRun(store).code(t, "promote", "mozart"); code != exitDone {
			t.Fatalf("promote: exit code %d", code)
		}
		if verb == "resume" {
			if code := newRun(store).code(t, "pause", "mozart"); code != exitDone {
				t.Fatalf("pause: exit code %d", code)
			}
		}
		var quicker string
		store.BeforeApply(func() {
			quicker = strings.Replace(string(store.Item("overrides/mozart").Value), `"step": 1`, `"step": 0`, 1)
			store.Set("overrides/mozart", quicker)
		})
		r := newRun(store)
		if code := r.code(t, verb, "mozart"); code != exitConflict {
			t.Errorf("%s: exit code %d, want %d: %s", verb, code, exitConflict, r.stderr.String())
		}
		if got := string(store.Item("overrides/mozart").Value); got != quicker {
			t.Errorf("%s: there is now %s", verb, got)
		}
	}
}

// What answers after a promotion is the canary, whatever the document says.
func TestWhoTakesTrafficFromAPromotedCanaryIsAsked(t *testing.T) {
	t.Parallel()
	store := configstest.NewStore()
	store.Set("models/mozart", rolloutDocument)
	if code := newRun(store).code(t, "promote", "mozart", "--full"); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	r := newRun(store)
	r.cli.interactive, r.cli.stdin = true, strings.NewReader("n\n")
	if code := r.code(t, "put", writeFile(t, "mozart.json", mozart(`{"1": 100}`))); code != exitFailed || !strings.Contains(r.stderr.String(), "Version 2 of mozart stops answering") {
		t.Errorf("exit code %d: %s", code, r.stderr.String())
	}
	r = newRun(store)
	r.cli.interactive, r.cli.stdin = true, strings.NewReader("n\n")
	if code := r.code(t, "put", writeFile(t, "mozart.json", mozart(`{"2": 100}`))); code != exitDone {
		t.Errorf("exit code %d: %s", code, r.stderr.String())
	}
}

// What the gateways know at the moment of a decision is in its record, and the
// artifact that is refused is the one that they have loaded.
func TestADecisionRecordsWhatTheFleetKnows(t *testing.T) {
	t.Parallel()
	store := configstest.NewStore()
	store.Set("models/mozart", rolloutDocument)
	if code := newRun(store).code(t, "promote", "mozart"); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	o, err := configs.ParseOverride(configs.Entry{Value: store.Item("overrides/mozart").Value})
	if err != nil {
		t.Fatal(err)
	}
	loaded := configs.EntryDigest([]byte("manifest"))
	guards := []configs.GuardEvidence{{Name: "errors", LnE: 4, Threshold: 5.3, Events: 3, Units: 40}}
	status := func(id string, guards []configs.GuardEvidence) string {
		value, err := configs.GatewayStatus{Models: map[string]configs.ModelStatus{"mozart": {
			Rollout:  &configs.RolloutStatus{ID: id, Stable: "1", Canary: "2", Phase: configs.PhaseStep, Step: 1, Steps: 2, Since: o.Rollout.Since, Guards: guards},
			Versions: map[string]configs.VersionStatus{"2": {State: configs.VersionReady, Digest: loaded}},
		}}}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(value)
	}
	store.Set("status/gw-1", status(o.Rollout.ID(), nil))
	store.Set("status/gw-2", status(o.Rollout.ID(), guards))
	r := newRun(store)
	if code := r.code(t, "rollback", "mozart", "--reason", "wrong data"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, r.stderr.String())
	}
	o, err = configs.ParseOverride(configs.Entry{Value: store.Item("overrides/mozart").Value})
	if err != nil {
		t.Fatal(err)
	}
	if s := o.Rollout; !s.Refuses("2", loaded) || s.Refuses("2", configs.EntryDigest(nil)) || len(s.Decision.Evidence) != 1 || s.Decision.Evidence[0] != guards[0] {
		t.Errorf("decided %+v", o.Rollout)
	}
	records, err := configs.ListAudit(t.Context(), store, "mozart")
	if err != nil || len(records) != 2 || records[0].Event != "rollback" || records[0].Reason != "wrong data" ||
		records[0].Outcome != "rolled back, 0 %; errors: ln E 4 of 5.3, 3 of 40" || records[0].Document != string(store.Item("overrides/mozart").Value) {
		t.Errorf("records %+v, %v", records, err)
	}
}

func TestTheWayOfARolloutIsDrawn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		phase configs.RolloutPhase
		step  int
		want  string
	}{
		{"", 0, "1% ── 12.5% ⏸ ── 100%"},
		{configs.PhaseShadow, 0, "[shadow] ── 1% ── 12.5% ⏸ ── 100%"},
		{configs.PhaseStep, 0, "[1%] ── 12.5% ⏸ ── 100%"},
		{configs.PhaseStep, 1, "1% ━━ [12.5% ⏸] ── 100%"},
		{configs.PhasePromoted, 1, "1% ━━ 12.5% ⏸ ━━ [100%]"},
		{configs.PhaseRolledBack, 0, "1% ✗ 12.5% ⏸ ── 100%"},
	} {
		v := rolloutView{RolloutStatus: configs.RolloutStatus{Phase: c.phase, Step: c.step}, Weights: []float64{1, 12.5}, Pauses: []int{1}}
		if got := v.stepBar(); got != c.want {
			t.Errorf("%s %d: %s, want %s", c.phase, c.step, got, c.want)
		}
	}
}

func TestEvidenceIsDrawnAgainstItsThreshold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, threshold float64
		want             string
	}{
		{0, 5, "············"}, {-3, 5, "············"}, {5, 5, "████████████"}, {50, 5, "████████████"},
		{2.5, 5, "██████······"}, {1, 96, "▏···········"}, {95, 96, "███████████▉"}, {1, 0, ""},
	} {
		if got := bar(c.value, c.threshold); got != c.want {
			t.Errorf("%v of %v: %s, want %s", c.value, c.threshold, got, c.want)
		}
	}
	if got := ratio(-0.02, 3); got != "0.0 of 3.0" {
		t.Errorf("got %s", got)
	}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 59 * time.Second: "59s", 14 * time.Minute: "14m", 200 * time.Minute: "3h20m", 52 * time.Hour: "2d4h"} {
		if got := span(d); got != want {
			t.Errorf("%s is %s, want %s", d, got, want)
		}
	}
}

func TestTheFleetsViewIsThatOfWhoIsFurthestOn(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	status := func(step int, since time.Duration, units int) configs.GatewayStatus {
		return configs.GatewayStatus{Models: map[string]configs.ModelStatus{"mozart": {Rollout: &configs.RolloutStatus{
			ID: "a-1", Stable: "1", Canary: "2", Phase: configs.PhaseStep, Step: step, Steps: 2, Weight: 5, Since: at.Add(since),
			Guards: []configs.GuardEvidence{{Name: "errors", Units: units}}}}}}
	}
	gateways := []configs.GatewayStatus{status(0, 0, 900), status(1, time.Minute, 5), {}, status(1, time.Minute, 7)}
	v := viewOf(gateways, "mozart")
	if v.Step != 1 || v.Guards[0].Units != 7 || v.Following != 2 || v.Gateways != 3 {
		t.Errorf("got %+v", v)
	}
	if viewOf(gateways, "bach") != nil {
		t.Error("a view of no rollout")
	}
	v.now = at.Add(3 * time.Minute)
	var text bytes.Buffer
	v.writeText(&text)
	if want := "mozart: rollout 1 → 2: step 2 of 2, 5 % for 2m, on 2 of 3 gateways\n"; !strings.HasPrefix(text.String(), want) {
		t.Errorf("got %s", text.String())
	}
}

func TestWatchTellsTheStepsAndVerdictsOfARollout(t *testing.T) {
	t.Parallel()
	told := func(r configs.RolloutStatus) map[fact]string {
		r.Stable, r.Canary, r.Steps = "1", "2", 2
		return facts([]configs.GatewayStatus{{Instance: "gw-1", Models: map[string]configs.ModelStatus{"mozart": {Rollout: &r}}}})
	}
	before := told(configs.RolloutStatus{Phase: configs.PhaseStep, Weight: 5, Verdict: "hold"})
	after := told(configs.RolloutStatus{Phase: configs.PhaseStep, Step: 1, Weight: 50, Verdict: "pause", Waits: true})
	var lines []string
	for _, e := range events(before, after, time.Time{}) {
		lines = append(lines, e.String())
	}
	want := "gw-1 mozart awaits: a person|gw-1 mozart rollout: step 1 of 2, 5 % → step 2 of 2, 50 %|gw-1 mozart verdict: hold → pause"
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
