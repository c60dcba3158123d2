package gateway

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// canaried is a model whose version 2, a canary, does what the test says, and
// whose version 1 stands in for it.
func canaried(g *testGateway, canary func(in []runtime.Tensor) ([]runtime.Tensor, error)) *modelRoute {
	broken := doubler()
	broken.Func = func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) { return canary(in) }
	// The stable version has no weight, so that every request is the canary's.
	m := g.model("mozart", version{name: "1", model: doubler()}, version{name: "2", weight: 1, model: broken})
	for _, v := range m.versions {
		v.breaker = newBreaker(nil)
	}
	m.fallback = asFallback(m.versions["1"], g.metrics)
	g.put(m)
	return m
}

func failing([]runtime.Tensor) ([]runtime.Tensor, error) { return nil, errors.New("broken") }

func TestACanaryThatFailsIsAnsweredForByStable(t *testing.T) {
	infinite := func(in []runtime.Tensor) ([]runtime.Tensor, error) {
		return []runtime.Tensor{runtimetest.FP32("y", in[0].Shape, 1, float32(math.Inf(1)), 2)}, nil
	}
	panics := func([]runtime.Tensor) ([]runtime.Tensor, error) { panic("boom") }
	for name, c := range map[string]struct {
		run    func([]runtime.Tensor) ([]runtime.Tensor, error)
		reason fallbackReason
		ended  outcome
	}{
		"error": {failing, fallbackModelError, outcomeModelError}, "panic": {panics, fallbackModelError, outcomeModelError},
		"not finite": {infinite, fallbackNonFinite, outcomeNonFinite},
	} {
		t.Run(name, func(t *testing.T) {
			g := newTestGateway(t)
			m := canaried(g, c.run)
			for _, path := range []string{infer, predict} {
				body := rowsOf(1)
				if path == predict {
					body = instances
				}
				got := g.send("POST", path, body, jsonType)
				if got.status != 200 || got.header.Get("Segue-Model-Version") != "1" || got.header.Get("Segue-Variant") != "fallback" {
					t.Fatalf("%s: %d %v %s", path, got.status, got.header, got.body)
				}
				id, err := g.ids.parse(got.header.Get("Segue-Prediction-Id"))
				if err != nil || id.names != hashNames("mozart", "1", "fallback") {
					t.Errorf("prediction id %+v, %v", id, err)
				}
			}
			canary, stable := m.versions["2"].metrics, m.fallback.metrics
			if canary.fallbacks[c.reason].Load() != 2 || canary.total().attempts[c.ended] != 2 || stable.total().attempts[outcomeOK] != 2 {
				t.Errorf("canary %v %v, stable %v", canary.fallbacks[c.reason].Load(), canary.total().attempts, stable.total().attempts)
			}
			if got := stable.requestTotal(protocolHTTP, statusIndex(200)); got != 2 {
				t.Errorf("%d requests counted as fallback", got)
			}
			// Who names the version hears of its failure.
			if got := g.send("POST", "/v2/models/mozart/versions/2/infer", rowsOf(1)); got.status != 500 {
				t.Errorf("the version by name: %d", got.status)
			}
		})
	}
}

func TestAFallbackAnswersOverGRPCToo(t *testing.T) {
	g := newTestGateway(t)
	canaried(g, failing)
	client := g.rpc()
	got, err := client.ModelInfer(t.Context(), rowsMessage(1))
	if err != nil || got.GetModelVersion() != "1" {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestABrokenCanaryIsLeftAloneUntilItsBreakerCloses(t *testing.T) {
	g := newTestGateway(t)
	var runs atomic.Int64
	m := canaried(g, func(in []runtime.Tensor) ([]runtime.Tensor, error) { runs.Add(1); return failing(in) })
	for range breakerRequests + 30 {
		if got := g.send("POST", infer, rowsOf(1)); got.status != 200 || got.header.Get("Segue-Variant") != "fallback" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	canary := m.versions["2"]
	if runs.Load() != breakerRequests || canary.metrics.total().attempts[outcomeBreakerOpen] != 30 || canary.metrics.fallbacks[fallbackBreaker].Load() != 30 {
		t.Errorf("%d runs, attempts %v, %d fallbacks", runs.Load(), canary.metrics.total().attempts, canary.metrics.fallbacks[fallbackBreaker].Load())
	}
	canary.breaker.wants(t, breakerOpen)
	got := g.send("POST", "/v2/models/mozart/versions/2/infer", rowsOf(1))
	got.want(t, 503, `{"error":"version \"2\" of model \"mozart\" failed too often and is not tried for now"}`)
	if got.header.Get("Retry-After") != "5" || got.header.Get("Segue-Prediction-Id") != "" {
		t.Errorf("headers %v", got.header)
	}
	exported := strings.Join(g.series("segue_breaker_state", "segue_fallbacks_total"), "\n") + "\n"
	for _, line := range []string{
		`segue_breaker_state{model="mozart",state="open",version="2"} 1`, `segue_breaker_state{model="mozart",state="closed",version="2"} 0`,
		`segue_breaker_state{model="mozart",state="closed",version="1"} 1`,
		`segue_fallbacks_total{from_version="2",model="mozart",reason="breaker_open"} 30`,
		`segue_fallbacks_total{from_version="2",model="mozart",reason="model_error"} 20`,
	} {
		if !strings.Contains(exported, line+"\n") {
			t.Errorf("not exported: %s", line)
		}
	}
	// Where stable is broken too, nobody is left to answer.
	m.fallback.breaker.trip()
	g.send("POST", infer, rowsOf(1)).want(t, 503, `{"error":"version \"1\" of model \"mozart\" failed too often and is not tried for now"}`)
}

func TestTheLargestShareStandsInForTheOthers(t *testing.T) {
	b := newBench(t)
	fallback := func(weights string) string {
		b.document("mozart", "1:a 2:b 10:c", weights)
		b.read()
		m := b.r.router.load().models["mozart"]
		if m.fallback == nil {
			return ""
		}
		if m.fallback.variant != "fallback" || m.fallback.resident != m.versions[m.fallback.version].resident || m.fallback.breaker != m.versions[m.fallback.version].breaker {
			t.Errorf("%s: %+v", weights, m.fallback)
		}
		return m.fallback.version
	}
	for weights, want := range map[string]string{"1=100": "", "1=90 2=10": "1", "1=10 2=90": "2", "2=50 10=50": "2", "1=30 2=40 10=30": "2"} {
		if got := fallback(weights); got != want {
			t.Errorf("%s: %q, want %q", weights, got, want)
		}
	}
}

func TestABreakerLivesAsLongAsWhatItGuards(t *testing.T) {
	b := newBench(t)
	breaker := func(version string) *breaker { return b.r.router.load().models["mozart"].versions[version].breaker }
	b.document("mozart", "1:a 2:b", "1=90 2=10")
	b.read()
	first := breaker("2")
	first.trip()
	select {
	case <-b.r.changed:
	default:
		t.Error("nobody was told of the trip")
	}
	b.document("mozart", "1:a 2:b", "1=80 2=20", `"limits": {"rate": 10}`)
	b.read()
	if breaker("2") != first {
		t.Error("an unrelated change forgot what is known of the version")
	}
	b.document("mozart", "1:a 3:c", "1=80 3=20")
	b.read()
	b.document("mozart", "1:a 3:c 2:b", "1=80 3=20")
	b.read()
	if breaker("2") == first || len(b.r.breakers) != 3 {
		t.Errorf("%d breakers", len(b.r.breakers))
	}
}
