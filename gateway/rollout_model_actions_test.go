package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/loader"
)

func newRolloutModel(t *testing.T, rt *rapid.T, c *contents) *rolloutModel {
	w := &rolloutModel{t: t, rt: rt, store: configstest.NewStore(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		entered: map[string]bool{}, reopened: map[string]bool{}}
	w.set("settings", minimalSettings)
	for i := range rapid.IntRange(1, 3).Draw(rt, "gateways") {
		m := &member{back: map[string]bool{}, latest: w.now}
		m.bench = &bench{t: t, now: w.now, contents: c, store: w.store, dir: t.TempDir(), instance: fmt.Sprintf("gw%d", i)}
		m.bench.loader = &fakeLoader{t: rt, contents: c, state: map[string]loader.State{}, tried: map[string]bool{}}
		m.link = &link{Store: w.store, world: w, owner: m}
		m.bench.link = m.link
		m.start()
		w.members = append(w.members, m)
	}
	w.document(w.anyRollout())
	for _, m := range w.members {
		m.read()
		m.work()
	}
	return w
}

func (w *rolloutModel) reopen(s *configs.RolloutState) {
	if s != nil {
		w.reopened[s.ID()] = true
	}
}

// set writes a key by hand.
func (w *rolloutModel) set(key, value string) uint64 {
	return (&bench{store: w.store}).set(key, value)
}

// document writes a good document.
func (w *rolloutModel) document(text string) {
	doc, _, err := configs.Parse(configs.Entry{Name: "mozart", Value: []byte(text)})
	if err != nil {
		w.rt.Fatalf("%v\n%s", err, text)
	}
	w.documents = append(w.documents, givenDocument{text, doc, w.set("models/mozart", text)})
}

// anyRollout is a document with a rollout; only few are different, so that the
// same one comes back.
func (w *rolloutModel) anyRollout() string {
	canary := rapid.SampledFrom([]string{"2", "2", "3"}).Draw(w.rt, "canary")
	steps := rapid.SampledFrom([]string{
		`"steps": [{"weight": 10}, {"weight": 50, "min_time": "1m"}]`,
		`"steps": [{"weight": 20, "pause": true}, {"weight": 60}]`,
		`"steps": [{"weight": 25, "max_time": "5m"}], "on_inconclusive": "rollback"`,
		`"steps": [{"weight": 25, "max_time": "5m"}, {"weight": 40}], "on_inconclusive": "promote"`,
	}).Draw(w.rt, "steps")
	attempt := rapid.IntRange(0, 1).Draw(w.rt, "attempt")
	guards, traffic := "", []string{}
	if rapid.IntRange(0, 3).Draw(w.rt, "shadow") == 0 {
		guards = `, "guards": {"errors": {}, "shadow": {"max_disagreement": 0.1, "min_samples": 50}}`
		traffic = append(traffic, fmt.Sprintf(`"traffic": {"shadow": {%q: 50}}`, canary))
	}
	ro := fmt.Sprintf(`"rollout": {"stable": "1", "canary": %q, "attempt": %d, %s%s}`, canary, attempt, steps, guards)
	return document("mozart", "1:a 2:b 3:c", "", append(traffic, ro)...)
}

// any is one of the gateways.
func (w *rolloutModel) any() *member { return rapid.SampledFrom(w.members).Draw(w.rt, "gateway") }

// at moves the member's clock to the world's.
func (m *member) at() {
	m.now = m.link.world.now.Add(m.skew)
	if m.now.After(m.latest) {
		m.latest = m.now
	}
}

// pass is one pass of the reconciler alone: what it wants to write waits.
func (m *member) pass() {
	m.at()
	m.next = m.r.pass(m.now)
}

// read hands over what the store holds, where it can be read.
func (m *member) read() {
	m.at()
	if m.link.cut {
		return
	}
	s := m.snapshot()
	m.copied = &s
	m.r.ingest(s)
	m.pass()
}

// write does one decision's work and records what is owed.
func (m *member) write() {
	select {
	case d := <-m.r.decisions.jobs:
		m.r.decisions.finish(context.Background(), d)
	default:
	}
	for !m.link.cut && !m.link.deaf && !m.link.mute {
		select {
		case job := <-m.r.audit.jobs:
			m.r.audit.finish(context.Background(), job)
			continue
		default:
		}
		return
	}
}

// work is what a gateway does by itself within a moment.
func (m *member) work() {
	for range 3 {
		m.read()
		m.pass()
		m.write()
	}
}

// crash ends the process and starts another, which reads its own copies where
// the store is away. What was loaded need not come to life again, but for
// stable.
func (m *member) crash() {
	m.at()
	for _, content := range []string{"b", "c"} {
		m.loader.state[content] = rapid.SampledFrom([]loader.State{loader.StateReady, loader.StateReady, loader.StateProbing, loader.StateFailed}).Draw(m.link.world.rt, "after the crash")
	}
	m.restart()
	m.weights, m.lines, m.late = nil, 0, nil
	m.pass()
	if m.link.cut && m.copied != nil {
		s := *m.copied
		s.FromLastGood, s.Authoritative = true, false
		m.r.ingest(s)
		m.pass()
		return
	}
	m.read()
}

// busy are versions that answer: the loader's promise is that they stay Ready.
func (m *member) busy() map[string]bool {
	busy := map[string]bool{}
	for _, route := range m.r.router.load().models {
		for _, v := range route.versions {
			for content, res := range m.contents.resident {
				if v.resident == res || v.refused {
					busy[content] = true
				}
			}
		}
	}
	return busy
}

// decide is what an operator decides, on what is written now.
func (w *rolloutModel) decide() *configs.Write {
	item := w.store.Item(overrideKey)
	var o *configs.Override
	if item.Value != nil {
		o, _ = configs.ParseOverride(configs.Entry{Name: "mozart", Value: item.Value})
	}
	doc := w.documents[len(w.documents)-1].doc
	at := w.now.UTC().Truncate(time.Millisecond)
	verb := rapid.SampledFrom([]string{"step", "promote", "rollback", "pause", "resume", "retry", "hold", "release"}).Draw(w.rt, "verb")
	next := o
	switch verb {
	case "hold":
		weights := rapid.SampledFrom([]map[string]float64{{"1": 100}, {"1": 50, "2": 50}, {"3": 100}}).Draw(w.rt, "held")
		next = o.WithHold(doc, configs.Override{Weights: weights, By: "ada", Reason: "look", At: at, Until: at.Add(time.Hour)})
		if next.Check(doc) != nil {
			return nil
		}
	case "release":
		if o == nil || o.Kind != configs.OverrideHold {
			return nil
		}
		if next = o.Released(); next == nil {
			return &configs.Write{Key: overrideKey, Delete: true, Index: item.Index}
		}
	default:
		var err error
		if next, err = doc.Decide(o, configs.Decision{Event: configs.DecisionEvent(verb), By: "ada", Reason: "I say so", At: at}); err != nil {
			return nil
		}
	}
	return &configs.Write{Key: overrideKey, Value: configs.CanonicalOverride(next), Index: item.Index, Tool: true}
}

// actions are what operators, traffic, the loader, the network and the clock
// do, and single moves of single gateways.
func (w *rolloutModel) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"another rollout": func(*rapid.T) { w.document(w.anyRollout()) },
		"weights instead": func(*rapid.T) { w.document(document("mozart", "1:a 2:b 3:c", "1=70 2=30")) },
		"the same bytes":  func(*rapid.T) { w.document(w.documents[len(w.documents)-1].text) },
		"an older document": func(*rapid.T) {
			w.document(w.documents[rapid.IntRange(0, len(w.documents)-1).Draw(w.rt, "which")].text)
		},
		"an unrelated edit": func(*rapid.T) {
			w.edits++
			text, _, edited := strings.Cut(w.documents[len(w.documents)-1].text, `, "limits"`)
			if !edited {
				text = strings.TrimSuffix(text, "}")
			}
			w.document(fmt.Sprintf(`%s, "limits": {"rate": %d}}`, text, 1000+w.edits))
		},
		"a bad document": func(*rapid.T) { w.set("models/mozart", `{"model": "mozart", "versions": {}}`) },
		"freeze":         func(*rapid.T) { w.set("settings", `{"schema": 1, "freeze": true}`) },
		"thaw":           func(*rapid.T) { w.set("settings", minimalSettings) },
		"operator":       func(*rapid.T) { w.commit(w.decide()) },
		"slow operator": func(*rapid.T) {
			if w.pending != nil {
				w.commit(w.pending)
				w.pending = nil
				return
			}
			w.pending = w.decide()
		},
		"traffic": func(*rapid.T) { w.traffic() },
		"proof": func(*rapid.T) {
			for _, m := range w.members {
				m.proves()
			}
			for range 2 {
				for _, m := range w.members {
					m.r.exchange.round(context.Background())
				}
			}
			for _, m := range w.members {
				m.pass() // everybody decides before anybody reads
			}
			for _, m := range w.members {
				m.write()
			}
		},
		"late answers": func(*rapid.T) {
			m := w.any()
			for _, a := range m.late {
				a.record(outcomeModelError, -1, time.Millisecond)
			}
			m.late = nil
		},
		"loader": func(*rapid.T) {
			m := w.any()
			content := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(w.rt, "content")
			if !m.busy()[content] {
				m.loader.state[content] = rapid.SampledFrom([]loader.State{loader.StateFetching, loader.StateFailed, loader.StateReady}).Draw(w.rt, "state")
			}
			m.pass()
		},
		"clock": func(*rapid.T) {
			w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(w.rt, "time"))
		},
		"skew": func(*rapid.T) {
			w.any().skew = rapid.SampledFrom([]time.Duration{0, -time.Hour, -time.Second, time.Minute, 2 * time.Hour}).Draw(w.rt, "skew")
		},
		"partition": func(*rapid.T) { m := w.any(); m.link.cut = !m.link.cut },
		"read only": func(*rapid.T) { m := w.any(); m.link.mute = !m.link.mute },
		"lost answers": func(*rapid.T) {
			m := w.any()
			m.link.deaf = true
			m.write()
			m.link.deaf = false
		},
		"read":     func(*rapid.T) { w.any().read() },
		"pass":     func(*rapid.T) { w.any().pass() },
		"write":    func(*rapid.T) { w.any().write() },
		"exchange": func(*rapid.T) { w.any().r.exchange.round(context.Background()) },
		"restart":  func(*rapid.T) { w.any().crash() },
		"work": func(*rapid.T) {
			for _, m := range w.members {
				m.work()
			}
		},
	}
	for name, do := range all {
		all[name] = func(rt *rapid.T) {
			w.now = w.now.Add(time.Millisecond)
			do(rt)
		}
	}
	return all
}

// commit makes an operator's write.
func (w *rolloutModel) commit(write *configs.Write) {
	if write != nil {
		_, _ = w.apply(nil, *write) // a conflict is the operator's to see
	}
}

// traffic is requests of one gateway that both arms or one of them answer well
// or badly, copies, and requests that are still under way.
func (w *rolloutModel) traffic() {
	m := w.any()
	kind := rapid.SampledFrom([]string{"good", "bad canary", "bad both", "late", "broken canary"}).Draw(w.rt, "kind")
	route := m.r.router.load().models["mozart"]
	if route == nil {
		return
	}
	for _, s := range route.shadows {
		if s.recorder != nil {
			if kind == "bad canary" {
				observeCopies(s, 10, 30)
			} else {
				observeCopies(s, 60, 0)
			}
		}
	}
	if route.rollout == nil {
		return
	}
	switch kind {
	case "good":
		observe(route.rollout, true, 100, 0)
		observe(route.rollout, false, stableFor(route, 100), 0)
	case "bad canary":
		observe(route.rollout, true, 10, 10)
		observe(route.rollout, false, stableFor(route, 20), 0)
	case "bad both":
		observe(route.rollout, true, 90, 10)
		observe(route.rollout, false, stableFor(route, 90), stableFor(route, 10))
	case "late":
		for range 20 {
			m.late = append(m.late, assignment{rollout: route.rollout, canary: true})
		}
	case "broken canary":
		if v := route.versions[route.rollout.canary]; v.breaker != nil {
			v.breaker.trip()
		}
	}
}

// proves is traffic that is as good as evidence asks for.
func (m *member) proves() {
	route := m.r.router.load().models["mozart"]
	if route == nil {
		return
	}
	for _, s := range route.shadows {
		if s.recorder != nil {
			observeCopies(s, 120, 0)
		}
	}
	if route.rollout != nil {
		observe(route.rollout, true, 600, 0)
		observe(route.rollout, false, stableFor(route, 600), 0)
	}
}
