package configs

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDecisionsLeadWhereTheyShould(t *testing.T) {
	plain := mustParse(t, rolloutYAML)
	shadowed := mustParse(t, strings.Replace(rolloutYAML, "rollout:", "traffic: {shadow: {2: 20}}\nrollout:\n  guards: {shadow: {max_disagreement: 0.1}}", 1))
	for _, c := range []struct {
		doc    *Document
		events string
		phase  RolloutPhase
		step   int
		weight float64
		flags  string // p paused, r resumed, w awaits a person
		wrong  string // of the last event
	}{
		{doc: plain, events: "start", phase: PhaseStep, weight: 5},
		{doc: shadowed, events: "start", phase: PhaseShadow},
		{doc: shadowed, events: "start step", phase: PhaseStep, weight: 5},
		{doc: plain, events: "step", phase: PhaseStep, step: 1, weight: 50, flags: "w"},
		{doc: plain, events: "start step", phase: PhaseStep, step: 1, weight: 50, flags: "w"},
		{doc: plain, events: "start step resume", phase: PhaseStep, step: 1, weight: 50, flags: "r"},
		{doc: plain, events: "start step resume step", phase: PhaseStep, step: 2, weight: 90},
		{doc: plain, events: "start step step step", phase: PhasePromoted, step: 2, weight: 100},
		{doc: plain, events: "start promote", phase: PhasePromoted, weight: 100},
		{doc: plain, events: "start pause", phase: PhaseStep, weight: 5, flags: "pw"},
		{doc: plain, events: "start pause resume", phase: PhaseStep, weight: 5},
		{doc: plain, events: "start pause step", phase: PhaseStep, step: 1, weight: 50, flags: "pw"},
		{doc: plain, events: "start pause promote", phase: PhasePromoted, weight: 100},
		{doc: plain, events: "rollback", phase: PhaseRolledBack},
		{doc: plain, events: "start step rollback", phase: PhaseRolledBack, step: 1},
		{doc: plain, events: "start promote rollback", phase: PhaseRolledBack},
		{doc: plain, events: "start step rollback retry", phase: PhaseStep, weight: 5},
		{doc: shadowed, events: "start step retry", phase: PhaseShadow},
		{doc: plain, events: "start start", wrong: ErrDecided.Error()},
		{doc: plain, events: "start promote promote", wrong: ErrDecided.Error()},
		{doc: plain, events: "start pause pause", wrong: ErrDecided.Error()},
		{doc: plain, events: "start resume", wrong: ErrDecided.Error()},
		{doc: plain, events: "start rollback rollback", wrong: ErrDecided.Error()},
		{doc: plain, events: "start rollback step", wrong: "is rolled back: retry it"},
		{doc: plain, events: "start rollback promote", wrong: "is rolled back"},
		{doc: plain, events: "start rollback pause", wrong: "is rolled back"},
		{doc: plain, events: "start promote step", wrong: "is promoted"},
		{doc: plain, events: "start promote resume", wrong: "is promoted"},
		{doc: plain, events: "retry", wrong: "has not begun"},
		{doc: plain, events: "jump", wrong: "is no decision"},
	} {
		var events []DecisionEvent
		for _, event := range strings.Fields(c.events) {
			events = append(events, DecisionEvent(event))
		}
		last := len(events) - 1
		o := decide(t, c.doc, nil, events[:last]...)
		decision := Decision{Event: events[last], By: "ann", Reason: "why", At: noon.Add(time.Hour)}
		got, err := c.doc.Decide(o, decision)
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) || got != nil {
				t.Errorf("%s: %v, want %q", c.events, err, c.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.events, err)
			continue
		}
		s := got.Rollout
		flags := ""
		for flag, on := range map[string]bool{"p": s.Paused, "r": s.Resumed} {
			if on {
				flags += flag
			}
		}
		if s.AwaitsPerson(c.doc.Rollout) {
			flags += "w"
		}
		if s.Phase != c.phase || s.Step != c.step || s.CanaryWeight(c.doc.Rollout) != c.weight || flags != c.flags {
			t.Errorf("%s: %s, step %d, weight %v, %q", c.events, s.Phase, s.Step, s.CanaryWeight(c.doc.Rollout), flags)
		}
		if got.By != "ann" || got.Reason != "why" || !got.At.Equal(decision.At) || s.Decision.At != got.At || got.Basis != c.doc.Basis() {
			t.Errorf("%s: decided by %+v", c.events, got)
		}
	}
}

func TestPromotionByTheLastStepSaysSo(t *testing.T) {
	d := mustParse(t, rolloutYAML)
	o := decide(t, d, nil, DecideStart, DecideStep, DecideStep, DecideStep)
	if o.Rollout.Decision.Event != DecidePromote {
		t.Errorf("decision %q", o.Rollout.Decision.Event)
	}
}

func TestRollbackRefusesTheArtifactUntilARetry(t *testing.T) {
	d := mustParse(t, rolloutYAML)
	const loaded = "sha256:00000000000000000000000000000000000000000000000000000000000000cc"
	back, err := d.Decide(decide(t, d, nil, DecideStart), Decision{Event: DecideRollback, By: "gateway a", Reason: "errors", At: noon, Guard: "errors", Digest: loaded,
		Evidence: []GuardEvidence{{Name: "errors", LnE: 7.25, Threshold: 5.3, Events: 9, Units: 40, StableEvents: 1, StableUnits: 900}}})
	if err != nil {
		t.Fatal(err)
	}
	if s := back.Rollout; !s.Refuses("2", loaded) || s.Refuses("2", sumA) || s.Refuses("1", loaded) || !s.Refuses("2", "") {
		t.Errorf("refuses %+v", s.Refused)
	}
	read, err := ParseOverride(Entry{Value: CanonicalOverride(back)})
	if err != nil || !reflect.DeepEqual(read, back) {
		t.Errorf("stored and read it is %+v, %v", read, err)
	}
	if o := decide(t, d, back, DecideRetry); o.Rollout.Refuses("2", loaded) || o.Rollout.Retry != 1 {
		t.Errorf("retried it refuses %+v", o.Rollout.Refused)
	}
	byDocument := decide(t, d, nil, DecideRollback)
	if !byDocument.Rollout.Refuses("2", d.Versions["2"].Digest) || byDocument.Rollout.Refuses("2", loaded) {
		t.Errorf("refuses %+v", byDocument.Rollout.Refused)
	}
}

func TestAHoldOutlivesDecisionsButNotTheRollbackOfWhatItHolds(t *testing.T) {
	d := mustParse(t, rolloutYAML)
	step := decide(t, d, nil, DecideStart)
	for weights, survives := range map[*map[string]float64]bool{{"1": 100, "2": 0}: true, {"1": 50, "2": 50}: false} {
		held := step.WithHold(d, hold(*weights))
		paused := decide(t, d, held, DecidePause)
		if paused.Kind != OverrideHold || !maps.Equal(paused.Weights, *weights) || paused.By != "bob" || !paused.Rollout.Paused {
			t.Errorf("paused under a hold: %+v", paused)
		}
		back := decide(t, d, held, DecideRollback)
		if (back.Kind == OverrideHold) != survives || back.Rollout.Phase != PhaseRolledBack {
			t.Errorf("rolled back under a hold of %v: %+v", *weights, back)
		}
		if s := d.Steer(back, LatestVersion, noon); s.Weights["2"] != 0 {
			t.Errorf("the canary has %v", s.Weights)
		}
		released := paused.Released()
		if released.Kind != OverrideRollout || released.Rollout != paused.Rollout || len(released.Weights) != 0 {
			t.Errorf("released: %+v", released)
		}
	}
	bare := hold(map[string]float64{"1": 1})
	if bare.Released() != nil || (*Override)(nil).Released() != nil {
		t.Error("something is left of a hold without a rollout")
	}
	if o := decide(t, d, &Override{Kind: OverrideHold, Weights: bare.Weights, At: noon.Add(-2 * time.Hour), Until: noon}, DecideStart); o.Kind != OverrideRollout {
		t.Errorf("a hold that had ended stays: %+v", o)
	}
}

func TestNothingIsDecidedWithoutARollout(t *testing.T) {
	if _, err := mustParse(t, fullYAML).Decide(nil, Decision{Event: DecideStart}); err == nil {
		t.Error("a rollout began")
	}
}

// Whatever is decided, in whatever order, on whatever document: what is stored
// reads back, weight is on versions of the document only, never on one that
// was taken back, and only a decision moves it.
func TestDecisionsNeverLeaveTheDocument(t *testing.T) {
	documents := []*Document{mustParse(t, rolloutYAML)}
	for _, change := range []string{"attempt: 1", "guards: {shadow: {max_disagreement: 0.5}}", "alpha: 0.5"} {
		documents = append(documents, mustParse(t, strings.Replace(rolloutYAML, "rollout:", "traffic: {shadow: {2: 1}}\nrollout:\n  "+change, 1)))
	}
	documents = append(documents, mustParse(t, fullYAML))
	events := []DecisionEvent{DecideStart, DecideStep, DecideStep, DecidePromote, DecideRollback, DecidePause, DecideResume, DecideRetry}
	rapid.Check(t, func(t *rapid.T) {
		var o *Override
		d, now := documents[0], noon
		for range rapid.IntRange(1, 30).Draw(t, "length") {
			now = now.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
			before := d.Steer(o, LatestVersion, now)
			text := ""
			if o != nil {
				text = string(CanonicalOverride(o))
			}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				d = rapid.SampledFrom(documents).Draw(t, "document")
				continue
			case 1:
				h := hold(map[string]float64{rapid.SampledFrom([]string{"1", "2", "9"}).Draw(t, "version"): 1})
				h.At, h.Until = now, now.Add(time.Hour)
				o = o.WithHold(d, h)
			case 2:
				o = o.Released()
			default:
				event := rapid.SampledFrom(events).Draw(t, "event")
				next, err := d.Decide(o, Decision{Event: event, By: "x", Reason: "y", At: now})
				if o != nil && text != string(CanonicalOverride(o)) {
					t.Fatalf("Decide changed what it was given: %+v", o)
				}
				if err != nil {
					if next != nil {
						t.Fatalf("%v, and %+v", err, next)
					}
					if errors.Is(err, ErrDecided) && before.Rollout == nil && event != DecideResume {
						t.Fatal("decided already, and nothing is")
					}
					continue
				}
				o = next
			}
			if o != nil {
				if read, err := ParseOverride(Entry{Value: CanonicalOverride(o)}); err != nil || !reflect.DeepEqual(read, o) {
					t.Fatalf("stored and read %+v is %+v, %v", o, read, err)
				}
			}
			s := d.Steer(o, LatestVersion, now)
			sum := 0.0
			for version, weight := range s.Weights {
				if _, ok := d.Versions[version]; !ok || weight < 0 {
					t.Fatalf("weights %v", s.Weights)
				}
				if weight > 0 && s.Rollout.Refuses(version, d.Versions[version].Digest) {
					t.Fatalf("weight on what was taken back: %v", s.Weights)
				}
				sum += weight
			}
			if sum == 0 {
				t.Fatalf("no weight: %v", s.Weights)
			}
		}
	})
}

func TestDecisionsAreToldWithTheirNumbers(t *testing.T) {
	d := mustParse(t, rolloutYAML)
	o, err := d.Decide(decide(t, d, nil, DecideStep), Decision{Event: DecideRollback, By: "gateway gw-1", Reason: "errors", At: noon, Guard: "errors", Evidence: []GuardEvidence{
		{Name: "slow", LnE: -0.5, Threshold: 6, Events: 1, Units: 40, StableEvents: 8, StableUnits: 800},
		{Name: "errors", LnE: 7.254, Threshold: 5.3, Events: 9, Units: 40},
	}})
	if err != nil {
		t.Fatal(err)
	}
	record := DecisionRecord(d, 17, []byte("before"), o, AuditWho{User: "gw-1"})
	want := AuditRecord{Model: "mozart", Index: 17, Event: "rollback", At: noon, Who: AuditWho{User: "gw-1"}, Reason: "errors",
		BeforeDigest: EntryDigest([]byte("before")), Document: string(CanonicalOverride(o)),
		Outcome: "rolled back, 0 %; errors: ln E 7.25 of 5.3, 9 of 40; slow: ln E -0.5 of 6, 1 of 40 (stable 8 of 800)"}
	if record != want {
		t.Errorf("got %+v, want %+v", record, want)
	}
	if _, _, event, ok := ParseAuditKey(AuditKey("mozart", 17, record.Event)); !ok || event != "rollback" {
		t.Errorf("no key for event %q", record.Event)
	}
	for text, state := range map[string]*RolloutState{
		"not begun":                  nil,
		"step 1 of 3, 5 %":           decide(t, d, nil, DecideStart).Rollout,
		"step 2 of 3, 50 %":          decide(t, d, nil, DecideStep).Rollout,
		"promoted, 100 %":            decide(t, d, nil, DecidePromote).Rollout,
		"shadow, before step 1 of 3": {Phase: PhaseShadow},
	} {
		if got := state.Describe(d.Rollout); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	if got := (&RolloutStatus{Steps: 3}).Describe(); got != "not begun" {
		t.Errorf("got %q", got)
	}
	if got := decide(t, d, nil, DecidePause).Rollout.Outcome(d.Rollout); got != "step 1 of 3, 5 %, paused" {
		t.Errorf("got %q", got)
	}
}
