package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/segue-serving/segue/configs"
)

func TestFeedbackOfAllGatewaysIsOneEstimate(t *testing.T) {
	t.Parallel()
	some := &configs.Interval{Low: 0, High: 1}
	gateway := func(name string, versions map[string]configs.VersionStatus) configs.GatewayStatus {
		return configs.GatewayStatus{Instance: name, Models: map[string]configs.ModelStatus{"mozart": {Versions: versions}}}
	}
	label := func(n uint64, sum float64) configs.QualityStatus {
		return configs.QualityStatus{Kind: configs.FeedbackLabel, N: n, Sum: sum, Mean: sum / float64(n), Interval: some}
	}
	reward := func(n uint64, sum, spread float64, interval *configs.Interval) configs.QualityStatus {
		return configs.QualityStatus{Kind: configs.FeedbackReward, N: n, Sum: sum, Mean: sum / float64(n), Spread: spread, Interval: interval}
	}
	r := statusReport{Gateways: []configs.GatewayStatus{
		gateway("gw-1", map[string]configs.VersionStatus{"1": {Quality: []configs.QualityStatus{label(100, 81), reward(400, 100, 20, some)}}, "2": {Quality: []configs.QualityStatus{reward(1, 7, 1, nil)}}}),
		gateway("gw-2", map[string]configs.VersionStatus{"1": {Quality: []configs.QualityStatus{label(52, 40), reward(400, 100, 20, some)}}, "2": {Quality: []configs.QualityStatus{reward(1, 1, 0.25, some)}}}),
		gateway("gw-3", map[string]configs.VersionStatus{"1": {}}),
	}}
	r.Rollouts = []rolloutView{{Model: "mozart", RolloutStatus: configs.RolloutStatus{Stable: "1", Canary: "2", StableQuality: &r.Gateways[0].Models["mozart"].Versions["1"].Quality[0]}}}
	var text bytes.Buffer
	r.writeText(&text)
	for _, want := range []string{
		"\nmozart version 1: accuracy 0.80 (0.68–0.89), 152 labels\n",
		"\nmozart version 1: mean reward 0.25 (0.21–0.29), 800 rewards\n",
		"\nmozart version 2: mean reward 4.00, 2 rewards\n",
		"\n  feedback: stable accuracy 0.81 (0.00–1.00), 100 labels; canary -\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
}
