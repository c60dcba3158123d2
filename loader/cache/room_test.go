package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/storetest"
)

// sized is an artifact in the shop that takes about n MiB.
func sized(t testing.TB, s *shop, name string, n int) store.Ref {
	t.Helper()
	dir, digest := packed(t, name, map[string][]byte{"weights.bin": noise(n<<20, name[0])})
	s.put(t, name, dir)
	return store.Ref{URI: "shop:" + name, Digest: digest}
}

func has(c *Cache, refs ...store.Ref) string {
	var out []string
	for _, ref := range refs {
		if c.has(ref.Digest) {
			out = append(out, strings.TrimPrefix(ref.URI, "shop:"))
		}
	}
	return strings.Join(out, " ")
}

func TestWhatWasUsedLongestAgoMakesRoom(t *testing.T) {
	s, dir := newShop(), t.TempDir()
	a, b, x, y, z := sized(t, s, "a", 3), sized(t, s, "b", 3), sized(t, s, "x", 3), sized(t, s, "y", 3), sized(t, s, "z", 3)
	c := open(t, dir, 10<<20)
	for _, ref := range []store.Ref{a, b, x, a} {
		_, release := fetch(t, c, s, ref)
		release()
	}
	_, release := fetch(t, c, s, y)
	if got := has(c, a, b, x, y); got != "a x y" {
		t.Errorf("left are %q", got)
	}
	// What is in use stays, by another cache too.
	_, busy := fetch(t, open(t, dir, 10<<20), s, x)
	_, also := fetch(t, c, s, z)
	if got := has(c, a, x, y, z); got != "x y z" {
		t.Errorf("left are %q", got)
	}
	_, _, err := c.Store(s).Fetch(t.Context(), b, nil)
	if err == nil || !strings.Contains(err.Error(), "shop:b: the artifact takes 3.0 MiB (") ||
		!strings.Contains(err.Error(), "and of the 10.0 MiB (10485760 bytes) that the cache may take (--cache-size) 9.0 MiB (") || store.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	tidy(t, dir)
	if got := c.Bytes(); got < 9<<20 || got > 10<<20 {
		t.Errorf("it says %d bytes", got)
	}
	busy()
	release()
	_, last := fetch(t, c, s, b)
	last()
	also()
	if got := has(c, b, x, y, z); got != "b y z" && got != "b x z" {
		t.Errorf("left are %q", got)
	}
}

func TestWhatIsKeptMakesNoRoom(t *testing.T) {
	s, dir := newShop(), t.TempDir()
	a, b, x := sized(t, s, "a", 3), sized(t, s, "b", 3), sized(t, s, "x", 3)
	c, other := open(t, dir, 7<<20), open(t, dir, 7<<20)
	withoutDigest := store.Ref{URI: a.URI}
	c.Keep([]store.Ref{withoutDigest, b})
	for _, ref := range []store.Ref{withoutDigest, b} { // kept from when they are there
		_, release := fetch(t, c, s, ref)
		release()
	}
	for _, any := range []*Cache{c, other} {
		if _, _, err := any.Store(s).Fetch(t.Context(), x, nil); err == nil || !strings.Contains(err.Error(), "are in use or kept") {
			t.Errorf("got %v", err)
		}
	}
	if got := has(c, a, b, x); got != "a b" {
		t.Errorf("left are %q", got)
	}
	c.Keep([]store.Ref{b, x})
	_, release := fetch(t, other, s, x)
	release()
	if got := has(c, a, b, x); got != "b x" {
		t.Errorf("left are %q", got)
	}
	tidy(t, dir)
}

func TestAnArtifactLargerThanTheCacheIsRefusedBeforeItIsFetched(t *testing.T) {
	s, dir := newShop(), t.TempDir()
	a := sized(t, s, "a", 3)
	_, _, err := open(t, dir, 2<<20).Store(s).Fetch(t.Context(), a, nil)
	if !store.IsPermanent(err) || !strings.Contains(err.Error(), "and the whole cache may take 2.0 MiB (2097152 bytes) (--cache-size)") {
		t.Errorf("got %v", err)
	}
	if reads := strings.Join(s.reads, " "); reads != "manifest.json" {
		t.Errorf("read were %s", reads)
	}
	tidy(t, dir)
}

func TestTheMetricIsWhatLiesThere(t *testing.T) {
	s := newShop()
	c := open(t, t.TempDir(), plenty)
	registry := prometheus.NewPedanticRegistry()
	c.Register(registry)
	_, release := fetch(t, c, s, sized(t, s, "a", 3))
	defer release()
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(families, err)
	}
	if got := families[0].GetMetric()[0].GetGauge().GetValue(); families[0].GetName() != "segue_artifact_cache_bytes" || got < 3<<20 || got > 3<<20+5*blockSize {
		t.Errorf("%s is %g", families[0].GetName(), got)
	}
}

func TestAFullDiskFailsTheNewVersionOnly(t *testing.T) {
	storetest.OnDisk(t, 8<<20, func(disk string) { fullDisk(t, disk) })
}

func fullDisk(t *testing.T, disk string) {
	dir := filepath.Join(disk, "artifacts")
	s := newShop()
	a, b := sized(t, s, "a", 3), sized(t, s, "b", 3)
	c := open(t, dir, plenty)
	path, release := fetch(t, c, s, a)
	defer release()

	// It is seen before the download begins.
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, noise(3<<20, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.Store(s).Fetch(t.Context(), b, nil)
	if err == nil || store.IsPermanent(err) || !strings.Contains(err.Error(), "shop:b: disk full: no room on the disk: 3.0 MiB (") || !strings.Contains(err.Error(), " are to come, and the disk has ") {
		t.Errorf("got %v", err)
	}
	tidy(t, dir)

	// Somebody else fills the disk in the middle of it.
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	filled := false
	_, _, err = c.Store(s).Fetch(t.Context(), b, func(done, total int64) {
		if done > total/3 && !filled {
			filled = true
			if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("the disk is not full: %v", err)
			}
		}
	})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "shop:b: disk full: weights.bin: no space left on device") {
		t.Errorf("got %v", err)
	}
	tidy(t, dir)
	verified(t, path, a.Digest)

	// With room again it loads.
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	path, also := fetch(t, c, s, b)
	defer also()
	verified(t, path, b.Digest)

	// What is not used makes room on the disk too.
	also()
	_, third := fetch(t, c, s, sized(t, s, "z", 3))
	third()
	if got := has(c, a, b); got != "a" {
		t.Errorf("left are %q", got)
	}
}

func TestACacheThatCannotBeWrittenIsAmongTheTemporaryFiles(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", filepath.Join(file, "artifacts")} {
		c, err := Open(dir, plenty, Options{})
		if err != nil || filepath.Dir(c.Dir()) != temporary {
			t.Fatalf("%v %v", c, err)
		}
	}
	// Not in a folder that somebody else made there.
	own := filepath.Join(temporary, fmt.Sprintf("segue-artifacts-%d", os.Getuid()))
	if err := os.Chmod(own, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("", plenty, Options{}); err == nil || !strings.Contains(err.Error(), "not this user's own") {
		t.Errorf("got %v", err)
	}
}

func TestManyWhoWantTheSameFetchItOnce(t *testing.T) {
	s, dir := newShop(), t.TempDir()
	caches := []*Cache{open(t, dir, plenty), open(t, dir, plenty)}
	for round := range 30 {
		name := fmt.Sprint(round)
		source, digest := packed(t, name, map[string][]byte{"own/weights.bin": noise(50_000, byte(round))})
		s.put(t, name, source)
		asked := len(s.reads)
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				path, release, err := caches[i%2].Store(s).Fetch(t.Context(), store.Ref{URI: "shop:" + name, Digest: digest}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer release()
				if a, err := artifact.Verify(t.Context(), path); err != nil || a.Digest != digest {
					t.Errorf("%v %v", a, err)
				}
			})
		}
		wg.Wait()
		models := 0
		for _, read := range s.reads[asked:] {
			if read == "model.onnx" {
				models++
			}
		}
		if models != 1 {
			t.Errorf("the model was read %d times", models)
		}
	}
	tidy(t, dir)
}
