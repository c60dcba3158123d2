package configs_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

func evidenceOf(model, rollout, epoch string, at time.Time) configs.Evidence {
	return configs.Evidence{Model: model, Rollout: rollout, Epoch: epoch, At: at, Seen: json.RawMessage(`{"units":7}`)}
}

func TestEachWriterHasEvidenceOfItsOwn(t *testing.T) {
	t.Parallel()
	store, ctx, at := configstest.NewStore(), t.Context(), time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var last configs.Evidence
	for _, epoch := range []string{"b-2", "a-1", "b-1", "b-2"} {
		e := evidenceOf("mozart", "abc-1", epoch, at)
		if epoch == "b-2" {
			// Written twice, the second time with something new.
			e.Index, e.At = store.Item(e.Key()).Index, at.Add(time.Duration(store.Index())*time.Second)
		}
		var err error
		if last, err = configs.PutEvidence(ctx, store, e); err != nil {
			t.Fatal(err)
		}
	}
	if last.Index != store.Index() {
		t.Errorf("the newest is at index %d, not %d", last.Index, store.Index())
	}
	for _, other := range []configs.Evidence{evidenceOf("mozart", "abc-2", "a", at), evidenceOf("mozart2", "abc-1", "a", at)} {
		if _, err := configs.PutEvidence(ctx, store, other); err != nil {
			t.Fatal(err)
		}
	}
	store.Set("evidence/mozart/abc-1/broken", "{")
	store.Set("evidence/mozart/abc-1/a/b", `{"at":"2026-05-01T12:00:00Z","seen":{}}`)
	all, err := configs.ListEvidence(ctx, store, "mozart", "abc-1")
	if err != nil {
		t.Fatal(err)
	}
	var epochs []string
	for _, e := range all {
		epochs = append(epochs, e.Epoch)
		if string(e.Seen) != `{"units":7}` || e.At.Before(at) || e.Index == 0 || e.Model != "mozart" || e.Rollout != "abc-1" {
			t.Errorf("got %+v", e)
		}
	}
	if !slices.Equal(epochs, []string{"a-1", "b-1", "b-2"}) {
		t.Errorf("evidence of %q", epochs)
	}
}

func TestEvidenceOfAnotherProcessIsNotOverwritten(t *testing.T) {
	t.Parallel()
	store, at := configstest.NewStore(), time.Unix(1, 0)
	if _, err := configs.PutEvidence(t.Context(), store, evidenceOf("m", "r", "e", at)); err != nil {
		t.Fatal(err)
	}
	if _, err := configs.PutEvidence(t.Context(), store, evidenceOf("m", "r", "e", at)); !errors.Is(err, configs.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

func TestEvidenceThatCannotBeStoredIsRefused(t *testing.T) {
	t.Parallel()
	at := time.Unix(1, 0)
	long := evidenceOf("m", "r", "e", at)
	long.Seen = json.RawMessage(`"` + strings.Repeat("x", configs.MaxEvidenceBytes) + `"`)
	for _, e := range []configs.Evidence{evidenceOf("", "r", "e", at), evidenceOf("m", "r/s", "e", at), evidenceOf("m", "r", "..", at), long} {
		store := configstest.NewStore()
		if _, err := configs.PutEvidence(t.Context(), store, e); err == nil || len(store.Keys()) > 0 {
			t.Errorf("%.60q: %v", e.Key(), err)
		}
	}
}

func TestEvidenceIsSweptADayAfterItsRollout(t *testing.T) {
	t.Parallel()
	store, now := configstest.NewStore(), time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, e := range []configs.Evidence{
		evidenceOf("mozart", "running", "old", now.Add(-30*24*time.Hour)),
		evidenceOf("mozart", "ended", "old", now.Add(-configs.EvidenceKept-time.Second)),
		evidenceOf("mozart", "ended", "older", now.Add(-48*time.Hour)),
		evidenceOf("mozart", "ended", "new", now.Add(-configs.EvidenceKept)),
		evidenceOf("gone", "running", "old", now.Add(-48*time.Hour)),
	} {
		if _, err := configs.PutEvidence(t.Context(), store, e); err != nil {
			t.Fatal(err)
		}
	}
	// Another gateway sweeps one of them first.
	store.BeforeApply(func() { store.Delete("evidence/gone/running/old") })
	swept, err := configs.SweepEvidence(t.Context(), store, now, func(model, rollout string) bool { return model == "mozart" && rollout == "running" })
	if err != nil || swept != 2 {
		t.Errorf("%d swept, %v", swept, err)
	}
	left := store.Keys()
	if !slices.Equal(left, []string{"evidence/mozart/ended/new", "evidence/mozart/running/old"}) {
		t.Errorf("left are %q", left)
	}
}
