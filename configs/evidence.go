package configs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// EvidencePrefix is the part of the store that holds the evidence of rollouts.
const EvidencePrefix = "evidence/"

// EvidenceKept is how long evidence outlives its rollout.
const EvidenceKept = 24 * time.Hour

// MaxEvidenceBytes bounds one writer's evidence as it is stored: a transaction
// of Consul must hold it, and each gateway of the fleet reads all of it.
const MaxEvidenceBytes = 256 << 10

// Evidence is what one writer has seen of one rollout: all of it, each time it
// is written. A writer is one process of a gateway; a restart begins a new
// epoch and leaves the old one's as it is, so that nothing counts twice.
type Evidence struct {
	Model string `json:"-"`
	// Rollout is RolloutState.ID.
	Rollout string `json:"-"`
	// Epoch names the writer: instance and start, a good name by CheckName.
	Epoch string `json:"-"`
	// Index is the index in the store at which it was read or written; 0 before
	// the first write.
	Index uint64 `json:"-"`
	// At is when it was written.
	At time.Time `json:"at"`
	// Seen is the evidence itself, in the words of gateway/rollout.
	Seen json.RawMessage `json:"seen"`
}

// Key is the evidence's key in the store.
func (e Evidence) Key() string { return EvidencePrefix + e.Model + "/" + e.Rollout + "/" + e.Epoch }

// PutEvidence writes a writer's evidence over what it wrote before, and returns
// it with the new index. ErrConflict says that the key is not at e.Index: it was
// swept, or another process writes under this epoch. The caller keeps to one
// write a second.
func PutEvidence(ctx context.Context, store Store, e Evidence) (Evidence, error) {
	if _, _, _, ok := parseEvidenceKey(e.Key()); !ok {
		return e, fmt.Errorf("evidence: %q is not a key", e.Key())
	}
	value, err := json.Marshal(e)
	if err == nil && len(value) > MaxEvidenceBytes {
		err = fmt.Errorf("%d bytes, the most is %d", len(value), MaxEvidenceBytes)
	}
	if err == nil {
		e.Index, err = store.Apply(ctx, Write{Key: e.Key(), Value: value, Index: e.Index})
	}
	if err != nil {
		return e, fmt.Errorf("evidence of %s: %w", e.Model, err)
	}
	return e, nil
}

// ListEvidence returns what all writers have seen of a rollout, in order of
// their epochs. What is no evidence is left out.
func ListEvidence(ctx context.Context, store Store, model, rollout string) ([]Evidence, error) {
	return listEvidence(ctx, store, EvidencePrefix+model+"/"+rollout+"/")
}

func listEvidence(ctx context.Context, store Store, prefix string) ([]Evidence, error) {
	items, err := store.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", prefix, err)
	}
	all := make([]Evidence, 0, len(items))
	for _, item := range items {
		model, rollout, epoch, ok := parseEvidenceKey(item.Key)
		if !ok {
			continue
		}
		var e Evidence
		if json.Unmarshal(item.Value, &e) != nil || e.At.IsZero() {
			continue
		}
		e.Model, e.Rollout, e.Epoch, e.Index = model, rollout, epoch, item.Index
		all = append(all, e)
	}
	return all, nil
}

// parseEvidenceKey takes a key apart; ok is false for any other key.
func parseEvidenceKey(key string) (model, rollout, epoch string, ok bool) {
	rest, found := strings.CutPrefix(key, EvidencePrefix)
	parts := strings.Split(rest, "/")
	if !found || len(parts) != 3 {
		return "", "", "", false
	}
	for _, part := range parts {
		if CheckName(part) != nil {
			return "", "", "", false
		}
	}
	return parts[0], parts[1], parts[2], true
}

// SweepEvidence deletes evidence that was last written more than EvidenceKept
// ago, unless running says that its rollout goes on: writers stop with the
// rollout. Several gateways may sweep side by side. It returns how many keys it
// deleted.
func SweepEvidence(ctx context.Context, store Store, now time.Time, running func(model, rollout string) bool) (int, error) {
	all, err := listEvidence(ctx, store, EvidencePrefix)
	if err != nil {
		return 0, err
	}
	swept := 0
	for _, e := range all {
		if now.Sub(e.At) <= EvidenceKept || running(e.Model, e.Rollout) {
			continue
		}
		switch _, err := store.Apply(ctx, Write{Key: e.Key(), Delete: true, Index: e.Index}); {
		case err == nil:
			swept++
		case !errors.Is(err, ErrConflict): // somebody else swept it, or writes on
			return swept, fmt.Errorf("sweep %s: %w", e.Key(), err)
		}
	}
	return swept, nil
}
