package store_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/segue-serving/segue/loader/store"
)

func files() *store.Registry {
	return store.NewRegistry(map[string]store.Store{"file": store.File{}}, nil)
}

func TestFilePathsCountFromTheBase(t *testing.T) {
	base := t.TempDir()
	model := filepath.Join(base, "models", "mozart", "1")
	if err := os.MkdirAll(model, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{
		"file:models/mozart/1", "file:./models/mozart/1/", "FILE:models/mozart/1", "file:models/../models/mozart/1",
		"file:" + model, "file://" + model, "file://localhost" + model,
	} {
		path, release, err := files().Fetch(t.Context(), store.Ref{URI: uri, Base: base}, nil)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if path != model {
			t.Errorf("%s: got %s, want %s", uri, path, model)
		}
		release()
	}
}

func TestErrorsTellWhatMayPass(t *testing.T) {
	base := t.TempDir()
	for _, c := range []struct {
		ref       store.Ref
		want      string
		permanent bool
	}{
		{store.Ref{URI: "file:models/7", Base: base}, "file:models/7: there is no such folder or file", false},
		{store.Ref{URI: "models/7", Base: base}, `"models/7" names no scheme; a folder of this machine is written file:PATH`, true},
		{store.Ref{URI: "a b:c"}, "names no scheme", true},
		{store.Ref{URI: "s3://bucket/key"}, `s3://bucket/key: no store of scheme "s3"; there is file`, true},
		{store.Ref{URI: "file:models/7"}, "file:models/7: there is no such folder or file", false},
		{store.Ref{URI: "file://host/share"}, `names the machine "host"`, true},
		{store.Ref{URI: "file:", Base: base}, "names no folder", true},
		{store.Ref{URI: "file:///", Base: base}, "names no folder", true},
	} {
		_, _, err := files().Fetch(t.Context(), c.ref, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s…", c.ref.URI, err, c.want)
			continue
		}
		if store.IsPermanent(err) != c.permanent {
			t.Errorf("%s: permanent is %t", c.ref.URI, !c.permanent)
		}
		if strings.Contains(err.Error(), base) {
			t.Errorf("%v shows more of the path than was written", err)
		}
	}
	_, _, err := files().Fetch(t.Context(), store.Ref{URI: "file:models/7", Base: base}, nil)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not recognised as missing", err)
	}
}

func TestACancelledFetchSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := files().Fetch(ctx, store.Ref{URI: "file:" + t.TempDir()}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
}

// remote stands for a store that transfers, or has a copy here.
type remote struct {
	metrics *store.Metrics
	cached  bool
	err     error
}

func (r remote) Fetch(context.Context, store.Ref, store.Progress) (string, func(), error) {
	panic("FetchCached is there")
}

func (r remote) FetchCached(_ context.Context, _ store.Ref, progress store.Progress) (string, func(), bool, error) {
	if !r.cached {
		progress(400, 1000)
		progress(1000, 1000)
		r.metrics.Received(1000)
	}
	return "dir", func() {}, r.cached, r.err
}

func TestFetchesAreCountedByOutcome(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	metrics := store.NewMetrics(registry)
	stores := store.NewRegistry(map[string]store.Store{
		"file": store.File{}, "good": remote{metrics: metrics}, "kept": remote{metrics: metrics, cached: true},
		"bad": remote{metrics: metrics, err: errors.New("503")}, "wrong": remote{metrics: metrics, err: store.Permanent(errors.New("403"))},
	}, metrics)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	var seen []int64
	for _, uri := range []string{"file:" + t.TempDir(), "good:x", "good:y", "kept:x", "bad:x", "wrong:x"} {
		_, _, _ = stores.Fetch(t.Context(), store.Ref{URI: uri}, func(done, total int64) { seen = append(seen, done, total) })
	}
	_, _, _ = stores.Fetch(cancelled, store.Ref{URI: "file:/x"}, nil)
	if len(seen) != 16 || seen[0] != 400 || seen[3] != 1000 {
		t.Errorf("progress was %v", seen)
	}
	want := `
# HELP segue_artifact_fetch_bytes_total Bytes that stores transferred to this machine, also those of transfers that failed; artifacts served in place or from the cache count for none.
# TYPE segue_artifact_fetch_bytes_total counter
segue_artifact_fetch_bytes_total 4000
# HELP segue_artifact_fetches_total Artifacts asked for at a store, by scheme and by outcome: ok, cached (found on this machine, nothing was transferred), error, permanent_error or cancelled.
# TYPE segue_artifact_fetches_total counter
segue_artifact_fetches_total{outcome="cached",scheme="kept"} 1
segue_artifact_fetches_total{outcome="cancelled",scheme="file"} 1
segue_artifact_fetches_total{outcome="error",scheme="bad"} 1
segue_artifact_fetches_total{outcome="ok",scheme="file"} 1
segue_artifact_fetches_total{outcome="ok",scheme="good"} 2
segue_artifact_fetches_total{outcome="permanent_error",scheme="wrong"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
