package main

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

// shelf is a server of artifacts over plain HTTP, slow enough to be watched,
// and now and then away.
type shelf struct {
	*httptest.Server
	dir  string
	away atomic.Int32 // one of the kinds of being away
	done chan struct{}
}

// The kinds of being away.
const (
	here = iota
	resets
	fails
	hangs
	kindsOfAway
)

func newShelf(t testing.TB, dir string) *shelf {
	t.Helper()
	s := &shelf{dir: dir, done: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		close(s.done)
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch s.away.Load() {
	case resets:
		panic(http.ErrAbortHandler)
	case fails:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case hangs:
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
	default:
		http.FileServer(http.Dir(s.dir)).ServeHTTP(&slowWriter{ResponseWriter: w, s: s}, r)
	}
}

// slowWriter sends some 10 MiB a second, until the server is away.
type slowWriter struct {
	http.ResponseWriter
	s *shelf
}

func (w *slowWriter) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		if w.s.away.Load() != here {
			panic(http.ErrAbortHandler)
		}
		n, err := w.ResponseWriter.Write(p[:min(len(p), 32<<10)])
		written, p = written+n, p[n:]
		if err != nil {
			return written, err
		}
		time.Sleep(3 * time.Millisecond)
	}
	return written, nil
}

// crashes is a gateway that is killed and started again on one state folder,
// with a model whose versions come from a shelf.
type crashes struct {
	t      *testing.T
	shelf  *shelf
	config string // the folder of documents
	state  string
	gw     *seguetest.Gateway
	golden map[string]seguetest.Golden // by version
	digest map[string]string           // by version
	next   int

	killed    atomic.Bool
	wrong     atomic.Int64
	answered  atomic.Int64
	firstFail atomic.Pointer[string]
}

// artifactsOnShelf is how many versions there are, of which the cache has room
// for four.
const artifactsOnShelf = 8

func newCrashes(t *testing.T) *crashes {
	t.Helper()
	c := &crashes{t: t, config: t.TempDir(), state: t.TempDir(), golden: map[string]seguetest.Golden{}, digest: map[string]string{}}
	dir := t.TempDir()
	shared := make([]byte, 200<<10) // in all of them, so that it is copied within the cache
	for i := range artifactsOnShelf {
		version := fmt.Sprint(i)
		from := filepath.Join(quickstart, "models", "mozart", fmt.Sprint(i%2+1))
		to := filepath.Join(dir, version)
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		own := make([]byte, 1<<20)
		for j := range own {
			own[j] = byte(rand.Uint32())
		}
		for name, body := range map[string][]byte{"own.bin": own, "shared.bin": shared} {
			if err := os.WriteFile(filepath.Join(to, name), body, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c.digest[version] = relist(t, to)
		c.golden[version] = seguetest.Goldens(t, manifestOf(t, "mozart", fmt.Sprint(i%2+1)))[0]
	}
	c.shelf = newShelf(t, dir)
	return c
}

// relist writes the manifest of a folder anew, with all files of it listed.
func relist(t testing.TB, dir string) (digest string) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, artifact.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	m, err := artifact.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"own.bin", "shared.bin"} {
		body, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		m.Files = append(m.Files, artifacttest.List(map[string][]byte{name: body})...)
	}
	if digest, err = artifact.Write(dir, m); err != nil {
		t.Fatal(err)
	}
	return digest
}

// write puts a document in force whose traffic goes to the next version, beside
// the one before it. Every other version is named without its digest.
func (c *crashes) write() (version string) {
	c.t.Helper()
	before, version := fmt.Sprint(c.next%artifactsOnShelf), fmt.Sprint((c.next+1)%artifactsOnShelf)
	c.next++
	var text strings.Builder
	fmt.Fprintf(&text, "model: mozart\nversions:\n")
	for _, v := range []string{before, version} {
		digest := ""
		if v[0]%2 == 0 {
			digest = fmt.Sprintf(", digest: %q", c.digest[v])
		}
		fmt.Fprintf(&text, "  %q: {uri: %q%s}\n", v, c.shelf.URL+"/"+v, digest)
	}
	fmt.Fprintf(&text, "traffic: {weights: {%q: 0, %q: 100}}\n", before, version)
	path := filepath.Join(c.config, "mozart.yaml")
	err := os.WriteFile(path+".tmp", []byte(text.String()), 0o600)
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return version
}

func (c *crashes) start() {
	c.t.Helper()
	c.killed.Store(false)
	c.gw = seguetest.Start(c.t, seguetest.Config{
		Source: "file:" + c.config, StateDir: c.state, NotReady: true,
		Args: []string{"--cache-size", "6MiB", "--artifact-hosts", "127.0.0.0/8"}, Env: []string{"SEGUE_LOG_LEVEL=debug"},
	})
}

// ask makes one prediction, which must be right for the version that says it
// made it.
func (c *crashes) ask() (answered bool, err error) {
	body := c.golden["0"].Request(c.t)
	a, err := seguetest.Do(http.MethodPost, c.gw.URL+"/v2/models/mozart/infer", body, nil)
	if err != nil || a.Code != http.StatusOK {
		return false, fmt.Errorf("%d %s %w", a.Code, a.Body, err)
	}
	return true, c.right(a)
}

func (c *crashes) right(a seguetest.Answer) error {
	golden, ok := c.golden[a.Version()]
	if !ok {
		return fmt.Errorf("version %q answers", a.Version())
	}
	if golden.Name != c.golden["0"].Name {
		return errors.New("the examples have other goldens: their answers cannot be compared")
	}
	return golden.Check(a.Body, tolerance)
}

// load asks all the time until stop is called, which returns when it has ended.
func (c *crashes) load() (stop func()) {
	var wg sync.WaitGroup
	ended := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(2 * time.Millisecond):
				}
				answered, err := c.ask()
				switch {
				case answered && err == nil:
					c.answered.Add(1)
				case answered || !c.killed.Load():
					c.wrong.Add(1)
					text := err.Error()
					c.firstFail.CompareAndSwap(nil, &text)
				}
			}
		})
	}
	return func() {
		close(ended)
		wg.Wait()
	}
}

// killAt kills the gateway when a version has come to a state, or a moment
// after, and returns the state that it was seen in last.
func (c *crashes) killAt(version string, at stateIndex) (seen string) {
	c.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	seen = "Unknown"
	for time.Now().Before(deadline) {
		if a, err := seguetest.Do(http.MethodGet, c.gw.AdminURL+"/status", nil, nil); err == nil {
			if s, err := configs.ParseStatus(a.Body); err == nil {
				if state := s.Models["mozart"].Versions[version].State; state != "" {
					seen = state
				}
			}
		}
		if slices.Index(loadingStates, seen) >= int(at) {
			break
		}
	}
	time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
	c.killed.Store(true)
	c.gw.Kill()
	return seen
}

// stateIndex is an index of loadingStates.
type stateIndex int

var loadingStates = []string{"Unknown", "Wanted", "Fetching", "Verifying", "Probing", "Opening", "Warming", "Ready"}

// torn says which entries of the cache are not complete artifacts.
func (c *crashes) torn() (all int, torn []string) {
	folder := filepath.Join(c.state, "artifacts", "entries")
	entries, err := os.ReadDir(folder)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		a, err := artifact.Verify(c.t.Context(), filepath.Join(folder, e.Name()))
		if err != nil || a.Digest != "sha256:"+e.Name() {
			torn = append(torn, fmt.Sprintf("%s: %v", e.Name(), err))
		}
	}
	return len(entries), torn
}

func TestAKilledGatewayServesAVerifiedVersionFromTheCacheAtOnce(t *testing.T) {
	c := newCrashes(t)
	c.write()
	c.start()
	c.gw.WaitReady(t, 30*time.Second)

	kills := counts(8, 200)
	var took []time.Duration
	states := map[string]int{}
	most := 0
	for i := range kills {
		stop := c.load()
		version := c.write()
		state := c.killAt(version, stateIndex(2+rand.IntN(len(loadingStates)-2)))
		states[state]++
		stop()
		entries, torn := c.torn()
		most = max(most, entries)
		if len(torn) > 0 {
			t.Fatalf("after kill %d, in %s: torn entries %v", i+1, state, torn)
		}
		for _, bad := range []string{"the manifest says", "is damaged", "panic:", "changed since"} {
			if strings.Contains(c.gw.Log(), bad) {
				t.Fatalf("kill %d: the log says %q:\n%s", i+1, bad, c.gw.Log())
			}
		}

		// The store is away, in one way or another.
		c.shelf.away.Store(1 + rand.Int32N(kindsOfAway-1))
		began := time.Now()
		c.start()
		seguetest.Eventually(t, 20*time.Second, "a version answers", func() error {
			answered, err := c.ask()
			if answered && err != nil {
				t.Fatalf("after kill %d, in %s: %v", i+1, state, err)
			}
			return err
		})
		took = append(took, time.Since(began))
		c.shelf.away.Store(here)
	}
	p := seguetest.Percentiles(took, .5, .99, 1)
	t.Logf("%d kills, by the state of the version that was coming: %v", kills, states)
	t.Logf("from the start of the process to the first right answer, without the store: p50 %s, p99 %s, max %s", p[0], p[1], p[2])
	t.Logf("%d right answers under load, %d wrong or missing while the gateway ran; at most %d artifacts in a cache for 4", c.answered.Load(), c.wrong.Load(), most)
	if first := c.firstFail.Load(); first != nil {
		t.Errorf("%d answers were wrong or missing while the gateway ran: %s", c.wrong.Load(), *first)
	}
	if soak() && p[2] > time.Second {
		t.Errorf("a restart took %s until it served, want at most a second", p[2])
	}
	if soak() && len(slices.Collect(maps.Keys(states))) < 4 {
		t.Errorf("the kills hit too few states: %v", states)
	}
	c.tidy()
}

// tidy lets the gateway come to rest and holds what is left against what there
// should be.
func (c *crashes) tidy() {
	t := c.t
	t.Helper()
	version := fmt.Sprint(c.next % artifactsOnShelf)
	seguetest.Eventually(t, 60*time.Second, "the newest version serves", func() error {
		if state := c.gw.Status(t).Models["mozart"].Versions[version]; state.State != configs.VersionReady {
			return fmt.Errorf("%+v", state)
		}
		return nil
	})
	if code := c.gw.Stop(t); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	artifacts := filepath.Join(c.state, "artifacts")
	for _, name := range []string{"trash", "staging"} {
		left, err := os.ReadDir(filepath.Join(artifacts, name))
		if err != nil {
			t.Error(err)
		}
		for _, e := range left {
			// A download that was cut off may wait for somebody to go on with it.
			if name == "trash" || !slices.Contains(slices.Collect(maps.Values(c.digest)), "sha256:"+e.Name()) {
				t.Errorf("left in the cache: %s/%s", name, e.Name())
			}
		}
	}
	size := int64(0)
	err := filepath.WalkDir(artifacts, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			info, infoErr := d.Info()
			if err = infoErr; err == nil {
				size += info.Size()
			}
		}
		return err
	})
	if err != nil || size > 6<<20 {
		t.Errorf("the cache takes %d bytes of 6 MiB: %v", size, err)
	}
}
