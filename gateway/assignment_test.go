package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/runtime"
)

// experiment is a gateway with a rollout whose canary has half of the callers
// and fails for all of them, and what is known of it.
type experiment struct {
	*testGateway
	m        *modelRoute
	recorder *rollout.Recorder
	plan     *rollout.Plan
}

func newExperiment(t *testing.T, canary func([]runtime.Tensor) ([]runtime.Tensor, error)) *experiment {
	g := newTestGateway(t)
	m := canaried(g, canary)
	var err error
	if m.split, err = rollout.NewSplit("s", []rollout.Arm{{Version: "1", Weight: 1}, {Version: "2", Weight: 1}}); err != nil {
		t.Fatal(err)
	}
	doc := &configs.Rollout{Stable: "1", Canary: "2", Steps: []configs.Step{{Weight: 50}},
		Guards: configs.Guards{Errors: &configs.RatioGuard{}, Feedback: &configs.FeedbackGuard{Kind: configs.FeedbackLabel}}}
	plan, err := rollout.Compile("r", doc.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	e := &experiment{g, m, rollout.NewRecorder("r", "w"), plan}
	e.recorder.Begin(0, 0)
	m.rollout = &rolloutRoute{recorder: e.recorder, stable: "1", canary: "2", seed: 7, started: time.Now().Add(-time.Minute), feedback: feedbackLabel, judge: func() {}}
	m.stickyHeader, m.testersHeader = "X-User-Id", "X-Test"
	m.testers = map[string]*versionRoute{"2": m.versions["2"], "canary": m.versions["2"], "exclude": m.versions["1"]}
	return e
}

// judged is what a guard has seen of the arms.
func (e *experiment) judged(g rollout.Guard) rollout.Judgement {
	v := e.plan.Decide(rollout.State{}, e.plan.Merge(0, e.recorder.Snapshot()), time.Time{})
	for _, j := range v.Judgements {
		if j.Guard == g {
			return j
		}
	}
	e.t.Fatalf("no guard %s", g)
	return rollout.Judgement{}
}

func TestOnlyRequestsThatWereDrawnAndRunCount(t *testing.T) {
	e := newExperiment(t, failing)
	e.m.versions["2"].breaker = nil // it would open
	send := func(headers ...string) answer { return e.send("POST", infer, rowsOf(1), headers...) }
	for range 5 {
		e.send("POST", "/v2/models/mozart/versions/2/infer", rowsOf(1), "X-User-Id: ada")
		if got := send("X-Test: canary"); got.header.Get("Segue-Variant") != "fallback" {
			t.Errorf("a tester on the canary: %s", got.header.Get("Segue-Variant"))
		}
		if got := send("X-Test: exclude"); got.header.Get("Segue-Model-Version") != "1" || got.header.Get("Segue-Variant") == "fallback" {
			t.Errorf("an excluded tester: %v", got.header)
		}
		e.send("POST", infer, `{"inputs":[]}`, "X-User-Id: ada")
	}
	if j := e.judged(rollout.Errors); j.Units+j.StableUnits != 0 {
		t.Errorf("counted %+v", j)
	}
	canaries, users := 0, 40
	for user := range users {
		name := "X-User-Id: user" + string(rune('A'+user))
		for range 3 { // a caller counts once
			send(name)
		}
		if e.m.split.Choose([]byte(strings.TrimPrefix(name, "X-User-Id: "))) == "2" {
			canaries++
		}
	}
	if j := e.judged(rollout.Errors); j.Units != canaries || j.Events != canaries || j.StableUnits != users-canaries || j.StableEvents != 0 {
		t.Errorf("counted %+v, want %d failures of the canary's and none of %d others", j, canaries, users-canaries)
	}
	// Without a key, and with a wish that means nothing, requests count singly.
	before := e.judged(rollout.Errors)
	for range 50 {
		send("X-Test: nobody")
	}
	if j := e.judged(rollout.Errors); j.Units+j.StableUnits != before.Units+before.StableUnits+50 {
		t.Errorf("counted %+v after %+v and 50 requests", j, before)
	}
}

func TestFeedbackCountsInTheArmThatWasDrawn(t *testing.T) {
	e := newExperiment(t, func(in []runtime.Tensor) ([]runtime.Tensor, error) {
		return []runtime.Tensor{{Name: "y", Type: runtime.FP32, Shape: in[0].Shape, Data: in[0].Data}}, nil
	})
	for _, v := range e.m.versions {
		v.class = newClassOutput(v.runner.Signature(), "", nil)
	}
	right, wrong, stable := 0, 0, 0
	for n := range 60 {
		got := e.send("POST", infer, rowsOf(1))
		label := `"label":2`
		switch {
		case got.header.Get("Segue-Model-Version") == "1":
			stable++
		case n%3 == 0:
			wrong++
			label = `"label":0`
		default:
			right++
		}
		e.send("POST", feedbackPath, `{"prediction_id":"`+got.header.Get("Segue-Prediction-Id")+`",`+label+`}`).want(t, 202, `{"accepted":1,"rejected":[]}`)
	}
	j := e.judged(rollout.Feedback)
	if j.Units != right+wrong || j.Events != wrong || j.StableUnits != stable || j.StableEvents != 0 {
		t.Errorf("counted %+v, want %d wrong of %d, and %d of stable", j, wrong, right+wrong, stable)
	}
	// What was drawn in no arm counts for its version and not for the rollout.
	id := e.send("POST", "/v2/models/mozart/versions/2/infer", rowsOf(1)).header.Get("Segue-Prediction-Id")
	e.send("POST", feedbackPath, `{"prediction_id":"`+id+`","label":0}`).want(t, 202, `{"accepted":1,"rejected":[]}`)
	// And what was drawn in an earlier step comes too late.
	late := e.send("POST", infer, rowsOf(1), "X-User-Id: ada").header.Get("Segue-Prediction-Id")
	next := *e.m.rollout
	next.step = 1
	e.m.rollout = &next
	e.send("POST", feedbackPath, `{"prediction_id":"`+late+`","label":0}`).want(t, 202, `{"accepted":1,"rejected":[]}`)
	if again := e.judged(rollout.Feedback); again != j {
		t.Errorf("counted %+v after %+v", again, j)
	}
	wantLines(t, e.series("segue_feedbacks_total"), `segue_feedbacks_total{kind="label",model="mozart",outcome="accepted"} 61`,
		`segue_feedbacks_total{kind="label",model="mozart",outcome="late"} 1`)
}
