package rollout

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

func TestPlansThatNobodyCanFollowAreRefused(t *testing.T) {
	for _, c := range []struct {
		says   string
		change func(r *configs.Rollout)
	}{
		{"both version 1", func(r *configs.Rollout) { r.Canary = "1" }},
		{"0 steps", func(r *configs.Rollout) { r.Steps = nil }},
		{"101 steps", func(r *configs.Rollout) { r.Steps = make([]configs.Step, 101) }},
		{"weight 0 after 0", func(r *configs.Rollout) { r.Steps[0].Weight = 0 }},
		{"weight 5 after 5", func(r *configs.Rollout) { r.Steps[1].Weight = 5 }},
		{"weight 91 after 5", func(r *configs.Rollout) { r.Steps[1].Weight = 91 }},
		{"weight NaN after 5", func(r *configs.Rollout) { r.Steps[1].Weight = math.NaN() }},
		{"alpha -1", func(r *configs.Rollout) { r.Alpha = -1 }},
		{"alpha 1", func(r *configs.Rollout) { r.Alpha = 1 }},
		{"promote_alpha NaN", func(r *configs.Rollout) { r.PromoteAlpha = math.NaN() }},
		{`on_inconclusive "shrug"`, func(r *configs.Rollout) { r.OnInconclusive = "shrug" }},
		{"guard errors: max_ratio 0.5", func(r *configs.Rollout) { r.Guards.Errors = &configs.RatioGuard{MaxRatio: 0.5} }},
		{"guard slow: max_ratio 3, promote_ratio 3", func(r *configs.Rollout) { r.Guards.Slow = &configs.RatioGuard{MaxRatio: 3, PromoteRatio: 3} }},
		{"max_rate 1", func(r *configs.Rollout) { r.Guards.Errors = &configs.RatioGuard{MaxRate: 1} }},
		{"guard classes: max_ratio 0.1", func(r *configs.Rollout) { r.Guards.Classes = &configs.ClassGuard{MaxRatio: 0.1} }},
		{"guard shadow: max_disagreement 1", func(r *configs.Rollout) { r.Guards.Shadow = &configs.ShadowGuard{MaxDisagreement: 1} }},
	} {
		t.Run(c.says, func(t *testing.T) {
			r := document([]float64{5, 50}, configs.Guards{})
			c.change(r)
			if _, err := Compile("id", r); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
	for _, id := range []string{"", strings.Repeat("x", 129)} {
		if _, err := Compile(id, document([]float64{5}, configs.Guards{})); err == nil {
			t.Errorf("the id %q was taken", id)
		}
	}
}

func TestAlphaIsSharedByGuardsAndSteps(t *testing.T) {
	weights := make([]float64, MaxSteps)
	for i := range weights {
		weights[i] = 0.5 + float64(i)*0.5
	}
	plan := mustCompile(t, document(weights, configs.Guards{
		Errors: ratioGuard(1), NonFinite: ratioGuard(1), Shadow: &configs.ShadowGuard{MaxDisagreement: 0.1},
	}))
	sum := 0.0
	for step := plan.First(); step < len(plan.Steps); step++ {
		for level := 0; level < 20; level++ {
			sum += 3 * math.Exp(-plan.threshold(step, level))
		}
	}
	if sum > plan.Alpha || sum < 0.9*plan.Alpha {
		t.Errorf("guards, steps and levels have %v together, want at most %v and hardly less", sum, plan.Alpha)
	}
}

func TestTheShadowGuardComesBeforeTheFirstStep(t *testing.T) {
	plan := mustCompile(t, document([]float64{5}, configs.Guards{
		Errors: ratioGuard(1), Shadow: &configs.ShadowGuard{MaxDisagreement: 0.05, MinSamples: 60},
	}))
	state := StateOf(&configs.RolloutState{Phase: configs.PhaseShadow, Since: begin})
	if plan.First() != ShadowStep || state.Step != ShadowStep {
		t.Fatalf("the plan begins with step %d, the state is %+v", plan.First(), state)
	}
	for _, c := range []struct {
		name             string
		compared, differ int
		users            bool
		want             Action
	}{
		{"too few", 59, 0, false, Hold},
		{"enough that agree", 60, 0, false, Advance},
		{"as many callers", 60, 0, true, Advance},
		{"some disagree", 60, 4, false, Hold},
		{"too many disagree", 60, 20, false, Rollback},
		{"for too many callers", 60, 20, true, Rollback},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewRecorder(plan.ID, "w")
			r.Begin(ShadowStep, 0)
			for i := range c.compared {
				o := Observation{Step: ShadowStep, Judged: Of(Shadow)}
				if i < c.differ {
					o.Bad = Of(Shadow)
				}
				if c.users {
					o.Unit = unitOf(i)
					r.Record(o) // a caller's second copy says nothing
				}
				r.Record(o)
			}
			v := plan.Decide(state, plan.Merge(ShadowStep, r.Snapshot()), begin)
			if v.Action != c.want || v.Judgements[0].Units != c.compared || v.Judgements[0].Events != c.differ {
				t.Errorf("%s, %s: %+v", v.Action, v.Reason, v.Judgements)
			}
		})
	}
}

func TestVerdictsSayWhatIsMissing(t *testing.T) {
	r := document([]float64{5}, configs.Guards{Errors: ratioGuard(1)})
	r.Steps[0].MinRequests, r.Steps[0].MinTime = 1000, configs.Duration(10*time.Minute)
	plan := mustCompile(t, r)
	total := saw(plan, 0, 100, 0, 1900, 0)
	v := plan.Decide(State{Since: begin}, total, begin.Add(4*time.Minute))
	want := []string{
		"244 more good units of the canary (guard errors)",
		"900 more requests of the canary (min_requests)",
		"6m0s more (min_time)",
	}
	if !reflect.DeepEqual(v.Waiting, want) {
		t.Errorf("waiting for %q, want %q", v.Waiting, want)
	}
	// It is neither more nor less than what it takes.
	for extra, content := range map[int]bool{243: false, 244: true} {
		if j := plan.judge(Errors, saw(plan, 0, 100+extra, 0, 1900, 0)); j.Content() != content {
			t.Errorf("content with %d more: %v", extra, j.Content())
		}
	}
	e := v.Judgements[0].Evidence()
	if e.Name != "errors" || e.Units != 100 || e.StableUnits != 1900 || e.Threshold != v.Judgements[0].Threshold {
		t.Errorf("as a document: %+v", e)
	}
}

func TestForecastsSayWhatNeverHappens(t *testing.T) {
	r := document([]float64{1, 50}, configs.Guards{Errors: ratioGuard(1), Shadow: &configs.ShadowGuard{MaxDisagreement: 0.02, MinSamples: 10}})
	r.Steps[1].MinTime = configs.Duration(time.Hour)
	plan := mustCompile(t, r)
	f := plan.Forecast(Traffic{Rate: 100, Copies: 0.2})
	if len(f) != 3 || f[0].Step != ShadowStep || f[0].Clean < 75 || f[0].Time != duration(f[0].Clean, 20) {
		t.Errorf("shadow step: %+v", f[0])
	}
	if f[1].Typical != f[1].Clean || f[1].Time < 5*time.Minute || f[2].Time != time.Hour {
		t.Errorf("steps without bad events: %+v", f[1:])
	}
	if d := f[1].Detect; d[0].Units < 1 || d[0].Units > 5 || !math.IsInf(d[0].Ratio, 1) || d[3].Units != -1 || d[3].Within >= 0 {
		t.Errorf("where stable never fails, 20 times that is never: %+v", d)
	}
	for _, f := range plan.Forecast(Traffic{Bad: 0.01}) {
		if f.Time >= 0 {
			t.Errorf("without traffic step %d takes %s", f.Step, f.Time)
		}
	}
	f = plan.Forecast(Traffic{Rate: 100, Bad: 0.01})
	for i, d := range f[1].Detect[1:] {
		if d.Units <= f[1].Detect[i].Units {
			t.Errorf("the smaller the ratio, the longer: %+v", f[1].Detect)
		}
	}
}
