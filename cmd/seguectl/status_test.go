package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

func TestStatusSaysHowVersionsStand(t *testing.T) {
	t.Parallel()
	r := statusReport{Gateways: []configs.GatewayStatus{{Instance: "gw", Models: map[string]configs.ModelStatus{"mozart": {Versions: map[string]configs.VersionStatus{
		"1": {State: "Fetching", FetchedBytes: 3 << 19, SizeBytes: 40 << 20},
		"2": {State: "Fetching", FetchedBytes: 1 << 20, Attempt: 2, Reason: "connection reset"},
		"3": {State: configs.VersionFailed, Attempt: 2, Reason: "429 Too Many Requests", RetryAt: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)},
		"4": {State: configs.VersionFailed, Reason: "needs 328 MiB, 143 MiB are left of 245 MiB: it is tried again when there is room",
			Memory: &configs.MemoryStatus{Peak: 328 << 20, Held: 160 << 20}},
		"5": {State: configs.VersionReady, Memory: &configs.MemoryStatus{Peak: 328 << 20, Held: 160 << 20}, Compatibility: &configs.CompatibilityStatus{
			Than: "1", Is: configs.CompatibilityBreaking, Differences: []string{`input "x" is gone`, `output "y" is new`}}},
		"6": {State: configs.VersionReady, Compatibility: &configs.CompatibilityStatus{Than: "1", Is: configs.CompatibilitySame}},
	}}}}}}
	var text bytes.Buffer
	r.writeText(&text)
	for _, want := range []string{
		"Fetching  0%      1.5 of 40.0 MiB\n",
		"Fetching  0%      1.0 MiB; connection reset\n",
		"Failed    0%      needs 328 MiB, 143 MiB are left of 245 MiB: it is tried again when there is room\n",
		"Ready     0%      takes 160.0 MiB; breaking for callers of version 1: input \"x\" is gone, output \"y\" is new\n",
		"Ready     0%      \n",
		"Failed    0%      429 Too Many Requests; try 3 at 2026-05-04 03:02:01Z\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
}
