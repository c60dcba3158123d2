package configs

import (
	"fmt"
	"strconv"
	"strings"
)

// Describe says in a few words where a rollout stands: "step 2 of 4, 10 %",
// "promoted, 100 %". It may be nil: not begun.
func (s *RolloutState) Describe(r *Rollout) string {
	if s == nil {
		return "not begun"
	}
	return describePhase(s.Phase, s.Step, len(r.Steps), s.CanaryWeight(r))
}

// Describe is that of the state which the gateway has in force.
func (r *RolloutStatus) Describe() string { return describePhase(r.Phase, r.Step, r.Steps, r.Weight) }

func describePhase(phase RolloutPhase, step, steps int, weight float64) string {
	switch phase {
	case PhaseShadow:
		return "shadow, before step 1 of " + strconv.Itoa(steps)
	case PhaseStep:
		return fmt.Sprintf("step %d of %d, %s %%", step+1, steps, shortNumber(weight))
	case PhasePromoted:
		return "promoted, 100 %"
	case PhaseRolledBack:
		return "rolled back, 0 %"
	}
	return "not begun"
}

// String is a guard's numbers in a line: "errors: ln E 7.3 of 5.3, 9 of 40
// (stable 1 of 900)".
func (e GuardEvidence) String() string {
	text := fmt.Sprintf("%s: ln E %s of %s, %d of %d", e.Name, shortNumber(e.LnE), shortNumber(e.Threshold), e.Events, e.Units)
	if e.StableUnits > 0 {
		text += fmt.Sprintf(" (stable %d of %d)", e.StableEvents, e.StableUnits)
	}
	return text
}

func shortNumber(x float64) string {
	text := strconv.FormatFloat(x, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// DecisionRecord is the audit's record of a decision about a rollout that was
// written at an index. Before is the value of the override before, nil where
// there was none.
func DecisionRecord(d *Document, index uint64, before []byte, after *Override, who AuditWho) AuditRecord {
	decision := after.Rollout.Decision
	record := AuditRecord{
		Model: d.Model, Index: index, Event: string(decision.Event), At: decision.At, Who: who, Reason: decision.Reason,
		Document: string(CanonicalOverride(after)), Outcome: after.Rollout.Outcome(d.Rollout),
	}
	if before != nil {
		record.BeforeDigest = EntryDigest(before)
	}
	return record
}

// Outcome says what the newest decision came to, with its numbers, those of
// the guard that decided first.
func (s *RolloutState) Outcome(r *Rollout) string {
	parts := []string{s.Describe(r)}
	if s.Paused {
		parts[0] += ", paused"
	}
	for _, e := range s.Decision.Evidence {
		if e.Name == s.Decision.Guard {
			parts = append(parts, e.String())
		}
	}
	for _, e := range s.Decision.Evidence {
		if e.Name != s.Decision.Guard {
			parts = append(parts, e.String())
		}
	}
	return strings.Join(parts, "; ")
}
