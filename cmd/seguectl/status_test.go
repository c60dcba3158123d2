package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

func TestStatusSaysHowFarAVersionIsAndWhenItIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := statusReport{Gateways: []configs.GatewayStatus{{Instance: "gw", Models: map[string]configs.ModelStatus{"mozart": {Versions: map[string]configs.VersionStatus{
		"1": {State: "Fetching", FetchedBytes: 3 << 19, SizeBytes: 40 << 20},
		"2": {State: "Fetching", FetchedBytes: 1 << 20, Attempt: 2, Reason: "connection reset"},
		"3": {State: configs.VersionFailed, Attempt: 2, Reason: "429 Too Many Requests", RetryAt: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)},
	}}}}}}
	var text bytes.Buffer
	r.writeText(&text)
	for _, want := range []string{
		"Fetching  0%      1.5 of 40.0 MiB\n",
		"Fetching  0%      1.0 MiB; connection reset\n",
		"Failed    0%      429 Too Many Requests; try 3 at 2026-05-04 03:02:01Z\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
}
