package gateway

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
)

func (g *testGateway) attempts(model, version string) (counts map[string]uint64) {
	counts = map[string]uint64{}
	for o, n := range g.metrics.version(model, version, "v"+version).total().attempts {
		if n > 0 {
			counts[outcomeNames[o]] = n
		}
	}
	return counts
}

// background sends a request in another goroutine.
func (g *testGateway) background(path string, headers ...string) <-chan answer {
	done := make(chan answer, 1)
	go func() { done <- g.send("POST", path, rowsOf(1), headers...) }()
	return done
}

func TestAFullQueueShedsAndIsNotTheModelsFailure(t *testing.T) {
	g := newTestGateway(t)
	slow := doubler()
	waiting, release := blocking(t, slow)
	g.put(g.model("mozart", version{name: "1", weight: 1, model: slow, queue: 1}))
	first, second := g.background(infer), g.background(infer)
	eventually(t, "both permits are taken", func() bool { return waiting.Load() == 2 })
	third := g.background(infer)
	eventually(t, "one request waits", func() bool { return g.executor.Stats().Queued == 1 })
	got := g.send("POST", infer, rowsOf(1))
	got.want(t, 503, `{"error":"the model's queue is full"}`)
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
	state := g.state()
	if state.inFlight != 3 || state.workers != 2 || state.busy != 2 || len(state.queues) != 1 || state.queues[0].length != 1 || state.queues[0].limit != 1 {
		t.Errorf("state %+v", state)
	}
	close(release)
	for _, done := range []<-chan answer{first, second, third} {
		(<-done).want(t, 200, answered)
	}
	if counts := g.attempts("mozart", "1"); counts["ok"] != 3 || counts["shed"] != 1 || len(counts) != 2 {
		t.Errorf("attempts %v", counts)
	}
	if n := g.metrics.shed[shedQueueFull].Load(); n != 1 {
		t.Errorf("%d counted as shed by a full queue", n)
	}
}

func TestNoMoreRequestsAreInFlightThanMayBe(t *testing.T) {
	g := newTestGateway(t)
	slow := doubler()
	waiting, release := blocking(t, slow)
	table := g.put(g.model("mozart", version{name: "1", weight: 1, model: slow}))
	narrow := *table
	narrow.maxInFlight = 1
	g.router.publish(&narrow)
	first := g.background(infer)
	eventually(t, "the first one runs", func() bool { return waiting.Load() == 1 })
	g.send("POST", infer, rowsOf(1)).want(t, 503, `{"error":"the gateway is answering as many requests as it may"}`)
	g.send("GET", "/v2/models/mozart", "").want(t, 200, g.send("GET", "/v2/models/mozart", "").body)
	close(release)
	(<-first).want(t, 200, answered)
	g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
	if n := g.metrics.shed[shedInFlight].Load(); n != 1 {
		t.Errorf("%d counted as shed in flight", n)
	}
}

func TestADeadlineCanOnlyBeShortened(t *testing.T) {
	g := newTestGateway(t)
	slow := doubler()
	waiting, release := blocking(t, slow)
	route := g.model("mozart", version{name: "1", weight: 1, model: slow})
	g.put(route)
	running := []<-chan answer{g.background(infer), g.background(infer)}
	eventually(t, "both permits are taken", func() bool { return waiting.Load() == 2 })
	const missed = `{"error":"the deadline passed before the model could run"}`
	g.send("POST", infer, rowsOf(1), "X-Request-Timeout-Ms: 20").want(t, 504, missed)
	g.send("POST", infer, strings.Replace(rowsOf(1), `{"id"`, `{"parameters":{"timeout":20000},"id"`, 1)).want(t, 504, missed)
	short := *route
	short.timeout = 20 * time.Millisecond
	g.put(&short)
	g.send("POST", infer, rowsOf(1)).want(t, 504, missed)
	g.send("POST", infer, rowsOf(1), "X-Request-Timeout-Ms: 60000").want(t, 504, missed)
	close(release)
	for _, done := range running {
		(<-done).want(t, 200, answered)
	}
	if counts := g.attempts("mozart", "1"); counts["ok"] != 2 || counts["shed"] != 4 || len(counts) != 2 {
		t.Errorf("attempts %v", counts)
	}
}

func TestARunThatTakesTooLongIsAnswered504(t *testing.T) {
	g := newTestGateway(t)
	slow := doubler()
	slow.Before = func(context.Context) error { time.Sleep(30 * time.Millisecond); return nil }
	g.put(g.model("mozart", version{name: "1", weight: 1, model: slow}))
	g.send("POST", infer, rowsOf(1), "X-Request-Timeout-Ms: 10").want(t, 504, `{"error":"the deadline passed while the model ran"}`)
	if counts := g.attempts("mozart", "1"); counts["timeout"] != 1 || len(counts) != 1 {
		t.Errorf("attempts %v", counts)
	}
}

func TestDeadlinesThatLeaveNoTimeForARunOpenNoBreaker(t *testing.T) {
	const long = 60 * time.Millisecond
	for name, c := range map[string]struct {
		warm  time.Duration // a run at warm-up
		own   time.Duration // the model's timeout, beside the client's 50 ms
		state breakerState  // after many runs of long
	}{
		"a version as slow as ever":                {long, time.Minute, breakerClosed},
		"a version that has become slow":           {0, time.Minute, breakerOpen},
		"no time to begin a run":                   {2 * long, time.Minute, breakerClosed},
		"a version with no time by its own limits": {2 * long, 20 * time.Millisecond, breakerOpen},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they mostly sleep
			g := newTestGateway(t)
			var takes atomic.Int64
			model := doubler()
			model.Before = func(context.Context) error { time.Sleep(time.Duration(takes.Load())); return nil }
			m := g.model("mozart", version{name: "1", weight: 1, model: model})
			m.timeout = c.own
			v := g.put(m).models["mozart"].versions["1"]
			v.breaker = newBreaker(nil)
			takes.Store(int64(c.warm))
			if _, err := v.runner.Warm(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			takes.Store(int64(long))
			for range breakerRequests {
				if got := g.send("POST", infer, rowsOf(1), "X-Request-Timeout-Ms: 50"); got.status != 504 {
					t.Fatalf("%d %s", got.status, got.body)
				}
			}
			if state := v.breaker.state(); state != c.state {
				t.Errorf("the breaker is %s, want %s", breakerStateNames[state], breakerStateNames[c.state])
			}
			if counts := g.attempts("mozart", "1"); counts["timeout"] != breakerRequests || len(counts) != 1 {
				t.Errorf("attempts %v", counts)
			}
		})
	}
}

func TestWhatAClientGetsWrongIsNotTheModelsFailure(t *testing.T) {
	g := newTestGateway(t)
	picky := doubler()
	picky.Func = func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error) {
		return nil, runtime.ErrInvalidArgument
	}
	panicking := doubler()
	panicking.Func = func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error) { panic("inside") }
	g.put(g.model("picky", version{name: "1", weight: 1, model: picky}), g.model("panicking", version{name: "1", weight: 1, model: panicking}))
	g.send("POST", "/v2/models/picky/infer", rowsOf(1))
	g.send("POST", "/v2/models/picky/infer", `{`)
	if counts := g.attempts("picky", "1"); counts["client_error"] != 2 || len(counts) != 1 {
		t.Errorf("attempts %v", counts)
	}
	g.send("POST", "/v2/models/panicking/infer", rowsOf(1)).want(t, 500, `{"error":"the model failed"}`)
	if counts := g.attempts("panicking", "1"); counts["model_error"] != 1 || len(counts) != 1 {
		t.Errorf("attempts %v", counts)
	}
}

func TestARequestThatMeetsADrainingVersionFindsTheNext(t *testing.T) {
	g := newTestGateway(t)
	old := g.model("mozart", version{name: "1", weight: 1, model: doubler()})
	next := g.model("mozart", version{name: "2", weight: 1, model: doubler()})
	g.put(old)
	resident, unload := newResident(t, old.versions["1"].runner)
	old.versions["1"].resident = resident
	unload()
	eventually(t, "the version drains", func() bool {
		if resident.Acquire() {
			resident.Release()
			return false
		}
		return true
	})
	g.send("POST", infer, rowsOf(1)).want(t, 503, `{"error":"the model is being replaced"}`)
	g.send("GET", "/v2/models/mozart", "").want(t, 503, `{"error":"version \"1\" of model \"mozart\" is not ready"}`)
	g.put(next)
	g.send("POST", infer, rowsOf(1)).want(t, 200, strings.Replace(answered, `"1"`, `"2"`, 1))
}

func TestTablesMayChangeUnderLoad(t *testing.T) {
	g := newTestGateway(t)
	tables := []*table{
		g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()})),
		g.put(g.model("mozart", version{name: "2", weight: 1, model: doubler()})),
	}
	var wrong atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got := g.send("POST", infer, rowsOf(1))
				if got.status != 200 || got.body != strings.Replace(answered, `"1"`, `"`+got.header.Get("Segue-Model-Version")+`"`, 1) {
					wrong.Add(1)
				}
			}
		})
	}
	for i := range 200 {
		g.router.publish(tables[i%2])
		time.Sleep(time.Millisecond)
	}
	close(stop)
	wg.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d answers were wrong", n)
	}
}
