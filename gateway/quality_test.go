package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

func TestAccuracyAndRewardHaveIntervalsUnlessRewardsAreOutOfBounds(t *testing.T) {
	g := classified(t)
	counts := g.metrics.feedbackOf("mozart")
	for n := range 152 {
		counts.add("1", feedbackLabel, "", oneIf(n%5 != 0))
		counts.add("1", feedbackReward, "", float64(n%2)/2)
		counts.add("1", feedbackMetrics, "clicks", 7)
		counts.add("2", feedbackReward, "", float64(n%2)*3)
	}
	first := g.metrics.quality("mozart", "1")
	if len(first) != 2 || first[0].Kind != configs.FeedbackLabel || first[1].Kind != configs.FeedbackReward {
		t.Fatalf("version 1: %+v", first)
	}
	label, reward := first[0], first[1]
	if label.N != 152 || label.Sum != 121 || !(label.Interval.Low > 0.65 && label.Interval.Low < label.Mean && label.Mean < label.Interval.High && label.Interval.High < 0.9) {
		t.Errorf("accuracy %+v %+v", label, label.Interval)
	}
	if reward.Mean != 0.25 || !(reward.Interval.Low < 0.25 && reward.Interval.High > 0.25 && reward.Interval.High < 0.5) {
		t.Errorf("reward %+v %+v", reward, reward.Interval)
	}
	second := g.metrics.quality("mozart", "2")
	if len(second) != 1 || second[0].Mean != 1.5 || second[0].Interval != nil {
		t.Errorf("rewards of 3 have %+v", second)
	}
	wantLines(t, g.series("segue_feedback_mean", "segue_feedback_mean_lower", "segue_feedback_mean_upper"),
		fmt.Sprintf(`segue_feedback_mean{kind="label",model="mozart",version="1"} %v`, label.Mean),
		`segue_feedback_mean{kind="reward",model="mozart",version="1"} 0.25`,
		`segue_feedback_mean{kind="reward",model="mozart",version="2"} 1.5`,
		fmt.Sprintf(`segue_feedback_mean_lower{kind="label",model="mozart",version="1"} %v`, label.Interval.Low),
		fmt.Sprintf(`segue_feedback_mean_lower{kind="reward",model="mozart",version="1"} %v`, reward.Interval.Low),
		fmt.Sprintf(`segue_feedback_mean_upper{kind="label",model="mozart",version="1"} %v`, label.Interval.High),
		fmt.Sprintf(`segue_feedback_mean_upper{kind="reward",model="mozart",version="1"} %v`, reward.Interval.High))
	g.metrics.forget("mozart", "1")
	if left := g.metrics.quality("mozart", "1"); left != nil {
		t.Errorf("after the version was forgotten: %+v", left)
	}
	if none := g.metrics.quality("haydn", "1"); none != nil {
		t.Errorf("of a model without feedback: %+v", none)
	}
}

func TestTheStatusShowsWhatFeedbackSaysOfVersionsAndOfARollout(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a 2:b", "", `"rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 10}], "guards": {"feedback": {"kind": "label"}}}`)
	b.settle()
	if s := b.status("mozart"); s.Versions["1"].Quality != nil || s.Rollout.CanaryQuality != nil {
		t.Errorf("before any feedback: %+v %+v", s.Versions["1"].Quality, s.Rollout.CanaryQuality)
	}
	route := b.r.router.load().models["mozart"].rollout
	for n := range 40 {
		version, right := []string{"1", "2"}[n%2], n != 1
		id := predictionID{at: b.now, names: hashNames("mozart", version, ""), note: idNote{step: 1, class: 1}}
		b.r.metrics.feedbackOf("mozart").add(version, feedbackLabel, "", oneIf(right))
		route.recordFeedback(&id, &feedback{kind: feedbackLabel}, !right, oneIf(right))
		// What is of another kind is no part of what the rollout compares.
		route.recordFeedback(&id, &feedback{kind: feedbackReward, reward: 5}, false, 5)
	}
	b.after(time.Second)
	s := b.status("mozart")
	if q := s.Versions["2"].Quality; len(q) != 1 || q[0].N != 20 || q[0].Sum != 19 {
		t.Errorf("version 2 %+v", q)
	}
	if stable, canary := s.Rollout.StableQuality, s.Rollout.CanaryQuality; stable == nil || canary == nil || stable.N != 20 || stable.Sum != 20 || canary.N != 20 ||
		canary.Mean != 0.95 || !(canary.Interval.Low < 0.95 && canary.Interval.High > 0.95) || canary.Kind != configs.FeedbackLabel {
		t.Errorf("stable %+v, canary %+v", stable, canary)
	}
	if text := strings.Join(s.Rollout.Missing, "; "); !strings.Contains(text, "feedback") {
		t.Errorf("missing %q", text)
	}
}
