package file

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// The rollout of one process has its evidence in the state folder, where a
// restart finds it.
func TestEvidenceLiesInTheStateFolder(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	for _, folder := range []string{state, ""} {
		f, _ := open(t, dir, folder)
		e := configs.Evidence{Model: "mozart", Rollout: "abc-1", Epoch: "gw-1", At: time.Unix(1_800_000_000, 0).UTC()}
		for _, seen := range []string{`{"units":1}`, `{"units":2}`, `{"units":2}`, `{"units":3}`} {
			e.Seen = json.RawMessage(seen)
			var err error
			e, err = configs.PutEvidence(bg, f, e)
			ok(t, err)
		}
		stale := e
		stale.Index++
		if _, err := configs.PutEvidence(bg, f, stale); !errors.Is(err, configs.ErrConflict) {
			t.Errorf("over another index: %v", err)
		}
		if folder != "" {
			f, _ = open(t, dir, folder) // a restart
		}
		all, err := configs.ListEvidence(bg, f, "mozart", "abc-1")
		ok(t, err)
		if len(all) != 1 || string(all[0].Seen) != `{"units":3}` || all[0].Index != e.Index {
			t.Fatalf("in %q: %+v", folder, all)
		}
		if _, err := f.Apply(bg); err == nil {
			t.Error("no write at all was applied")
		}
		swept, err := configs.SweepEvidence(bg, f, e.At.Add(configs.EvidenceKept+time.Second), func(string, string) bool { return false })
		ok(t, err)
		if all, _ := configs.ListEvidence(bg, f, "mozart", "abc-1"); swept != 1 || len(all) != 0 {
			t.Errorf("%d swept, left are %+v", swept, all)
		}
	}
}
