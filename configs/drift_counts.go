package configs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// DriftPrefix is the part of the store that holds what gateways have counted
// for drift, drift/<model>/<writer epoch>, and what came of it,
// drift/<model>/report.
const DriftPrefix = "drift/"

// driftReportName ends the key of a model's report. No epoch is called so.
const driftReportName = "report"

// MaxDriftBytes bounds one writer's counts, and a report, as they are stored: a
// transaction of Consul must hold them.
const MaxDriftBytes = 480 << 10

// DriftCounts are what one writer has counted of one model since the windows of
// its streams began: all of it, each time it is written. A writer is one process
// of a gateway; a restart begins a new epoch and leaves the old one's as it is,
// so that nothing counts twice.
type DriftCounts struct {
	Model string `json:"-"`
	// Epoch names the writer: instance and start, a good name by CheckName.
	Epoch string `json:"-"`
	// Index is the index in the store at which it was read or written; 0 before
	// the first write.
	Index uint64 `json:"-"`
	// Instance is the name of the gateway.
	Instance string `json:"instance"`
	// At is when it was written.
	At time.Time `json:"at"`
	// Streams are what is judged, one by one.
	Streams []DriftStream `json:"streams"`
}

// DriftStream is a writer's part of one window, in the words of package drift.
type DriftStream struct {
	// Name is what is compared: DriftStreamOf, or DriftControl.
	Name string `json:"name"`
	// Window is the number of the window that the counts are of.
	Window uint64 `json:"window"`
	// Counts are encoded windows by version.
	Counts map[string][]byte `json:"counts"`
	// LastWeek is the encoded window of the same hours a week ago, Day that of
	// the last 24 hours; empty where there are none.
	LastWeek []byte `json:"last_week,omitempty"`
	Day      []byte `json:"day,omitempty"`
}

// DriftControl is the name of the stream in which a canary is compared with its
// stable version.
const DriftControl = "control"

// DriftStreamOf is the name of the stream in which a version is compared with
// its profile and with last week.
func DriftStreamOf(version string) string { return "version/" + version }

// Key is the counts' key in the store.
func (c DriftCounts) Key() string { return DriftPrefix + c.Model + "/" + c.Epoch }

// PutDriftCounts writes a writer's counts over what it wrote before, and returns
// them with the new index. ErrConflict says that the key is not at c.Index: it
// was swept, or another process writes under this epoch.
func PutDriftCounts(ctx context.Context, store Store, c DriftCounts) (DriftCounts, error) {
	index, err := putDrift(ctx, store, c.Key(), c, c.Index)
	if err != nil {
		return c, fmt.Errorf("drift counts of %s: %w", c.Model, err)
	}
	c.Index = index
	return c, nil
}

func putDrift(ctx context.Context, store Store, key string, content any, index uint64) (uint64, error) {
	if _, _, ok := parseDriftKey(key); !ok {
		return 0, fmt.Errorf("%q is not a key", key)
	}
	value, err := json.Marshal(content)
	if err != nil {
		return 0, err
	}
	if len(value) > MaxDriftBytes {
		return 0, fmt.Errorf("%d bytes, the most is %d: leave features out", len(value), MaxDriftBytes)
	}
	return store.Apply(ctx, Write{Key: key, Value: value, Index: index})
}

// ListDrift returns what all writers have counted of a model, in order of their
// epochs, and the report, nil where there is none yet. What is neither is left
// out.
func ListDrift(ctx context.Context, store Store, model string) ([]DriftCounts, *DriftReport, error) {
	items, err := store.List(ctx, DriftPrefix+model+"/")
	if err != nil {
		return nil, nil, fmt.Errorf("list drift of %s: %w", model, err)
	}
	var all []DriftCounts
	var report *DriftReport
	for _, item := range items {
		of, name, ok := parseDriftKey(item.Key)
		if !ok || of != model {
			continue
		}
		if name == driftReportName {
			report = parseDriftReport(item, model)
			continue
		}
		var c DriftCounts
		if json.Unmarshal(item.Value, &c) != nil || c.At.IsZero() {
			continue
		}
		c.Model, c.Epoch, c.Index = model, name, item.Index
		all = append(all, c)
	}
	return all, report, nil
}

// DeleteDrift removes a writer's counts, or a report, that was read at an
// index. Somebody else's newer write is left alone.
func DeleteDrift(ctx context.Context, store Store, key string, index uint64) error {
	_, err := store.Apply(ctx, Write{Key: key, Delete: true, Index: index})
	if errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// SweepDrift deletes what is stored for models that are not compared any more,
// as compared says, once it is older than a day: a gateway that does not know of
// a new document yet must not take its counts away. It returns how many keys it
// deleted.
func SweepDrift(ctx context.Context, store Store, now time.Time, compared func(model string) bool) (int, error) {
	items, err := store.List(ctx, DriftPrefix)
	if err != nil {
		return 0, fmt.Errorf("list %s: %w", DriftPrefix, err)
	}
	swept := 0
	for _, item := range items {
		model, _, ok := parseDriftKey(item.Key)
		var written struct {
			At time.Time `json:"at"`
		}
		if !ok || compared(model) || json.Unmarshal(item.Value, &written) == nil && now.Sub(written.At) < driftKept {
			continue
		}
		if err := DeleteDrift(ctx, store, item.Key, item.Index); err != nil {
			return swept, fmt.Errorf("sweep %s: %w", item.Key, err)
		}
		swept++
	}
	return swept, nil
}

// driftKept is how long counts outlive the comparison of their model.
const driftKept = 24 * time.Hour

// parseDriftKey takes a key apart; ok is false for any other key.
func parseDriftKey(key string) (model, name string, ok bool) {
	rest, found := strings.CutPrefix(key, DriftPrefix)
	model, name, both := strings.Cut(rest, "/")
	if !found || !both || CheckName(model) != nil || CheckName(name) != nil {
		return "", "", false
	}
	return model, name, true
}
