package loader

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// randomStep is one thing that the random world does.
type randomStep struct {
	want    []int         // the set to want, nil for no change
	hold    int           // acquire this version if it is ready, -1 for none
	drop    bool          // release the oldest held
	script  int           // give this version another script, -1 for none
	as      script        // that script
	forward time.Duration // let time pass
	terms   []Terms       // the terms of all versions, nil for no change
	ask     int           // ask for this version, -1 for none
}

// Whatever is wanted and on which terms, however loads go, whoever asks and
// whoever holds what: a version is Ready only when it is loaded, nothing that is
// held is closed, everything that was opened is closed exactly once, nothing
// drained can be taken, nothing that is to be kept is unloaded, and what is open
// never takes more memory than there is.
func TestAnySequenceKeepsThePromises(t *testing.T) {
	const versions = 4
	var dirs, digests [versions]string
	for i := range versions {
		dirs[i], digests[i] = artifacttest.PackDoubler(t, fmt.Sprint(i))
	}
	terms := rapid.Custom(func(t *rapid.T) Terms {
		return Terms{
			Idle: rapid.SampledFrom([]time.Duration{0, 5 * time.Second, time.Minute}).Draw(t, "idle"),
			Keep: rapid.Bool().Draw(t, "keep"),
		}
	})
	step := rapid.Custom(func(t *rapid.T) randomStep {
		failure := rapid.SampledFrom([]error{nil, nil, nil, nil, errors.New("fails")})
		took := rapid.SampledFrom([]time.Duration{0, 0, time.Second, 20 * time.Second})
		s := randomStep{
			hold:    rapid.IntRange(-1, versions-1).Draw(t, "hold"),
			drop:    rapid.Bool().Draw(t, "drop"),
			script:  rapid.IntRange(-1, versions-1).Draw(t, "script"),
			forward: took.Draw(t, "forward"),
			as: script{
				fetch: failure.Draw(t, "fetch"), open: failure.Draw(t, "open"), warm: failure.Draw(t, "warm"), closeErr: failure.Draw(t, "close"),
				fetchTime: took.Draw(t, "fetch time"), openTime: took.Draw(t, "open time"), warmTime: took.Draw(t, "warm time"),
				deaf: rapid.Bool().Draw(t, "deaf"),
			},
		}
		if rapid.IntRange(0, 9).Draw(t, "probe") == 0 {
			s.as.refused = probe.Report{Verdict: probe.Crashed, Reason: "SIGSEGV"}
		}
		s.ask = rapid.IntRange(-1, versions-1).Draw(t, "ask")
		if rapid.IntRange(0, 2).Draw(t, "new terms") == 0 {
			s.terms = rapid.SliceOfN(terms, versions, versions).Draw(t, "terms")
		}
		if rapid.Bool().Draw(t, "change") {
			s.want = []int{}
			for v := range versions {
				if rapid.Bool().Draw(t, "wanted") {
					s.want = append(s.want, v)
				}
			}
		}
		return s
	})
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.Int64Range(0, 6).Draw(rt, "limit") // 0 is none
		costs := rapid.SliceOfN(rapid.Int64Range(1, 3), versions, versions).Draw(rt, "costs")
		steps := rapid.SliceOfN(step, 1, 20).Draw(rt, "steps")
		var faults []string
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Options{Concurrency: 2})
			end := w.run()
			all := make([]Wanted, versions)
			w.limitMemory(limit * mib)
			base := make([]script, versions)
			for i := range versions {
				base[i] = script{dir: dirs[i], cost: Cost{Peak: costs[i] * mib, Held: costs[i] * mib}}
				all[i] = w.version(t, fmt.Sprint(i), base[i])
				all[i].Digest = digests[i]
			}
			faults = w.live(steps, all, base)
			var holders sync.WaitGroup
			holders.Go(func() {
				// They let go some time after the Manager was told to end.
				time.Sleep(time.Minute)
				w.releaseAll()
			})
			end()
			holders.Wait()
			faults = append(faults, w.left()...)
		})
		if len(faults) > 0 {
			rt.Fatalf("%s", strings.Join(faults, "\n"))
		}
	})
}

// releaseAll lets go of everything that the random world holds.
func (w *world) releaseAll() {
	for _, r := range w.holding {
		w.release(r)
	}
	w.holding = nil
}

// live goes through the steps and returns what was wrong on the way.
func (w *world) live(steps []randomStep, all []Wanted, base []script) (faults []string) {
	var drained []*Resident
	wanted := make(map[Wanted]bool)
	terms := make(map[Wanted]Terms)
	for n, s := range steps {
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("step %d: ", n)+fmt.Sprintf(format, args...))
		}
		if s.script >= 0 {
			s.as.dir, s.as.cost = base[s.script].dir, base[s.script].cost
			w.mu.Lock()
			w.scripts[all[s.script].Version] = &s.as
			w.mu.Unlock()
		}
		if s.terms != nil {
			terms = make(map[Wanted]Terms)
			for i, v := range all {
				terms[v] = s.terms[i]
			}
			w.manager.SetTerms(terms)
			synctest.Wait()
		}
		kept := make(map[Wanted]*Resident)
		for _, v := range all {
			if r, _ := w.manager.Lookup(v); r != nil && (terms[v].Idle == 0 || terms[v].Keep) {
				kept[v] = r
			}
		}
		if s.ask >= 0 {
			w.manager.Ask(all[s.ask])
		}
		if s.want != nil {
			before := make(map[Wanted]*Resident)
			for _, v := range all {
				if r, _ := w.manager.Lookup(v); r != nil {
					before[v] = r
				}
			}
			clear(wanted)
			var set []Wanted
			for _, i := range s.want {
				wanted[all[i]] = true
				set = append(set, all[i])
			}
			w.want(set...)
			for v, r := range before {
				if !wanted[v] {
					drained = append(drained, r)
				}
			}
		}
		w.settle(s.forward)
		if s.hold >= 0 {
			if r, err := w.acquire(all[s.hold]); err == nil {
				w.holding = append(w.holding, r)
			} else if w.state(all[s.hold]) == StateReady {
				fault("%v", err)
			}
		}
		if s.drop && len(w.holding) > 0 {
			w.release(w.holding[0])
			w.holding = w.holding[1:]
		}
		synctest.Wait()
		for _, r := range drained {
			if r.Acquire() {
				fault("%s could be acquired after its drain", r.Wanted())
			}
		}
		if m, known := w.memory(cpu); known && m.Left < 0 {
			fault("%d bytes too many are taken", -m.Left)
		}
		for _, v := range all {
			r, status := w.manager.Lookup(v)
			if (r != nil) != (status.State == StateReady) {
				fault("%s is %s with resident %v", v, status.State, r)
			}
			if status.State == StateReady && !wanted[v] {
				fault("%s is ready though it is not wanted", v)
			}
			away := status.State == StateEvicted && terms[v].Idle > 0 && !terms[v].Keep || status.State == StateDraining && status.InUse > 0
			if wanted[v] && !away && !status.State.loading() && status.State != StateReady && status.State != StateFailed {
				fault("%s is wanted and %s", v, status.State)
			}
			if wanted[v] && kept[v] != nil && kept[v] != r {
				fault("%s was to be kept, and is %s", v, status.State)
			}
			if r != nil {
				w.mu.Lock()
				if closed := r.Instance().(*instance).closed; closed > 0 {
					faults = append(faults, fmt.Sprintf("%s is ready and closed", v))
				}
				w.mu.Unlock()
			}
		}
	}
	return faults
}

// A gateway lives for months and swaps every few minutes: nothing may grow.
func TestThousandsOfSwapsLeaveNothingBehind(t *testing.T) {
	const swaps = 2000
	simulate(t, Options{}, func(w *world) {
		a, b := w.version(t, "1", script{}), w.version(t, "2", script{})
		w.want(a)
		goroutines := goruntime.NumGoroutine()
		for i := range swaps {
			next := a
			if i%2 == 0 {
				next = b
			}
			w.want(next)
			w.expect(next, StateReady)
		}
		// A leak would be of one for each swap; Go starts some of its own.
		if now := goruntime.NumGoroutine(); now > goroutines+10 {
			t.Errorf("%d goroutines, %d before", now, goroutines)
		}
		if statuses := w.manager.Statuses(); len(statuses) != 2 {
			t.Errorf("%d versions are remembered, want 2", len(statuses))
		}
		if len(w.instances) != swaps+1 {
			t.Errorf("%d instances were opened, want %d", len(w.instances), swaps+1)
		}
		for i, instance := range w.instances[:swaps] {
			if instance.closed != 1 {
				t.Fatalf("instance %d was closed %d times", i, instance.closed)
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.fetched != 1 {
			t.Errorf("%d artifacts are held, want 1", w.fetched)
		}
	})
}
