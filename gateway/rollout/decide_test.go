package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// saw is a total of so many judged requests and errors by arm.
func saw(p *Plan, step, canary, canaryBad, stable, stableBad int) *Total {
	r := NewRecorder(p.ID, "w")
	r.Begin(step, 0)
	for i := range max(canary, stable) {
		if i < canary {
			r.Record(request(step, true, i < canaryBad))
		}
		if i < stable {
			r.Record(request(step, false, i < stableBad))
		}
	}
	return p.Merge(step, r.Snapshot())
}

func TestVerdictsFollowTheDocument(t *testing.T) {
	build := func(change func(r *configs.Rollout)) *Plan {
		r := document([]float64{5, 50}, configs.Guards{Errors: ratioGuard(1)})
		if change != nil {
			change(r)
		}
		return mustCompile(t, r)
	}
	first := func(change func(s *configs.Step)) *Plan {
		return build(func(r *configs.Rollout) { change(&r.Steps[0]) })
	}
	inconclusive := func(what string, pause bool) *Plan {
		return build(func(r *configs.Rollout) {
			r.OnInconclusive = what
			r.Steps[0].MaxTime, r.Steps[0].Pause = configs.Duration(time.Hour), pause
		})
	}
	good := func(p *Plan) *Total { return saw(p, 0, 400, 0, 7600, 0) }
	bad := func(p *Plan) *Total { return saw(p, 0, 20, 10, 380, 0) }
	little := func(p *Plan) *Total { return saw(p, 0, 10, 0, 190, 0) }
	lopsided := func(p *Plan) *Total { return saw(p, 0, 400, 0, 400, 0) }
	for _, c := range []struct {
		name  string
		plan  *Plan
		total func(p *Plan) *Total
		state State
		after time.Duration
		want  Action
	}{
		{"without a bad event it goes on", build(nil), good, State{}, 0, Advance},
		{"from the last step it is promoted", build(nil), func(p *Plan) *Total { return saw(p, 1, 400, 0, 400, 0) }, State{Step: 1}, 0, Promote},
		{"with little evidence it holds", build(nil), little, State{}, time.Hour, Hold},
		{"without any it holds", build(nil), func(*Plan) *Total { return nil }, State{}, time.Hour, Hold},
		{"evidence of another step is none", build(nil), good, State{Step: 1}, 0, Hold},
		{"a step that is none holds", build(nil), good, State{Step: 7}, 0, Hold},
		{"a worse canary is taken back", build(nil), bad, State{}, 0, Rollback},
		{"and so it is while paused", build(nil), bad, State{Paused: true}, 0, Rollback},
		{"paused, a good one stays", build(nil), good, State{Paused: true}, 0, Pause},
		{"min_time holds", first(func(s *configs.Step) { s.MinTime = configs.Duration(time.Hour) }), good, State{}, time.Hour - 1, Hold},
		{"and ends", first(func(s *configs.Step) { s.MinTime = configs.Duration(time.Hour) }), good, State{}, time.Hour, Advance},
		{"min_requests hold", first(func(s *configs.Step) { s.MinRequests = 401 }), good, State{}, 0, Hold},
		{"and are reached", first(func(s *configs.Step) { s.MinRequests = 400 }), good, State{}, 0, Advance},
		{"a pause waits for a person", first(func(s *configs.Step) { s.Pause = true }), good, State{}, 0, Pause},
		{"who lets it go on", first(func(s *configs.Step) { s.Pause = true }), good, State{Resumed: true}, 0, Advance},
		{"but not without evidence", first(func(s *configs.Step) { s.Pause = true }), little, State{Resumed: true}, 0, Hold},
		{"shares other than wanted hold", build(nil), lopsided, State{}, 0, Hold},
		{"shares other than wanted are never inconclusive", inconclusive("rollback", false), lopsided, State{}, 2 * time.Hour, Hold},
		{"nor promoted for it", inconclusive("promote", false), lopsided, State{}, 2 * time.Hour, Hold},
		{"after max_time it is inconclusive", inconclusive("hold", false), little, State{}, time.Hour, Unclear},
		{"or goes on", inconclusive("promote", false), little, State{}, time.Hour, Advance},
		{"or waits at its pause", inconclusive("promote", true), little, State{}, time.Hour, Pause},
		{"or is taken back", inconclusive("rollback", false), little, State{}, time.Hour, Rollback},
		{"but not while paused", inconclusive("rollback", false), little, State{Paused: true}, time.Hour, Pause},
		{"a clock set back keeps it", inconclusive("rollback", false), little, State{}, -1000 * time.Hour, Hold},
		{"and takes nothing from the evidence", build(nil), bad, State{}, -1000 * time.Hour, Rollback},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.state.Since = begin
			v := c.plan.Decide(c.state, c.total(c.plan), begin.Add(c.after))
			if v.Action != c.want {
				t.Errorf("%s: %s; waiting for %q", v.Action, v.Reason, v.Waiting)
			}
			if v.Reason == "" {
				t.Error("no reason is given")
			}
			if v.Elapsed < 0 {
				t.Errorf("the step has lasted %s", v.Elapsed)
			}
		})
	}
}

func TestTheReasonOfClassesNamesTheClassAndTheDirection(t *testing.T) {
	var many []int
	for class := range 50 {
		many = append(many, 2+class)
	}
	for _, c := range []struct {
		name           string
		stable, canary []int // what they predict in turns
		want           string
	}{
		{"a class with a name", []int{0, 2, 3, 4, 5, 1}, []int{1}, "class verdi more often: 200 of 200, stable 300 of 1800"},
		{"less often", []int{0}, many, "class bach less often: 0 of 200, stable 1800 of 1800"},
		{"without a name", []int{0, 1}, []int{7}, "class 7 more often: 200 of 200, stable 0 of 1800"},
		{"beyond those that are told apart", []int{0, 1}, []int{900}, "all other classes more often: 200 of 200, stable 0 of 1800"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustCompile(t, document([]float64{10}, configs.Guards{Classes: &configs.ClassGuard{MaxRatio: 3}}))
			p.ClassNames = []string{"bach", "verdi"}
			r := NewRecorder(p.ID, "w")
			r.Begin(0, 0)
			for i := range 1800 {
				r.Record(Observation{Judged: Of(Errors, Classes), Class: c.stable[i%len(c.stable)]})
			}
			for i := range 200 {
				r.Record(Observation{Canary: true, Judged: Of(Errors, Classes), Class: c.canary[i%len(c.canary)]})
			}
			v := p.Decide(State{Since: begin}, p.Merge(0, r.Snapshot()), begin)
			if v.Action != Rollback || !strings.HasSuffix(v.Reason, " with "+c.want) {
				t.Errorf("%s: %s, want %s", v.Action, v.Reason, c.want)
			}
		})
	}
}
