package gateway

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// copied is a gateway whose version 1 answers and whose version 2 gets a copy of
// every request and does what the test says.
func copied(t *testing.T, does func(in []runtime.Tensor) ([]runtime.Tensor, error)) (*testGateway, *modelRoute) {
	g := newTestGateway(t)
	other := doubler()
	if does != nil {
		other.Func = func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) { return does(in) }
	}
	m := g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", model: other})
	m.versions["2"].breaker = newBreaker(nil)
	m.shadows = []*shadowRoute{{to: m.versions["2"], share: 1, like: true, tolerance: 1e-3}}
	g.put(m)
	return g, m
}

// results waits until so many copies came to an end, and says how.
func (m *modelRoute) results(t *testing.T, n uint64) map[string]uint64 {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c := &m.versions["2"].metrics.shadow
		c.mu.Lock()
		found, sum := map[string]uint64{}, uint64(0)
		for r, count := range c.results {
			if sum += count; count > 0 {
				found[shadowResultNames[r]] = count
			}
		}
		c.mu.Unlock()
		if sum >= n {
			return found
		}
		if time.Now().After(until) {
			t.Fatalf("%d copies came to an end, want %d: %v", sum, n, found)
		}
	}
}

func TestCopiesAreComparedWithWhatWasAnswered(t *testing.T) {
	values := func(v ...float32) func([]runtime.Tensor) ([]runtime.Tensor, error) {
		return func(in []runtime.Tensor) ([]runtime.Tensor, error) {
			return []runtime.Tensor{runtimetest.FP32("y", in[0].Shape, v...)}, nil
		}
	}
	for name, c := range map[string]struct {
		does func([]runtime.Tensor) ([]runtime.Tensor, error)
		want string
	}{
		"the same":      {nil, "agreed"},
		"another value": {values(1, 2, 60), "agreed"}, // the class is still the third
		"another class": {values(7, 4, 6), "disagreed"},
		"not finite":    {values(9, float32(math.NaN()), 6), "disagreed"},
		"a failure":     {failing, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			g, m := copied(t, c.does)
			g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
			if got := m.results(t, 1); got[c.want] != 1 {
				t.Errorf("%v, want %s", got, c.want)
			}
			exported := strings.Join(g.series("segue_shadow_requests_total"), "\n")
			if want := `segue_shadow_requests_total{model="mozart",outcome="` + c.want + `",version="2"} 1`; exported != want {
				t.Errorf("exported %s", exported)
			}
			if n := m.versions["2"].metrics.total(); n.attempts[outcomeOK]+n.attempts[outcomeNonFinite]+n.attempts[outcomeModelError] != 1 || n.succeeded != 0 {
				t.Errorf("attempts %v", n.attempts)
			}
		})
	}
}

func TestRequestsThatNameTheirVersionAreNotCopied(t *testing.T) {
	g, m := copied(t, nil)
	g.send("POST", "/v2/models/mozart/versions/1/infer", rowsOf(1))
	g.send("POST", "/v2/models/mozart/versions/2/infer", rowsOf(1))
	g.send("POST", infer, rowsOf(1))
	if got := m.results(t, 1); len(got) != 1 || got["agreed"] != 1 {
		t.Errorf("%v", got)
	}
}

func TestCopiesAreDroppedFirst(t *testing.T) {
	hold := make(chan struct{})
	g, m := copied(t, func(in []runtime.Tensor) ([]runtime.Tensor, error) { <-hold; return failing(in) })
	for range maxShadows + 10 {
		g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
	}
	// One runs and as many as there is room for wait.
	if got := m.results(t, 9); got["dropped"] < 9 {
		t.Errorf("%v", got)
	}
	close(hold)
	m.results(t, maxShadows/2)
}

func TestCopiesOfLargeRequestsAreBoundedByTheirBytes(t *testing.T) {
	s := newShadows(DataOptions{Executor: batch.New(batch.Options{}), Pool: runtime.NewPool()})
	v := &versionRoute{model: "m", version: "2", metrics: newTestGateway(t).metrics.version("m", "2", "v2")}
	big := []runtime.Tensor{{Type: runtime.UINT8, Shape: []int64{maxShadowBytes / 2}, Data: make([]byte, maxShadowBytes/2)}}
	first, second := s.copyOf(v, nil, big, nil), s.copyOf(v, nil, big, nil)
	if first == nil || second == nil || s.copyOf(v, nil, big, nil) != nil {
		t.Error("not bounded as said")
	}
	s.drop(first)
	s.drop(second)
	if s.queued.Load() != 0 || v.metrics.shadow.results[shadowDropped] != 3 {
		t.Errorf("%d bytes left, %v", s.queued.Load(), v.metrics.shadow.results)
	}
}

func TestAHalfOpenBreakerIsProbedByCopies(t *testing.T) {
	g := newTestGateway(t)
	m := canaried(g, func(in []runtime.Tensor) ([]runtime.Tensor, error) {
		return []runtime.Tensor{runtimetest.FP32("y", in[0].Shape, 1, 2, 3)}, nil
	})
	canary := m.versions["2"]
	// Its time of rest is over as soon as somebody asks.
	canary.breaker = halfOpen()
	for n := range 20 {
		got := g.send("POST", infer, rowsOf(1))
		if got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
		if canary.breaker.closed() {
			if n+1 < breakerProbes {
				t.Errorf("closed after %d requests", n)
			}
			break
		}
		if variant := got.header.Get("Segue-Variant"); variant != "fallback" && !canary.breaker.closed() {
			t.Errorf("request %d was answered by %s while the breaker is half-open", n, variant)
		}
		for until := time.Now().Add(10 * time.Second); canary.metrics.total().attempts[outcomeOK] < uint64(min(n+1, breakerProbes)) && time.Now().Before(until); {
			time.Sleep(time.Millisecond)
		}
	}
	if !canary.breaker.closed() {
		t.Error("the breaker did not close")
	}
	if got := canary.metrics.shadow.results[shadowProbed]; got < breakerProbes {
		t.Errorf("%d probes", got)
	}
}

func TestAShadowGuardLetsTheFirstRequestMove(t *testing.T) {
	b := newBench(t)
	b.rollsOutShadowed()
	b.settle()
	b.wantsState(configs.PhaseShadow, 0)
	b.answering("1=100a 2=0b")
	shadows := b.r.router.load().models["mozart"].shadows
	if len(shadows) != 1 || shadows[0].share != 0.2 || !shadows[0].like || shadows[0].step != rollout.ShadowStep || shadows[0].recorder == nil {
		t.Fatalf("%+v", shadows)
	}
	copies := func(good, bad int) {
		for n := range good + bad {
			o := rollout.Observation{Step: shadows[0].step, Canary: true, Judged: rollout.Of(rollout.Shadow)}
			if n >= good {
				o.Bad = o.Judged
			}
			shadows[0].recorder.Record(o)
		}
	}
	copies(60, 0)
	b.after(time.Second)
	b.settle()
	b.wantsState(configs.PhaseShadow, 0)
	copies(60, 0)
	b.after(time.Second)
	b.settle()
	b.wantsState(configs.PhaseStep, 0)
	b.answering("1=90a 2=10b")

	b = newBench(t)
	b.rollsOutShadowed()
	b.settle()
	shadows = b.r.router.load().models["mozart"].shadows
	copies(20, 30)
	b.after(time.Second)
	b.wantsState(configs.PhaseRolledBack, 0)
	b.wantsMetric("1", "segue_rollbacks_total", "model=mozart", "reason=shadow")
}

func (b *bench) rollsOutShadowed() {
	b.document("mozart", "1:a 2:b", "", `"rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 10}],
		"guards": {"errors": {}, "shadow": {"max_disagreement": 0.05}}}`, `"traffic": {"shadow": {"2": 20}}`)
}
