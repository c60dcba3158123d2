package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/segue-serving/segue/configs"
)

// wanted is what must be in force, by model.
type wanted map[string]wantedModel

type wantedModel struct {
	// digest is the EntryDigest of the document.
	digest string
	// doc is the document, nil where it cannot be parsed.
	doc *configs.Document
	// steered reports that the override counts too: the one given must be in
	// force, or none where it is nil.
	steered  bool
	override *configs.Override
	// rollout is the state of the document's rollout that must be in force, nil
	// where any may. With rollsOut the rollout must be promoted at last.
	rollout  *configs.RolloutState
	rollsOut bool
	// absent reports that the model was deleted: nobody may serve it.
	absent bool
}

// standing is how one gateway stands to one wanted model.
type standing struct {
	Instance string `json:"instance"`
	Model    string `json:"model"`
	// State is "in force", "rolling out", "rolled back", "waiting" or
	// "refused".
	State string `json:"state"`
	// Why says what is awaited or why it is refused.
	Why string `json:"why,omitempty"`
}

const (
	stateInForce    = "in force"
	stateRolling    = "rolling out"
	stateRolledBack = "rolled back"
	stateWaiting    = "waiting"
	stateRefused    = "refused"
)

const whyFrozen = "frozen: settings.freeze is true"

// waitReport is the last that was seen of each gateway.
type waitReport struct {
	Settled  bool       `json:"settled"`
	Gateways []standing `json:"gateways"`
}

func (r *waitReport) writeText(w io.Writer) {
	if r.Settled {
		fmt.Fprintln(w, "in force everywhere")
	}
}

// judge says how a gateway stands to one wanted model. It looks at documents by
// digest, so it does not matter how indexes are counted.
func judge(gateway configs.GatewayStatus, model string, want wantedModel, now time.Time) standing {
	s := standing{Instance: gateway.Instance, Model: model, State: stateWaiting}
	m, known := gateway.Models[model]
	switch {
	case want.absent && !known:
		s.State = stateInForce
	case want.absent && m.Deleting == nil:
		s.Why = "still serves the model, whose document is gone"
	case !known && gateway.Truncated:
		s.Why = "its status had to leave this model out"
	case !known:
		s.Why = "has not seen the document yet"
	case m.Deleting != nil:
		s.Why = "is about to drop the model, " + clock(*m.Deleting)
	case m.Enforces(want.digest):
		if s.State, s.Why = steering(m, want, now); s.State == stateInForce {
			s.State, s.Why = rollingOut(m, want)
		}
	case !m.Wants(want.digest):
		s.Why = "has not seen the document yet"
		switch {
		case !gateway.Config.Connected:
			s.Why = "cannot reach the configuration"
		case gateway.Config.Frozen:
			s.Why = whyFrozen
		}
	default:
		s.State, s.Why = unenforced(gateway, m, want.doc)
	}
	return s
}

// unenforced says why a document that a gateway has read is not in force.
func unenforced(gateway configs.GatewayStatus, m configs.ModelStatus, doc *configs.Document) (state, why string) {
	if len(m.Rejected) > 0 {
		return stateRefused, joinLines(m.Rejected)
	}
	if failure := failedVersion(m, shares(doc)); failure != "" {
		return stateRefused, failure
	}
	if gateway.Config.Frozen {
		return stateWaiting, whyFrozen
	}
	if m.Waiting != "" {
		return stateWaiting, m.Waiting
	}
	return stateWaiting, "is loading"
}

// failedVersion names a version that should answer and cannot, empty where
// there is none.
func failedVersion(m configs.ModelStatus, weights map[string]float64) string {
	for _, name := range sortedVersions(weights) {
		if v := m.Versions[name]; v.State == configs.VersionFailed && weights[name] > 0 {
			return fmt.Sprintf("version %s failed: %s", name, v.Reason)
		}
	}
	return ""
}

// steering says whether a document that is in force is steered as is wanted.
func steering(m configs.ModelStatus, want wantedModel, now time.Time) (state, why string) {
	why = awaitedOverride(m, want, now)
	if why == "" {
		return stateInForce, ""
	}
	if want.override != nil && m.Override != nil {
		if failure := failedVersion(m, want.override.Weights); failure != "" {
			return stateRefused, failure
		}
	}
	return stateWaiting, why
}

// rollingOut says how a gateway stands to the rollout of a document that is in
// force.
func rollingOut(m configs.ModelStatus, want wantedModel) (state, why string) {
	if want.rollsOut && want.rollout != nil && want.rollout.Phase == configs.PhaseRolledBack {
		return stateRolledBack, oneLine(want.rollout.Decision.Reason)
	}
	now := m.Rollout
	switch {
	case !want.rollsOut && want.rollout == nil:
		return stateInForce, ""
	case now == nil:
		return stateWaiting, "says nothing of the rollout"
	case want.rollout != nil && !follows(now, want.rollout, want.doc.Rollout):
		return stateWaiting, "has not followed the rollout yet: " + now.Describe()
	case want.rollsOut && now.Phase != configs.PhasePromoted:
		return stateRolling, now.Describe()
	}
	return stateInForce, ""
}

// follows reports that a gateway has a state of a rollout in force.
func follows(now *configs.RolloutStatus, want *configs.RolloutState, r *configs.Rollout) bool {
	if now.ID != want.ID() || now.Phase != want.Phase || now.Waits != want.AwaitsPerson(r) {
		return false
	}
	return now.Phase != configs.PhaseStep || now.Step == want.Step
}

// awaitedOverride says what is missing until the wanted override is in force,
// empty where nothing is.
func awaitedOverride(m configs.ModelStatus, want wantedModel, now time.Time) string {
	if !want.steered {
		return ""
	}
	expected, held := want.override, m.Override
	if held != nil && held.Kind != configs.OverrideHold {
		held = nil
	}
	if expected != nil && !expected.Until.After(now) {
		expected = nil
	}
	switch {
	case expected == nil && held == nil:
		return m.Waiting
	case expected == nil:
		return "still follows an override that is gone"
	case held == nil:
		return "does not follow the override yet"
	case !held.Until.Equal(expected.Until) || !maps.Equal(held.Weights, expected.Weights):
		return "still follows an older override"
	}
	// A hold is seen at once, and in force when its versions are ready.
	return m.Waiting
}

func joinLines(lines []string) string {
	text := ""
	for i, line := range lines {
		if i > 0 {
			text += "; "
		}
		text += line
	}
	return text
}

// judgeAll is judge for all gateways and models, in order.
func judgeAll(gateways []configs.GatewayStatus, want wanted, now time.Time) *waitReport {
	r := &waitReport{Settled: len(gateways) > 0, Gateways: []standing{}}
	for _, gateway := range gateways {
		for _, model := range slices.Sorted(maps.Keys(want)) {
			s := judge(gateway, model, want[model], now)
			r.Settled = r.Settled && s.State == stateInForce
			r.Gateways = append(r.Gateways, s)
		}
	}
	return r
}
