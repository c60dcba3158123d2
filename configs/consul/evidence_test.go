package consul

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

func TestWritersOfEvidenceDoNotMeet(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	f, _ := open(t, agent.Addr, Options{})
	ctx, at := t.Context(), time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	const writers = 5
	for round := range 3 {
		for writer := range writers {
			e := configs.Evidence{Model: "mozart", Rollout: "abc-1", Epoch: fmt.Sprintf("gw-%d", writer), At: at, Seen: json.RawMessage(fmt.Sprint(round))}
			if item, ok, err := f.Get(ctx, e.Key()); err != nil || ok != (round > 0) {
				t.Fatalf("%s: there %v, %v", e.Key(), ok, err)
			} else if ok {
				e.Index = item.Index
			}
			written, err := configs.PutEvidence(ctx, f, e)
			if err != nil {
				t.Fatal(err)
			}
			if item, _, _ := f.Get(ctx, e.Key()); item.Index != written.Index {
				t.Errorf("%s is at %d, not at %d", e.Key(), item.Index, written.Index)
			}
			if _, err := configs.PutEvidence(ctx, f, e); !errors.Is(err, configs.ErrConflict) {
				t.Errorf("again at index %d: %v", e.Index, err)
			}
		}
	}
	all, err := configs.ListEvidence(ctx, f, "mozart", "abc-1")
	if err != nil || len(all) != writers {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, e := range all {
		if e.Epoch != fmt.Sprintf("gw-%d", i) || string(e.Seen) != "2" {
			t.Errorf("writer %d: %+v", i, e)
		}
	}
	full := configs.Evidence{Model: "mozart", Rollout: "abc-2", Epoch: "full", At: at.Add(time.Hour)}
	full.Seen = json.RawMessage(`"` + strings.Repeat("x", configs.MaxEvidenceBytes-100) + `"`)
	if _, err := configs.PutEvidence(ctx, f, full); err != nil {
		t.Errorf("the largest evidence: %v", err)
	}
	swept, err := configs.SweepEvidence(ctx, f, at.Add(configs.EvidenceKept+time.Minute), func(string, string) bool { return false })
	if err != nil || swept != writers {
		t.Errorf("%d swept, %v", swept, err)
	}
	if left, err := f.List(ctx, configs.EvidencePrefix); err != nil || len(left) != 1 {
		t.Errorf("left are %d, %v", len(left), err)
	}
}
