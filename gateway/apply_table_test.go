package gateway

import (
	"slices"
	"testing"
	"time"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/loader"
)

func TestTheTableSaysWhatTheDocumentSays(t *testing.T) {
	b := newBench(t)
	b.set("settings", `{"schema": 1, "limits": {"max_body": "2MiB", "max_in_flight": 9}}`)
	b.set("models/mozart", `{"model": "mozart", "nonfinite": "null",
		"versions": {"1": {"uri": "file:/a"}, "2": {"uri": "file:/b", "runtime": {"max_batch_size": 4, "threads": 2, "device": "cuda:1", "memory_limit": "3MiB"}}, "10": {"uri": "file:/c"}},
		"traffic": {"weights": {"1": 3, "2": 1}, "names": {"2": "challenger"}, "sticky": {"header": "X-User-Id", "salt": "s", "required": true}},
		"runtime": {"max_dimension": 99, "max_batch_size": 8},
		"limits": {"rate": 10, "queue": 5, "timeout": "1s"}}`)
	b.read()
	table := b.r.router.load()
	if table.maxBody != 2<<20 || table.maxInFlight != 9 {
		t.Errorf("limits %d %d", table.maxBody, table.maxInFlight)
	}
	m := table.models["mozart"]
	if m.nonFinite != oip.NonFiniteNull || m.stickyHeader != "X-User-Id" || !m.stickyRequired || m.timeout != time.Second {
		t.Errorf("model %+v", m)
	}
	if !slices.Equal(m.order, []string{"1", "2", "10"}) || m.latest != m.versions["1"] {
		t.Errorf("order %v, latest %s", m.order, m.latest.version)
	}
	if m.limiter.Limit() != 10 || m.limiter.Burst() != 10 {
		t.Errorf("limiter %v %v", m.limiter.Limit(), m.limiter.Burst())
	}
	v := m.versions["2"]
	if v.variant != "challenger" || m.versions["1"].variant != "v1" || v.maxBatch != 4 || v.state != loader.StateReady || v.runner == nil ||
		v.limits != (oip.Limits{MaxTensorBytes: 1 << 20, MaxDimension: 99, MaxBatch: 4}) {
		t.Errorf("version %+v", v)
	}
	for w := range b.loader.wanted {
		want := loader.Wanted{Model: "mozart", Version: w.Version, URI: w.URI, Device: "cpu", Threads: 1, Instances: 1, MaxBatch: 8, QueueLimit: 5}
		if w.Version == "2" {
			want.Threads, want.MaxBatch, want.Device, want.MemoryLimit = 2, 4, "cuda:1", 3<<20
		}
		if w != want {
			t.Errorf("the loader is asked for %+v, want %+v", w, want)
		}
	}
	if len(b.loader.wanted) != 3 {
		t.Errorf("the loader is asked for %v", b.loader.wanted)
	}
}

func TestSpellingADefaultOutLoadsNothingAnew(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	b.read()
	for range b.loader.wanted {
		before := b.loader.wanted
		b.document("mozart", "1:a", "1=100", `"limits": {"queue": 256}`, `"runtime": {"threads": 1, "max_batch_size": 32, "device": "cpu"}`)
		b.read()
		for w := range b.loader.wanted {
			if _, same := before[w]; !same {
				t.Errorf("loaded anew: %+v", w)
			}
		}
	}
}

func TestALimiterOutlivesTablesWhileItsRateStays(t *testing.T) {
	b := newBench(t)
	limiter := func() any { return b.r.router.load().models["mozart"].limiter }
	b.document("mozart", "1:a 2:b", "1=100", `"limits": {"rate": 10}`)
	b.read()
	first := limiter()
	b.document("mozart", "1:a 2:b", "2=100", `"limits": {"rate": 10}`)
	b.read()
	if limiter() != first {
		t.Error("an unrelated change filled the bucket again")
	}
	b.document("mozart", "1:a 2:b", "2=100", `"limits": {"rate": 20}`)
	b.read()
	if limiter() == first {
		t.Error("another rate changed nothing")
	}
	b.document("mozart", "1:a 2:b", "2=100")
	b.read()
	if b.r.router.load().models["mozart"].limiter != nil || len(b.r.limiters) != 0 {
		t.Error("without a rate there is a limiter")
	}
}

func TestAModelThatDoesNotServeSaysWhereItsVersionsAre(t *testing.T) {
	b := newBench(t)
	b.loader.state["b"] = loader.StateProbing
	b.document("mozart", "1:a 2:b", "1=50 2=50")
	b.set("models/refused", "{")
	b.read()
	m := b.r.router.load().models["mozart"]
	if m.split != nil || m.index != "0" || m.latest != m.versions["2"] || m.versions["1"].resident == nil || m.versions["2"].state != loader.StateProbing {
		t.Errorf("%+v", m)
	}
	refused := b.r.router.load().models["refused"]
	if refused == nil || refused.split != nil || refused.reason != "its configuration was refused" || refused.index != "0" {
		t.Errorf("%+v", refused)
	}
}

func TestTheLargestShareIsTheOneThatMetadataShows(t *testing.T) {
	for weights, want := range map[string]string{"1=100": "1", "1=50 2=50": "2", "1=40 2=60": "2", "1=60 2=40": "1"} {
		b := newBench(t)
		b.document("mozart", "1:a 2:b", weights)
		b.read()
		if got := b.r.router.load().models["mozart"].latest.version; got != want {
			t.Errorf("%s: %s, want %s", weights, got, want)
		}
	}
}
