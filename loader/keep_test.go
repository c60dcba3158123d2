package loader

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/artifact/signing"
	"github.com/segue-serving/segue/loader/store"
)

// keeper records what it is told, and remembers pins like a cache on disk.
type keeper struct {
	mu       sync.Mutex
	kept     [][]store.Ref
	doubted  []string
	unsigned []string
	pins     map[string]string
}

func (k *keeper) Keep(refs []store.Ref) { k.kept = append(k.kept, refs) }
func (k *keeper) Doubt(path string)     { k.doubted = append(k.doubted, path) }
func (k *keeper) Unsigned(path string)  { k.unsigned = append(k.unsigned, path) }
func (k *keeper) Pin(version string, ref store.Ref, digest string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pins[version+" "+ref.URI] = digest
}
func (k *keeper) Pinned(version string, ref store.Ref) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pins[version+" "+ref.URI]
}

func TestTheCacheIsToldOfAllThatIsWantedOncePerChange(t *testing.T) {
	k := &keeper{pins: map[string]string{"mozart/2 fake:2": "sha256:pinned"}}
	simulate(t, Options{Keeper: k}, func(w *world) {
		one, two := w.version(t, "1", script{fetchTime: time.Hour}), w.version(t, "2", script{fetchTime: time.Hour})
		two.Digest = ""
		w.want(one, two)
		w.want(two, one, one)
		w.want(one)
		want := [][]string{{"fake:1 " + one.Digest, "fake:2 sha256:pinned"}, {"fake:1 " + one.Digest}}
		var got [][]string
		for _, refs := range k.kept {
			var set []string
			for _, ref := range refs {
				set = append(set, ref.URI+" "+ref.Digest)
			}
			slices.Sort(set)
			got = append(got, set)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestAVersionWithoutADigestIsPinnedAcrossRestartsByWhatServed(t *testing.T) {
	k := &keeper{pins: map[string]string{}}
	var digest string
	simulate(t, Options{Keeper: k}, func(w *world) {
		v := w.version(t, "1", script{fetchTime: time.Second, warmTime: time.Second})
		digest, v.Digest = v.Digest, ""
		w.want(v)
		w.settle(1500 * time.Millisecond)
		if got := k.Pinned("mozart/1", store.Ref{URI: "fake:1"}); got != "" {
			t.Errorf("pinned before it is ready: %s", got)
		}
		w.settle(time.Second)
		w.expect(v, StateReady)
	})
	if k.pins["mozart/1 fake:1"] != digest {
		t.Fatalf("pins are %v, want %s", k.pins, digest)
	}
	simulate(t, Options{Keeper: k}, func(w *world) {
		dir, _ := artifacttest.PackDoubler(t, "changed")
		v := w.version(t, "1", script{dir: dir})
		w.want(v)
		if s := w.expect(v, StateFailed); !strings.Contains(s.Reason, "it was "+digest+" when it was first loaded") {
			t.Errorf("got %+v", s)
		}
	})
}

func TestWhatDoesNotVerifyIsDoubted(t *testing.T) {
	k := &keeper{}
	simulate(t, Options{Keeper: k}, func(w *world) {
		dir, _ := artifacttest.PackDoubler(t, "1")
		if err := os.WriteFile(filepath.Join(dir, "model.onnx"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		v := w.version(t, "1", script{dir: dir})
		v.Digest = "sha256:" + strings.Repeat("0", 64)
		w.want(v)
		w.expect(v, StateFailed)
		if !slices.Equal(k.doubted, []string{dir}) {
			t.Errorf("doubted are %v, want %s", k.doubted, dir)
		}
	})
}

func TestAStoreIsLeftAloneForAsLongAsItAsks(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	simulate(t, Options{Metrics: NewMetrics(registry)}, func(w *world) {
		for version, asks := range map[string]time.Duration{"1": 5 * time.Minute, "2": 5 * time.Hour} {
			v := w.version(t, version, script{fetch: store.Later(fmt.Errorf("429"), asks)})
			began := time.Now()
			w.want(v)
			asks = min(asks, 10*time.Minute)
			if s := w.expect(v, StateFailed); s.RetryAt.Sub(began) != asks {
				t.Errorf("it is tried again after %s, want %s", s.RetryAt.Sub(began), asks)
			}
		}
		v := w.version(t, "3", script{fetch: fmt.Errorf("fake:3: %w: it is another", store.ErrDigest)})
		w.want(v)
		w.expect(v, StateFailed)
		want := `
# HELP segue_model_load_failures_total Tries to load a version that failed, by reason: fetch, verify, digest, unsigned, probe, crash, limit, memory, open, signature, golden or warm.
# TYPE segue_model_load_failures_total counter
segue_model_load_failures_total{model="mozart",reason="digest",version="3"} 1
segue_model_load_failures_total{model="mozart",reason="fetch",version="1"} 1
segue_model_load_failures_total{model="mozart",reason="fetch",version="2"} 1
`
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "segue_model_load_failures_total"); err != nil {
			t.Error(err)
		}
	})
}

func TestAFetchUnderWayIsAnnounced(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{fetchTime: time.Minute})
		w.want(v)
		if s := w.expect(v, StateFetching); s.Fetched != 50 || s.Size != 100 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestTheCacheIsToldOfWhatIsNotSigned(t *testing.T) {
	k := &keeper{}
	policy := signing.Policy{Required: []signing.Rule{{Where: "require_signature", Signers: []string{"release"}}}}
	simulate(t, Options{Keeper: k, Signatures: func(Wanted) signing.Policy { return policy }}, func(w *world) {
		v := w.version(t, "1", script{})
		w.want(v)
		w.expect(v, StateFailed)
		if !slices.Equal(k.unsigned, []string{w.scripts["1"].dir}) {
			t.Errorf("told of %v", k.unsigned)
		}
	})
}
