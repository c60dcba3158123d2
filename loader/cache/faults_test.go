package cache

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/bucket"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/storetest"
	"github.com/segue-serving/segue/loader/store/storetest/toxic"
	"github.com/segue-serving/segue/loader/store/web"
)

// patience bounds a fetch through faults that it must get over by itself, on a
// machine that does other things too.
const patience = 3 * time.Minute

func TestFaultsBeforeARealStoreEndInAWholeArtifactOrAReason(t *testing.T) {
	server := storetest.StartS3(t)
	server.Setenv(t)
	remote := bucket.S3(egress.Everywhere())
	source, digest := storetest.Artifact(t, 1)
	reference, parameters := server.Bucket(t)
	if err := remote.Push(t.Context(), store.Ref{URI: reference + "/mozart/1" + parameters}, source, digest, nil); err != nil {
		t.Fatal(err)
	}
	proxy := toxic.Start(t, strings.TrimPrefix(server.Endpoint, "http://"))
	ref := store.Ref{URI: reference + "/mozart/1?use_path_style=true&endpoint=http://" + proxy.Addr, Digest: digest}

	fetch := func(t *testing.T, c *Cache, progress store.Progress) error {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		path, release, err := c.Store(remote).Fetch(ctx, ref, progress)
		if err != nil {
			return err
		}
		defer release()
		verified(t, path, digest)
		return nil
	}
	patient := func(t *testing.T, stall time.Duration) *Cache {
		t.Helper()
		c, err := Open(t.TempDir(), plenty, Options{Stall: stall})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, fault := range map[string]toxic.Fault{
		"latency":          {Type: "latency", Attributes: map[string]int{"latency": 300, "jitter": 100}},
		"slices":           {Type: "slicer", Attributes: map[string]int{"average_size": 2000, "size_variation": 1000, "delay": 20}},
		"bandwidth":        {Type: "bandwidth", Attributes: map[string]int{"rate": 4 << 10}},
		"an early end":     {Type: "limit_data", Attributes: map[string]int{"bytes": 1 << 20}},
		"half are reset":   {Type: "reset_peer", Toxicity: .5, Attributes: map[string]int{"timeout": 10}},
		"slow to be ended": {Type: "slow_close", Attributes: map[string]int{"delay": 500}},
	} {
		t.Run(name, func(t *testing.T) {
			defer proxy.Clear()
			proxy.Add(fault)
			c, began := patient(t, patience), time.Now()
			// Half of all connections may be the wrong ones several times in a
			// row: who fetches then tries again.
			err := fetch(t, c, nil)
			for tries := 0; err != nil && fault.Toxicity > 0 && tries < 20; tries++ {
				t.Logf("again after: %v", err)
				err = fetch(t, c, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("9 MiB in %s", time.Since(began).Round(time.Millisecond))
			tidy(t, c.Dir())
		})
	}
	t.Run("resets in the middle", func(t *testing.T) {
		proxy.Add(toxic.Fault{Type: "bandwidth", Attributes: map[string]int{"rate": 8 << 10}})
		defer proxy.Clear()
		resets, next := 0, int64(2<<20)
		c := patient(t, patience)
		err := fetch(t, c, func(done, _ int64) {
			if done >= next && resets < 3 {
				resets, next = resets+1, done+2<<20
				proxy.Down()
				proxy.Up()
			}
		})
		if err != nil || resets != 3 {
			t.Fatalf("%d resets: %v", resets, err)
		}
		tidy(t, c.Dir())
	})
	t.Run("silence", func(t *testing.T) {
		c, silent := patient(t, time.Second), false
		err := fetch(t, c, func(done, total int64) {
			if done > total/2 && !silent {
				silent = true
				proxy.Add(toxic.Fault{Type: "timeout", Attributes: map[string]int{"timeout": 0}})
			}
		})
		if err == nil || !strings.Contains(err.Error(), "the store stalled: ") || !strings.HasPrefix(err.Error(), reference+"/mozart/1: ") {
			t.Errorf("got %v", err)
		}
		proxy.Clear()
		// What came before the silence needs not come again.
		received := receivedBy(t, c, func() {
			if err := fetch(t, c, nil); err != nil {
				t.Fatal(err)
			}
		})
		if received > 6<<20 {
			t.Errorf("%.0f bytes came, where the half was there", received)
		}
		tidy(t, c.Dir())
	})
	t.Run("away", func(t *testing.T) {
		c := patient(t, patience)
		proxy.Down()
		if err := fetch(t, c, nil); err == nil || store.IsPermanent(err) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
		proxy.Up()
		if err := fetch(t, c, nil); err != nil {
			t.Fatal(err)
		}
		proxy.Down()
		defer proxy.Up()
		if err := fetch(t, c, nil); err != nil {
			t.Errorf("the store is away, and it is in the cache: %v", err)
		}
	})
}

// receivedBy returns how many bytes stores sent while f ran.
func receivedBy(t *testing.T, c *Cache, f func()) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	c.metrics = store.NewMetrics(registry)
	f()
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%v %v", families, err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// TestWebServersThatDoNotServeArtifacts says what a real store cannot be brought
// to, through the real client of the protocol.
func TestWebServersThatDoNotServeArtifacts(t *testing.T) {
	weights := noise(1<<20, 3)
	source, digest := packed(t, "1", map[string][]byte{"weights.bin": weights})
	for _, c := range []struct {
		name string
		// serve answers the nth request for a file, or leaves it to a server
		// of files by returning false.
		serve     func(w http.ResponseWriter, r *http.Request, n int) bool
		want      string // in the error, empty where it must be had
		permanent bool
		wait      time.Duration
	}{
		{name: "a page in place of the manifest", want: "manifest.json: the answer is a web page",
			serve: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
				fmt.Fprint(w, "<!doctype html><title>Sign in</title>")
				return true
			}},
		{name: "403", want: "the store answered 403", serve: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}},
		{name: "404", want: "and the store cannot say which files there are", serve: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(http.StatusNotFound)
			return true
		}},
		{name: "429 for a minute", want: "the store answered 429", wait: time.Minute, serve: func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}},
		{name: "429 for a second", serve: func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 1 || !strings.HasSuffix(r.URL.Path, "weights.bin") {
				return false
			}
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}},
		{name: "503 twice", serve: func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 2 || !strings.HasSuffix(r.URL.Path, "weights.bin") {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}},
		{name: "a larger file than is listed", want: "weights.bin: the store has 1048577 bytes, and 1048576 are listed", wait: longestPause,
			serve: func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if !strings.HasSuffix(r.URL.Path, "weights.bin") {
					return false
				}
				w.Header().Set("Content-Length", strconv.Itoa(len(weights)+1))
				_, _ = w.Write(append(weights[:len(weights):len(weights)], 'x'))
				return true
			}},
		{name: "a body without end", want: "weights.bin: the store sends more than the 1048576 bytes", wait: tooOften,
			serve: func(w http.ResponseWriter, r *http.Request, _ int) bool {
				if !strings.HasSuffix(r.URL.Path, "weights.bin") {
					return false
				}
				for { // until the client is gone
					if _, err := w.Write(weights); err != nil {
						return true
					}
				}
			}},
		{name: "half of what is announced", serve: func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 1 || !strings.HasSuffix(r.URL.Path, "weights.bin") {
				return false
			}
			w.Header().Set("Content-Length", strconv.Itoa(len(weights)))
			_, _ = w.Write(weights[:len(weights)/2])
			panic(http.ErrAbortHandler)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int64
			files := http.FileServer(http.Dir(source))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n := 1
				if strings.HasSuffix(r.URL.Path, "weights.bin") {
					n = int(asked.Add(1))
				}
				if !c.serve(w, r, n) {
					files.ServeHTTP(w, r)
				}
			}))
			defer server.Close()
			cache := open(t, t.TempDir(), plenty)
			path, release, err := cache.Store(web.New(egress.Everywhere(), nil)).Fetch(t.Context(), store.Ref{URI: server.URL, Digest: digest}, nil)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer release()
				verified(t, path, digest)
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), server.URL) != 1 ||
				store.IsPermanent(err) != c.permanent || store.WaitOf(err) != c.wait {
				t.Errorf("got %v (permanent %t, wait %s)", err, store.IsPermanent(err), store.WaitOf(err))
			}
		})
	}
}

func TestCredentialsThatExpireInTheMiddleAreReadAnew(t *testing.T) {
	weights := noise(1<<20, 3)
	source, digest := packed(t, "1", map[string][]byte{"weights.bin": weights})
	var valid atomic.Pointer[string]
	first, second := "Bearer first", "Bearer second"
	valid.Store(&first)
	var refused atomic.Int64
	files := http.FileServer(http.Dir(source))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != *valid.Load() {
			refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.HasSuffix(r.URL.Path, "weights.bin") && *valid.Load() == first {
			valid.Store(&second) // after half of the file
			w.Header().Set("Content-Length", strconv.Itoa(len(weights)))
			_, _ = w.Write(weights[:len(weights)/2])
			panic(http.ErrAbortHandler)
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	secrets := filepath.Join(t.TempDir(), "credentials")
	write := func(token string) {
		if err := os.WriteFile(secrets, []byte(host+" "+token), 0o600); err != nil {
			t.Error(err)
		}
	}
	write("bearer first")
	hosts, err := egress.Parse("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	remote := web.New(hosts, web.Environment(func(name string) string {
		return map[string]string{"SEGUE_ARTIFACT_CREDENTIALS_FILE": secrets}[name]
	}))
	c := open(t, t.TempDir(), plenty)
	ref := store.Ref{URI: server.URL, Digest: digest}
	if _, _, err := c.Store(remote).Fetch(t.Context(), ref, nil); err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "first") {
		t.Errorf("got %v", err)
	}
	if refused.Load() == 0 {
		t.Error("the old credentials were not refused: this shows nothing")
	}
	write("bearer second")
	path, release, err := c.Store(remote).Fetch(t.Context(), ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if a, err := artifact.Verify(t.Context(), path); err != nil || a.Digest != digest {
		t.Error(a, err)
	}
}
