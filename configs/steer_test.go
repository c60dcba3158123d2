package configs

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

const rolloutYAML = `model: mozart
versions:
  "1": {uri: "file:1", digest: ` + sumA + `}
  "2": {uri: "file:2", digest: "sha256:00000000000000000000000000000000000000000000000000000000000000bb"}
  "3": {uri: "file:3"}
rollout:
  stable: "1"
  canary: "2"
  steps: [{weight: 5}, {weight: 50, pause: true}, {weight: 90}]
`

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// decide makes decisions one after the other, a minute apart.
func decide(t *testing.T, d *Document, o *Override, events ...DecisionEvent) *Override {
	t.Helper()
	for i, event := range events {
		next, err := d.Decide(o, Decision{Event: event, By: "ann", Reason: "why", At: noon.Add(time.Duration(i) * time.Minute)})
		if err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		o = next
	}
	return o
}

func hold(weights map[string]float64) Override {
	return Override{Kind: OverrideHold, Weights: weights, By: "bob", Reason: "incident", At: noon, Until: noon.Add(time.Hour)}
}

func TestWhoseWeightsCount(t *testing.T) {
	d := mustParse(t, rolloutYAML)
	weighted := mustParse(t, strings.NewReplacer("rollout:", "traffic: {weights: {1: 30, 2: 70}}\n#", "\n  stable", "\n#", "\n  canary", "\n#", "\n  steps", "\n#").Replace(rolloutYAML))
	bare := mustParse(t, "model: mozart\nversions: {1: {uri: 'file:1'}, 2: {uri: 'file:2'}, 3: {uri: 'file:3'}}\n")
	other := mustParse(t, strings.Replace(rolloutYAML, "stable:", "attempt: 1\n  stable:", 1))
	all3 := map[string]float64{"3": 100}
	held := hold(all3)
	unfit := hold(map[string]float64{"4": 100})
	ended := hold(all3)
	ended.Until = noon
	step := decide(t, d, nil, DecideStart)
	both := step.WithHold(d, held)
	bothEnded := step.WithHold(d, ended)
	deletion := &Override{Kind: OverrideDelete, By: "ann", At: noon, Until: noon.Add(time.Hour)}
	for _, c := range []struct {
		name  string
		doc   *Document
		over  *Override
		want  map[string]float64
		hold  bool
		state bool
		stale bool
		wrong string
	}{
		{name: "nothing beside weights", doc: weighted, want: map[string]float64{"1": 30, "2": 70}},
		{name: "nothing beside no weights", doc: bare, want: map[string]float64{"3": 100}},
		{name: "a rollout that has not begun", doc: d, want: map[string]float64{"1": 100, "2": 0}},
		{name: "a deletion by name", doc: d, over: deletion, want: map[string]float64{"1": 100, "2": 0}},
		{name: "a step", doc: d, over: step, state: true, want: map[string]float64{"1": 95, "2": 5}},
		{name: "the last step", doc: d, over: decide(t, d, step, DecideStep, DecideStep), state: true, want: map[string]float64{"1": 10, "2": 90}},
		{name: "promoted", doc: d, over: decide(t, d, step, DecidePromote), state: true, want: map[string]float64{"1": 0, "2": 100}},
		{name: "rolled back", doc: d, over: decide(t, d, step, DecideRollback), state: true, want: map[string]float64{"1": 100, "2": 0}},
		{name: "the state of another rollout", doc: other, over: step, stale: true, want: map[string]float64{"1": 100, "2": 0}},
		{name: "a state beside weights", doc: weighted, over: decide(t, d, step, DecidePromote), stale: true, want: map[string]float64{"1": 30, "2": 70}},
		{name: "a hold beside weights", doc: weighted, over: &held, hold: true, want: all3},
		{name: "a hold beside a rollout", doc: d, over: &held, hold: true, want: all3},
		{name: "a hold over a step", doc: d, over: both, hold: true, state: true, want: all3},
		{name: "a hold over another document", doc: other, over: both, hold: true, want: all3},
		{name: "a hold that ended", doc: weighted, over: &ended, stale: true, want: map[string]float64{"1": 30, "2": 70}},
		{name: "a hold that ended over a step", doc: d, over: bothEnded, state: true, want: map[string]float64{"1": 95, "2": 5}},
		{name: "a hold on a version that is not there", doc: weighted, over: &unfit, want: map[string]float64{"1": 30, "2": 70}, wrong: `there is no version "4"`},
		{name: "a hold on what was taken back", doc: d, over: decide(t, d, step, DecideRollback).WithHold(d, hold(map[string]float64{"2": 100})),
			state: true, want: map[string]float64{"1": 100, "2": 0}, wrong: `has taken version "2" back`},
	} {
		s := c.doc.Steer(c.over, LatestVersion, noon)
		if !maps.Equal(s.Weights, c.want) || (s.Hold != nil) != c.hold || (s.Rollout != nil) != c.state || s.Stale != c.stale {
			t.Errorf("%s: %+v, want %v, hold %v, state %v, stale %v", c.name, s, c.want, c.hold, c.state, c.stale)
		}
		if text := errors.Join(s.Problem, errors.New("")).Error(); (s.Problem != nil) != (c.wrong != "") || !strings.Contains(text, c.wrong) {
			t.Errorf("%s: problem %v, want %q", c.name, s.Problem, c.wrong)
		}
	}
}

func TestStateThatNamesAStepTheRolloutHasNotDoesNotCount(t *testing.T) {
	d := mustParse(t, rolloutYAML)
	o := decide(t, d, nil, DecideStart)
	o.Rollout.Step = 3
	if s := d.Steer(o, LatestVersion, noon); s.Rollout != nil || !s.Stale || s.Weights["1"] != 100 {
		t.Errorf("got %+v", s)
	}
}

func TestARolloutIsNamedByItsBasisAndItsStart(t *testing.T) {
	d := mustParse(t, rolloutYAML)
	first := decide(t, d, nil, DecideStart)
	again := decide(t, d, first, DecideStep, DecideRollback, DecideRetry)
	if first.Rollout.ID() == again.Rollout.ID() || CheckName(first.Rollout.ID()) != nil {
		t.Errorf("%q and, tried again, %q", first.Rollout.ID(), again.Rollout.ID())
	}
	if moved := decide(t, d, first, DecideStep, DecidePause); moved.Rollout.ID() != first.Rollout.ID() {
		t.Errorf("%q became %q on the way", first.Rollout.ID(), moved.Rollout.ID())
	}
	strange := RolloutState{Basis: "sha256:", Started: time.Unix(-5, 0)}
	if strange.ID() != "-0" {
		t.Errorf("got %q", strange.ID())
	}
}
