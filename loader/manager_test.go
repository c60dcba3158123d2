package loader

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/runtime"
)

func TestAVersionPassesEveryPhase(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{
			fetchTime: time.Second, probeTime: 2 * time.Second, openTime: 3 * time.Second, warmTime: 4 * time.Second,
			probeWarnings: []string{"zeros failed"}, warmNotice: []string{"batch 8 is slow"},
		})
		if s := w.expect(v, StateUnknown); s.Tried() {
			t.Error("an unknown version was tried")
		}
		w.want(v)
		for _, c := range []struct {
			state State
			took  time.Duration
		}{{StateFetching, time.Second}, {StateProbing, 2 * time.Second}, {StateOpening, 3 * time.Second}, {StateWarming, 4 * time.Second}} {
			s := w.expect(v, c.state)
			if c.state == StateFetching && (s.Fetched != 50 || s.Size != 100) {
				t.Errorf("fetched %d of %d, want 50 of 100", s.Fetched, s.Size)
			}
			if r, _ := w.manager.Lookup(v); r != nil {
				t.Errorf("there is a resident while %s", c.state)
			}
			w.settle(c.took)
		}
		s := w.expect(v, StateReady)
		if s.Digest != v.Digest || s.Attempt != 1 || s.Reason != "" || !s.Tried() {
			t.Errorf("got %+v", s)
		}
		if got, want := fmt.Sprint(s.Phases), "[Fetching 1s Verifying 0s Probing 2s Opening 3s Warming 4s]"; got != want {
			t.Errorf("got phases %s, want %s", got, want)
		}
		if got := strings.Join(s.Warnings, "; "); got != "zeros failed; batch 8 is slow" {
			t.Errorf("got warnings %q", got)
		}
		r, err := w.acquire(v)
		if err != nil {
			t.Fatal(err)
		}
		if r.Digest() != v.Digest || r.Wanted() != v || r.Signature().Input("x") != 0 || len(r.Manifest().Labels["y"]) != 2 || r.Manifest().Goldens != nil {
			t.Errorf("got resident %+v", r)
		}
		if i := r.Instance().(*instance); i.warmed != 8 || !i.manifest {
			t.Errorf("warmed at %d, opened with goldens: %t", i.warmed, i.manifest)
		}
		if p := w.probed[0]; p.Digest != v.Digest || p.MaxBatch != 8 || len(p.Manifest.Goldens) != 1 {
			t.Errorf("probed %+v", p)
		}
		w.release(r)
	})
}

func TestWhatIsLeftOutDrainsAndCloses(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		one, two := w.version(t, "1", script{}), w.version(t, "2", script{})
		w.want(one)
		r, err := w.acquire(one)
		if err != nil {
			t.Fatal(err)
		}
		w.want(two)
		w.expect(two, StateReady)
		if s := w.expect(one, StateDraining); s.InUse != 1 {
			t.Errorf("%d in use, want 1", s.InUse)
		}
		if r.Acquire() {
			t.Error("acquired while draining")
		}
		w.settle(time.Hour) // late requests are counted, never cut
		w.expect(one, StateDraining)
		if w.instances[0].closed != 0 {
			t.Error("closed while it was held")
		}
		w.release(r)
		w.settle(0)
		w.expect(one, StateGone)
		if w.instances[0].closed != 1 {
			t.Errorf("closed %d times", w.instances[0].closed)
		}
		w.settle(keepGone - time.Second)
		w.expect(one, StateGone)
		w.settle(time.Second)
		w.expect(one, StateUnknown)
		if all := w.manager.Statuses(); len(all) != 1 || all[0].Wanted != two {
			t.Errorf("got %+v, want version 2 alone", all)
		}
	})
}

func TestWantedAgainWhileDrainingIsANewResident(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{openTime: time.Second})
		w.want(v)
		w.settle(time.Second)
		old, err := w.acquire(v)
		if err != nil {
			t.Fatal(err)
		}
		w.want()
		w.want(v)
		w.expect(v, StateOpening)
		w.settle(time.Second)
		w.expect(v, StateReady)
		fresh, err := w.acquire(v)
		if err != nil {
			t.Fatal(err)
		}
		if fresh == old || len(w.manager.Statuses()) != 2 {
			t.Error("the draining resident was taken again")
		}
		w.release(old)
		w.release(fresh)
		w.settle(0)
		w.expect(v, StateReady)
	})
}

func TestSameWantedIsNoChange(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{})
		w.want(v)
		r, _ := w.manager.Lookup(v)
		w.want(v, v)
		w.want()
		w.manager.SetWanted(nil) // not settled: never seen by itself
		w.want(v)
		w.expect(v, StateReady)
		again, _ := w.manager.Lookup(v)
		if again == r {
			t.Error("a version that was drained is the same resident")
		}
		w.want(v)
		if same, _ := w.manager.Lookup(v); same != again {
			t.Error("an unchanged set loaded the version again")
		}
	})
}

func TestPassingFailuresAreTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		script script
		reason string
		cause  string
	}{
		"missing":  {script{fetch: errors.New("there is no such folder")}, "there is no such folder", "fetch"},
		"unsound":  {script{dir: t.TempDir()}, "fake:1: neither manifest.json nor", "verify"},
		"no child": {script{probe: errors.New("fork: no memory")}, "probe: fork: no memory", "probe"},
		"cold":     {script{warm: errors.New("no memory")}, "warm up: no memory", "warm"},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, Options{}, func(w *world) {
				v := w.version(t, "1", c.script)
				w.want(v)
				s := w.expect(v, StateFailed)
				if !strings.Contains(s.Reason, c.reason) || s.Permanent || s.Attempt != 1 || !s.Tried() {
					t.Fatalf("got %+v, want …%s…", s, c.reason)
				}
				if wait := time.Until(s.RetryAt); wait < 0 || wait > time.Second {
					t.Errorf("tried again after %v, want up to 1s", wait)
				}
				w.settle(time.Minute)
				s = w.expect(v, StateFailed)
				if s.Attempt < 3 || s.Attempt > 60 {
					t.Errorf("%d tries in a minute", s.Attempt)
				}
				if len(w.manager.Statuses()) != 1 {
					t.Errorf("got %d statuses of one version", len(w.manager.Statuses()))
				}
				w.version(t, "1", script{openTime: time.Second}) // somebody mends it
				w.settle(40 * time.Second)
				if s := w.expect(v, StateReady); s.Reason != "" || s.Attempt < 2 {
					t.Errorf("got %+v, want it ready", s)
				}
			})
		})
	}
}

func TestARetryKeepsTheReasonAndSaysSo(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{fetchTime: 10 * time.Second, fetch: errors.New("503")})
		w.want(v)
		w.settle(11*time.Second + time.Millisecond)
		s := w.expect(v, StateFetching)
		if s.Attempt != 2 || s.Reason != "503" || !s.Tried() {
			t.Errorf("got %+v, want the second try with the first one's reason", s)
		}
	})
}

func TestFaultsOfTheModelAreFinal(t *testing.T) {
	other := &runtime.Signature{Inputs: []runtime.TensorSpec{{Name: "z", Type: runtime.FP32, Shape: []int64{-1, 2}}}}
	for name, c := range map[string]struct {
		script script
		reason string
		opened int
	}{
		"crash": {script{refused: probe.Report{Verdict: probe.Crashed, Reason: "the try crashed: SIGSEGV"}}, "the try crashed: SIGSEGV", 0},
		"golden": {script{refused: probe.Report{Verdict: probe.GoldenDiffers, Reason: "golden request differs"}},
			"golden request differs", 0},
		"refused":   {script{open: errors.New("unknown operator")}, "open: unknown operator", 0},
		"signature": {script{signature: other}, `the signature differs: input 0 of the model is "z", the manifest says "x"`, 1},
		"reference": {script{fetch: store.Permanent(errors.New("no store of scheme s3"))}, "no store of scheme s3", 0},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, Options{}, func(w *world) {
				v := w.version(t, "1", c.script)
				w.want(v)
				s := w.expect(v, StateFailed)
				if s.Reason != c.reason || !s.Permanent || !s.RetryAt.IsZero() {
					t.Fatalf("got %+v, want %s for good", s, c.reason)
				}
				w.settle(time.Hour)
				if w.tries["1"] != 1 || len(w.instances) != c.opened {
					t.Errorf("%d tries and %d instances", w.tries["1"], len(w.instances))
				}
				// Another option makes it another version, which is tried.
				w.version(t, "1", script{})
				v.Threads, v.Digest = 2, ""
				w.want(v)
				w.expect(v, StateReady)
			})
		})
	}
}

// What the probe keeps in quarantine is tried again when that ends, or when an
// operator says so, and not before.
func TestARefusedVersionIsTriedAgainAfterItsQuarantine(t *testing.T) {
	refused := func() probe.Report {
		return probe.Report{Verdict: probe.Crashed, Reason: "SIGSEGV", Tries: 2, Until: time.Now().Add(20 * time.Minute)}
	}
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{refused: refused()})
		w.want(v)
		s := w.expect(v, StateFailed)
		if want := "SIGSEGV (refusal 2 in a row; in quarantine until 2000-01-01T00:20:00Z)"; s.Reason != want || s.Permanent || !s.Tried() {
			t.Fatalf("got %+v, want %s", s, want)
		}
		w.settle(20*time.Minute - time.Second)
		if w.tries["1"] != 1 {
			t.Errorf("%d tries within the quarantine", w.tries["1"])
		}
		w.version(t, "1", script{refused: refused()})
		w.settle(time.Second)
		if s := w.expect(v, StateFailed); w.tries["1"] != 2 || s.Attempt != 2 {
			t.Errorf("%d tries after the quarantine: %+v", w.tries["1"], s)
		}
		w.manager.SetTerms(map[Wanted]Terms{v: {Attempt: 1}})
		w.settle(0)
		if w.tries["1"] != 3 || w.probed[2].Attempt != 1 {
			t.Errorf("%d tries after an operator's attempt, the last %+v", w.tries["1"], w.probed)
		}
		w.manager.SetTerms(map[Wanted]Terms{v: {Attempt: 1, RunLimit: time.Second}})
		w.settle(time.Minute)
		if w.tries["1"] != 3 {
			t.Errorf("%d tries, want no more for the same attempt", w.tries["1"])
		}
		w.version(t, "1", script{})
		w.manager.SetTerms(map[Wanted]Terms{v: {Attempt: 2}})
		w.settle(0)
		w.expect(v, StateReady)
	})
}

func TestAFailedVersionThatIsNotWantedIsGone(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{fetch: errors.New("missing")})
		w.want(v)
		w.expect(v, StateFailed)
		w.want()
		if s := w.expect(v, StateGone); s.Reason != "missing" {
			t.Errorf("got reason %q", s.Reason)
		}
	})
}

func TestOneVersionNeverHoldsUpAnother(t *testing.T) {
	simulate(t, Options{Concurrency: 2}, func(w *world) {
		failing := w.version(t, "bad", script{fetch: errors.New("missing")})
		hanging := w.version(t, "hangs", script{fetchTime: 1000 * time.Hour})
		crashing := w.version(t, "crashes", script{probeTime: time.Hour, refused: probe.Report{Verdict: probe.Crashed, Reason: "SIGSEGV"}})
		good := w.version(t, "good", script{openTime: time.Second})
		w.want(failing, hanging, crashing, good)
		w.settle(time.Second)
		w.expect(good, StateReady)
		w.expect(hanging, StateFetching)
		w.expect(crashing, StateProbing)
		w.settle(time.Hour)
		w.expect(crashing, StateFailed)
		w.expect(good, StateReady)
		if len(w.instances) != 1 {
			t.Errorf("the good version was opened %d times", len(w.instances))
		}
	})
}

func TestLoadsAreBounded(t *testing.T) {
	simulate(t, Options{Concurrency: 2}, func(w *world) {
		var all []Wanted
		for i := range 5 {
			all = append(all, w.version(t, fmt.Sprint(i), script{openTime: time.Second}))
		}
		w.want(all...)
		for _, ready := range []int{0, 2, 4, 5} {
			opening, got := 0, 0
			for _, v := range all {
				switch w.state(v) {
				case StateOpening:
					opening++
				case StateReady:
					got++
				}
			}
			if opening > 2 || got != ready {
				t.Errorf("%d opening and %d ready, want at most 2 and %d", opening, got, ready)
			}
			w.settle(time.Second)
		}
	})
}

func TestAVersionNotWantedAnyMoreStopsLoading(t *testing.T) {
	for name, s := range map[string]script{
		"Fetching": {fetchTime: time.Hour}, "Probing": {probeTime: time.Hour}, "Opening": {openTime: time.Hour}, "Warming": {warmTime: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, Options{}, func(w *world) {
				v := w.version(t, "1", s)
				w.want(v)
				if w.state(v).String() != name {
					t.Fatalf("it is %s", w.state(v))
				}
				w.want()
				if s := w.expect(v, StateGone); s.Reason != "not wanted any more" {
					t.Errorf("got reason %q", s.Reason)
				}
			})
		})
	}
	// One that does not listen is closed when it comes, and never Ready.
	for name, s := range map[string]script{"Opening": {openTime: time.Hour, deaf: true}, "Warming": {warmTime: time.Hour, deaf: true}} {
		t.Run("deaf while "+name, func(t *testing.T) {
			simulate(t, Options{}, func(w *world) {
				v := w.version(t, "1", s)
				w.want(v)
				w.want()
				w.settle(30 * time.Minute)
				if w.state(v).String() != name {
					t.Errorf("it is %s", w.state(v))
				}
				w.settle(30 * time.Minute)
				w.expect(v, StateGone)
			})
		})
	}
}

func TestACancelledTryNeverServes(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{warmTime: time.Hour, deaf: true})
		w.want(v)
		w.want()
		w.version(t, "1", script{})
		w.want(v) // a second try, which is faster than the first one's end
		w.expect(v, StateReady)
		r, _ := w.manager.Lookup(v)
		w.settle(time.Hour)
		if again, _ := w.manager.Lookup(v); again != r {
			t.Error("the cancelled try took the version's place")
		}
		for _, s := range w.manager.Statuses() {
			if s.State == StateReady && s.Phases[len(s.Phases)-1].Took == time.Hour {
				t.Errorf("the cancelled try is ready: %+v", s)
			}
		}
	})
}

func TestDigests(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{})
		right := v.Digest
		v.Digest = "sha256:" + strings.Repeat("0", 64)
		w.want(v)
		if s := w.expect(v, StateFailed); !strings.Contains(s.Reason, "the artifact's digest is "+right+", and wanted is "+v.Digest) || s.Permanent {
			t.Errorf("got %+v, want a wrong digest", s)
		}

		// Without a digest the first one that served is pinned.
		v.Digest = ""
		w.want(v)
		if s := w.expect(v, StateReady); s.Digest != right {
			t.Errorf("got digest %s, want %s", s.Digest, right)
		}
		w.want()
		dir, changed := artifacttest.PackDoubler(t, "changed")
		w.version(t, "1", script{dir: dir})
		w.want(v)
		if s := w.expect(v, StateFailed); !strings.Contains(s.Reason, "it was "+right+" when it was first loaded") {
			t.Errorf("got %+v, want a pinned digest", s)
		}
		v.Digest = changed
		w.want(v)
		w.expect(v, StateReady)

		other := v
		other.Digest, other.Version, other.URI = "", "2", "fake:1"
		w.want(other)
		w.expect(other, StateReady)
	})
}

func TestARequiredDigestIsAskedForAtEachTry(t *testing.T) {
	var required atomic.Bool
	required.Store(true)
	simulate(t, Options{RequireDigest: required.Load}, func(w *world) {
		v := w.version(t, "1", script{})
		stated := v
		v.Digest = ""
		w.want(v, stated)
		if s := w.expect(v, StateFailed); s.Reason != "no digest is given, and the settings require one" || s.Permanent {
			t.Errorf("got %+v", s)
		}
		w.expect(stated, StateReady)
		required.Store(false)
		w.settle(time.Minute)
		w.expect(v, StateReady)
	})
}

func TestFilesThatChangeDuringTheLoadAreRefused(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		v := w.version(t, "1", script{openTime: time.Second})
		dir := w.script("1").dir
		w.want(v)
		w.expect(v, StateOpening)
		if err := os.Chtimes(filepath.Join(dir, "model.onnx"), time.Time{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		w.settle(time.Second)
		if s := w.expect(v, StateFailed); s.Reason != "fake:1: model.onnx: changed while it was being loaded" {
			t.Errorf("got %q", s.Reason)
		}
		w.settle(time.Minute)
		w.expect(v, StateReady)
	})
}

func TestPlacesOfThisMachineStayOutOfReasons(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		dir, digest := artifacttest.PackDoubler(t, "x")
		v := w.version(t, "1", script{dir: dir, warmNotice: []string{"slow: " + dir},
			refused: probe.Report{Verdict: probe.NotOpened, Reason: "load model from " + dir + "/model.onnx failed"}})
		v.Digest = digest
		w.want(v)
		if s := w.expect(v, StateFailed); s.Reason != "load model from model.onnx failed" {
			t.Errorf("got %q", s.Reason)
		}
	})
}

func TestRunEndsWhenTheLastUserLetGo(t *testing.T) {
	var log bytes.Buffer
	options := Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
	simulate(t, options, func(w *world) {
		ready, loading := w.version(t, "1", script{closeErr: errors.New("busy")}), w.version(t, "2", script{openTime: time.Hour})
		failed := w.version(t, "3", script{fetch: errors.New("missing")})
		w.want(ready, loading, failed)
		r, err := w.acquire(ready)
		if err != nil {
			t.Fatal(err)
		}
		// simulate ends the Manager right after this, before the release.
		go func() {
			time.Sleep(time.Minute)
			if w.state(ready) != StateDraining || w.state(loading) != StateGone || w.state(failed) != StateGone {
				t.Errorf("while stopping: %+v", w.manager.Statuses())
			}
			w.release(r)
		}()
	})
	for _, want := range []string{"version is ready", "version failed, and is tried again", "version did not close cleanly", "error=busy", "version is gone"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, &log)
		}
	}
}

func TestChangesAreAnnouncedOnceForMany(t *testing.T) {
	simulate(t, Options{}, func(w *world) {
		w.want(w.version(t, "1", script{openTime: time.Second}))
		before := w.announced()
		if before == 0 {
			t.Error("the load was not announced")
		}
		w.settle(time.Second)
		if w.announced() == before {
			t.Error("ready was not announced")
		}
		before = w.announced()
		w.settle(time.Hour)
		if more := w.announced() - before; more != 0 {
			t.Errorf("%d announcements of nothing", more)
		}
	})
}
