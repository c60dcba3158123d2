package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
)

// qualityAlpha is the chance that an interval misses the true mean.
const qualityAlpha = 0.05

// qualityLines say what feedback to all gateways says of each version.
func qualityLines(gateways []configs.GatewayStatus) []string {
	sums := map[string]map[string]map[string]configs.QualityStatus{} // by model, version and kind
	for _, gateway := range gateways {
		for model, m := range gateway.Models {
			for version, v := range m.Versions {
				for _, q := range v.Quality {
					if sums[model] == nil {
						sums[model] = map[string]map[string]configs.QualityStatus{}
					}
					if sums[model][version] == nil {
						sums[model][version] = map[string]configs.QualityStatus{}
					}
					sums[model][version][q.Kind] = plus(sums[model][version][q.Kind], q)
				}
			}
		}
	}
	var lines []string
	for _, model := range sortedVersions(sums) {
		for _, version := range sortedVersions(sums[model]) {
			for _, kind := range slices.Sorted(maps.Keys(sums[model][version])) {
				q := sums[model][version][kind]
				lines = append(lines, fmt.Sprintf("%s version %s: %s", model, version, qualityText(&q)))
			}
		}
	}
	return lines
}

// plus adds up what feedback to two gateways says of one version. Where one of
// them knows no interval there is none.
func plus(a, b configs.QualityStatus) configs.QualityStatus {
	if a.N == 0 {
		return b
	}
	sum := configs.QualityStatus{Kind: b.Kind, N: a.N + b.N, Sum: a.Sum + b.Sum, Spread: a.Spread + b.Spread}
	sum.Mean = sum.Sum / float64(sum.N)
	if a.Interval == nil || b.Interval == nil {
		return sum
	}
	m := rollout.Mean{N: sum.N, Sum: sum.Sum, Spread: sum.Spread}
	e := m.Bounded(qualityAlpha)
	if sum.Kind == configs.FeedbackLabel {
		e = m.Share(qualityAlpha)
	}
	sum.Interval = &configs.Interval{Low: e.Low, High: e.High}
	return sum
}

// qualityText is one of them for people: accuracy 0.81 (0.74–0.87), 152 labels.
func qualityText(q *configs.QualityStatus) string {
	if q == nil {
		return "-"
	}
	name, unit := "accuracy", "label"
	if q.Kind == configs.FeedbackReward {
		name, unit = "mean reward", "reward"
	}
	if q.N != 1 {
		unit += "s"
	}
	interval := ""
	if q.Interval != nil {
		interval = fmt.Sprintf(" (%.2f–%.2f)", q.Interval.Low, q.Interval.High)
	}
	return fmt.Sprintf("%s %.2f%s, %d %s", name, q.Mean, interval, q.N, unit)
}
