package gateway

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

// fleetModel is two gateways on one store, and all that was ever decided.
type fleetModel struct {
	gateways []*bench
	store    *memoryStore
	written  []*configs.Override // every override that the store has ever held
	attempt  int
}

// TestNoSequenceOfEventsMovesWeightWithoutReason drives two gateways through
// documents, outcomes, decisions of people, crashes after which the canary may
// not come to life, and a store that is away. Whatever happens, a version with a share is in
// memory and not refused, and a canary's share is one that somebody decided: the
// stored state's, or none, which is what a rollback leaves.
func TestNoSequenceOfEventsMovesWeightWithoutReason(t *testing.T) {
	c := newContents(t)
	for _, content := range []string{"a", "b"} {
		c.load(content)
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := &fleetModel{store: newMemoryStore()}
		for n := range 2 {
			b := newBenchOf(t, t.TempDir(), c)
			b.store, b.now = m.store, b.now.Add(time.Duration(n))
			b.start()
			b.set("settings", minimalSettings)
			m.gateways = append(m.gateways, b)
		}
		m.gateways[0].rollsOut()
		m.everybody(func(b *bench) { b.read() })
		rt.Repeat(map[string]func(*rapid.T){
			"": func(rt *rapid.T) { m.check(rt) },
			"time passes": func(rt *rapid.T) {
				d := time.Duration(rapid.IntRange(1, 120).Draw(rt, "seconds")) * time.Second
				m.everybody(func(b *bench) { b.after(d) })
			},
			"everybody reads": func(*rapid.T) { m.everybody(func(b *bench) { b.read() }) },
			"one reads":       func(rt *rapid.T) { m.one(rt).read() },
			"evidence is exchanged": func(rt *rapid.T) {
				m.one(rt).r.exchange.round(t.Context())
			},
			"requests": func(rt *rapid.T) {
				b := m.one(rt)
				route := b.r.router.load().models["mozart"].rollout
				if route == nil {
					return
				}
				bad := rapid.SampledFrom([]int{0, 0, 0, 1, 30}).Draw(rt, "bad")
				b.requests(800, 0, false)
				b.requests(800, bad, true)
				b.pass()
			},
			"another document": func(rt *rapid.T) {
				m.attempt = rapid.IntRange(0, 3).Draw(rt, "attempt")
				m.gateways[0].document("mozart", "1:a 2:b", "", fmt.Sprintf(`"rollout": {"stable": "1", "canary": "2", "attempt": %d, "steps": [{"weight": 10}, {"weight": 50}]}`, m.attempt))
			},
			"the canary is loaded": func(rt *rapid.T) { m.one(rt).becomes(loader.StateReady, "b") },
			"the store is away": func(rt *rapid.T) {
				m.store.err = nil
				if rapid.Bool().Draw(rt, "away") {
					m.store.err = configs.ErrUnreachable
				}
			},
			"a crash": func(rt *rapid.T) {
				b := m.one(rt)
				b.now = b.now.Add(time.Nanosecond)
				b.write()
				b.loader.state["b"] = rapid.SampledFrom([]loader.State{loader.StateReady, loader.StateProbing, loader.StateFailed}).Draw(rt, "the canary")
				b.start()
			},
			"a person decides": func(rt *rapid.T) {
				m.decide(rapid.SampledFrom([]configs.DecisionEvent{configs.DecidePromote, configs.DecideRollback, configs.DecidePause, configs.DecideResume,
					configs.DecideRetry}).Draw(rt, "decision"))
			},
		})
	})
}

func (m *fleetModel) everybody(f func(*bench)) {
	for _, b := range m.gateways {
		f(b)
		m.note()
	}
}

func (m *fleetModel) one(rt *rapid.T) *bench {
	return m.gateways[rapid.IntRange(0, len(m.gateways)-1).Draw(rt, "gateway")]
}

// note remembers what the store holds.
func (m *fleetModel) note() {
	if item, ok := m.store.items["overrides/mozart"]; ok {
		if o, err := configs.ParseOverride(configs.Entry{Name: "mozart", Value: item.Value}); err == nil {
			m.written = append(m.written, o)
		}
	}
}

// decide is what seguectl does.
func (m *fleetModel) decide(event configs.DecisionEvent) {
	b := m.gateways[0]
	item := m.store.items["overrides/mozart"]
	o, _ := configs.ParseOverride(configs.Entry{Name: "mozart", Value: item.Value})
	doc, _, err := configs.Parse(configs.Entry{Name: "mozart", Value: m.store.items["models/mozart"].Value})
	if err != nil {
		return
	}
	if item.Value == nil {
		o = nil
	}
	next, err := doc.Decide(o, configs.Decision{Event: event, By: "ada", Reason: "says so", At: b.now.UTC()})
	if err == nil {
		b.set("overrides/mozart", string(configs.CanonicalOverride(next)))
		m.note()
	}
}

func (m *fleetModel) check(rt *rapid.T) {
	m.note()
	for n, b := range m.gateways {
		route := b.r.router.load().models["mozart"]
		if route == nil || route.split == nil {
			continue
		}
		for _, version := range route.split.Versions() {
			if v := route.versions[version]; v.resident == nil || v.refused {
				rt.Fatalf("gateway %d: version %s has a share and cannot answer", n, version)
			}
		}
		share := route.split.Share("2")
		if share == 0 {
			continue
		}
		decided := slices.ContainsFunc(m.written, func(o *configs.Override) bool {
			steps := []configs.Step{{Weight: 10}, {Weight: 50}}
			return o.Rollout != nil && math.Abs(o.Rollout.CanaryWeight(&configs.Rollout{Steps: steps})/100-share) < 1e-9
		})
		if !decided {
			rt.Fatalf("gateway %d: nobody decided that the canary has %v", n, share)
		}
		// What is known here to have been taken back has no share here.
		if o := b.r.overrideOf("mozart"); o != nil && o.Rollout != nil && o.Rollout.Phase == configs.PhaseRolledBack && b.r.models["mozart"].rollout == o.Rollout {
			rt.Fatalf("gateway %d: the canary has %v after it was taken back", n, share)
		}
	}
	// Whatever a gateway wrote is on record, under the index of the write.
	for _, key := range slices.Sorted(maps.Keys(m.store.items)) {
		item := m.store.items[key]
		if key != "overrides/mozart" || m.store.err != nil || !strings.Contains(string(item.Value), `"by": "gateway`) {
			continue
		}
		prefix := fmt.Sprintf("audit/mozart/%020d-", item.Index)
		if !slices.ContainsFunc(slices.Collect(maps.Keys(m.store.items)), func(k string) bool { return strings.HasPrefix(k, prefix) }) {
			rt.Fatalf("what a gateway decided at index %d is not on record: %s", item.Index, item.Value)
		}
	}
}
