package configs_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// fleetStatus is the status of a gateway with many models, every tenth of
// which has a document that is refused.
func fleetStatus(models, reasonLength int) configs.GatewayStatus {
	since := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	s := configs.GatewayStatus{
		Instance: "gw-1", Version: "v1.0.0", At: since, Ready: true,
		Config: configs.ConfigStatus{Connected: true, SentinelPresent: true, Index: 42},
		Models: map[string]configs.ModelStatus{},
	}
	for i := range models {
		digest := configs.EntryDigest(fmt.Append(nil, i))
		m := configs.ModelStatus{
			WantedIndex: 41, Index: 41, WantedDigest: digest, Digest: digest,
			Weights: map[string]float64{"1": .9, "2": .1},
			Versions: map[string]configs.VersionStatus{
				"1": {State: configs.VersionReady, Digest: digest, Since: since},
				"2": {State: configs.VersionFailed, Reason: strings.Repeat("é", reasonLength), Since: since},
			},
		}
		if i%10 == 0 {
			m.WantedDigest = configs.EntryDigest([]byte("newer"))
			m.Rejected = []string{"a", "b", "c", "d", "e"}
		}
		if i%4 == 0 {
			m.Rollout = &configs.RolloutStatus{ID: "abc-1", Stable: "1", Canary: "2", Phase: configs.PhaseStep, Steps: 3, Weight: 5, Since: since,
				Guards: []configs.GuardEvidence{{Name: "errors", LnE: 1.25, Threshold: 5.3, Units: 300}}, Missing: []string{"10m of min_time", "errors: 40 units"}}
		}
		if i%8 == 0 {
			m.Rollout.Phase = configs.PhaseRolledBack
		}
		s.Models[fmt.Sprintf("model-%04d", i)] = m
	}
	return s
}

func TestAStatusThatFitsComesBackWhole(t *testing.T) {
	t.Parallel()
	status := fleetStatus(10, 300)
	value, err := status.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := configs.ParseStatus(value)
	if err != nil || !reflect.DeepEqual(back, status) {
		t.Errorf("status comes back as\n%+v, %v\nwant\n%+v", back, err, status)
	}
}

func TestAStatusNeverOutgrowsItsLimitAndKeepsTrouble(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ models, reason, least int }{
		{12, 2000, 12}, {40, 10, 40}, {70, 200, 70}, {110, 10, 100}, {200, 10, 90}, {2000, 0, 50},
	} {
		status := fleetStatus(c.models, c.reason)
		before := len(status.Models)
		value, err := status.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := configs.ParseStatus(value)
		if err != nil {
			t.Fatal(err)
		}
		if len(value) > configs.MaxStatusBytes || !back.Truncated {
			t.Errorf("%d models: %d bytes, truncated %v", c.models, len(value), back.Truncated)
		}
		if len(back.Models) < c.least {
			t.Errorf("%d models: %d are left, want at least %d", c.models, len(back.Models), c.least)
		}
		refused := 0
		for name, m := range back.Models {
			whole := status.Models[name]
			if !m.Wants(whole.WantedDigest) || !m.Enforces(whole.Digest) || m.Index != whole.Index {
				t.Errorf("%d models: %s is no longer told what is in force: %+v", c.models, name, m)
			}
			if len(m.Rejected) > 0 {
				refused++
			}
			if r := whole.Rollout; r != nil && r.Phase == configs.PhaseStep && (m.Rollout == nil || m.Rollout.ID != r.ID || m.Rollout.Weight != r.Weight) {
				t.Errorf("%d models: the rollout of %s is no longer told: %+v", c.models, name, m.Rollout)
			}
		}
		if want := min((c.models+9)/10, 50); refused < want {
			t.Errorf("%d models: %d of those in trouble are left, want at least %d", c.models, refused, want)
		}
		if len(status.Models) != before || status.Truncated || status.Models["model-0001"].Weights == nil {
			t.Errorf("%d models: Encode changed what it encoded", c.models)
		}
	}
}

func TestDigestsAreComparedWholeOrCut(t *testing.T) {
	t.Parallel()
	one, two := configs.EntryDigest([]byte("one")), configs.EntryDigest([]byte("two"))
	cut := one[:len("sha256:")+16]
	for _, c := range []struct {
		published, digest string
		want              bool
	}{
		{one, one, true}, {one, two, false}, {cut, one, true}, {cut, two, false}, {"", one, false},
		{"sha256:", one, false}, {one[:30], one, false}, {"", "", true},
	} {
		m := configs.ModelStatus{Digest: c.published, WantedDigest: c.published}
		if m.Enforces(c.digest) != c.want || m.Wants(c.digest) != c.want {
			t.Errorf("%q against %q: %v, %v, want %v", c.published, c.digest, m.Enforces(c.digest), m.Wants(c.digest), c.want)
		}
	}
}

func TestAnOlderToolReadsANewerGateway(t *testing.T) {
	t.Parallel()
	status, err := configs.ParseStatus([]byte(`{"instance": "gw-1", "mood": "good", "models": {"mozart": {"index": 7, "phase": 3}}}`))
	if err != nil || status.Models["mozart"].Index != 7 {
		t.Errorf("%+v, %v", status, err)
	}
	if _, err := configs.ParseStatus([]byte("no status")); err == nil {
		t.Error("what is no status is taken for one")
	}
}
