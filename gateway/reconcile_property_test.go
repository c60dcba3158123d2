package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

// world is a bench under random changes, with what must be true of it.
type world struct {
	*bench
	rt *rapid.T
	// lacking says, by model, since when a whole answer lacked its key; only
	// such a model may go.
	lacking map[string]time.Time
}

var worldModels = []string{"bach", "haydn", "mozart"}

// anyDocument is a document that is good, or has something wrong with it.
func (w *world) anyDocument(model string) string {
	contents := []string{"a", "b", "c", "d"}
	var versions, weights []string
	for _, v := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1", "2", "3"}), 1, 3, rapid.ID).Draw(w.rt, "versions") {
		content := rapid.SampledFrom(contents).Draw(w.rt, "content")
		if rapid.IntRange(0, 3).Draw(w.rt, "digest") == 0 {
			content += "@" + w.contents.digestOf(rapid.SampledFrom(contents).Draw(w.rt, "digest of"))
		}
		versions = append(versions, v+":"+content)
		if weight := rapid.IntRange(0, 3).Draw(w.rt, "weight"); weight > 0 {
			weights = append(weights, fmt.Sprintf("%s=%d", v, weight))
		}
	}
	text := document(model, strings.Join(versions, " "), strings.Join(weights, " "))
	if rapid.IntRange(0, 4).Draw(w.rt, "slip") == 0 {
		text = strings.Replace(text, `"model"`, `"modle"`, 1)
	}
	return text
}

// actions are what operators, the loader, the clock and misfortune do.
func (w *world) actions() map[string]func(*rapid.T) {
	model := func() string { return rapid.SampledFrom(worldModels).Draw(w.rt, "model") }
	return map[string]func(*rapid.T){
		"document": func(*rapid.T) { m := model(); w.set("models/"+m, w.anyDocument(m)) },
		"remove":   func(*rapid.T) { w.remove("models/" + model()) },
		"delete":   func(*rapid.T) { w.deleteByName(model()) },
		"hold": func(*rapid.T) {
			version := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(w.rt, "held")
			w.held(model(), version+"=1", rapid.SampledFrom([]time.Duration{time.Second, time.Minute, time.Hour}).Draw(w.rt, "for"))
		},
		"release": func(*rapid.T) { w.remove("overrides/" + model()) },
		"settings": func(*rapid.T) {
			text := rapid.SampledFrom([]string{"", "{", minimalSettings, `{"schema": 1, "freeze": true}`, `{"schema": 1, "require_digest": true}`}).Draw(w.rt, "settings")
			if w.remove("settings"); text != "" {
				w.set("settings", text)
			}
		},
		"loader": func(*rapid.T) {
			w.loader.state[rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(w.rt, "content")] =
				rapid.SampledFrom([]loader.State{loader.StateFetching, loader.StateFailed, loader.StateReady, loader.StateReady}).Draw(w.rt, "state")
			w.keepReady()
		},
		"clock": func(*rapid.T) {
			w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(w.rt, "time"))
			w.pass()
		},
		"read": func(*rapid.T) {
			w.partial = rapid.IntRange(0, 3).Draw(w.rt, "partial") == 0
			w.away = rapid.IntRange(0, 5).Draw(w.rt, "away") == 0
			w.step(w.read)
		},
		"restart": func(*rapid.T) {
			before := w.serves()
			for name, m := range w.r.models {
				for version, routed := range m.routed {
					if v := m.inForce.doc.Versions[version]; routed.Digest != v.Digest || routed.URI != v.URI {
						delete(before, name) // a digest that nobody stated is pinned for one process only
					}
				}
			}
			w.restart()
			w.pass()
			for m, text := range before {
				// What was ready is ready again, because its content is; only
				// a version without weight may have been left from before.
				if weighty(w.serving(m)) != weighty(text) && !w.loading(m) {
					w.rt.Fatalf("%s was served as %q and after a restart as %q", m, text, w.serving(m))
				}
			}
		},
	}
}

// weighty leaves the versions without weight out of what serving says.
func weighty(text string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(text), func(part string) bool { return strings.Contains(part, "=0") }), " ")
}

// keepReady is the loader's promise: a version that is Ready stays so while it
// is wanted.
func (w *world) keepReady() {
	for _, m := range w.r.router.load().models {
		for _, v := range m.versions {
			if v.resident != nil {
				for content, res := range w.contents.resident {
					if res == v.resident {
						w.loader.state[content] = loader.StateReady
					}
				}
			}
		}
	}
}

// loading reports that some version with weight has yet to come to life.
func (w *world) loading(model string) bool {
	m := w.r.models[model]
	return m != nil && m.waiting != ""
}

func (w *world) serves() map[string]string {
	all := map[string]string{}
	for name, m := range w.r.router.load().models {
		if m.split != nil {
			all[name] = w.serving(name)
		}
	}
	return all
}

// step reads a snapshot and holds what came of it against the rules.
func (w *world) step(read func()) {
	s := w.snapshot()
	before, settings := w.serves(), w.r.settings.inForce
	read()
	for _, m := range worldModels {
		_, there := s.Models[m]
		switch {
		case there || w.r.frozen():
			delete(w.lacking, m)
		case s.Authoritative && w.lacking[m].IsZero():
			w.lacking[m] = w.now
		}
	}
	if s.Settings != nil && len(s.Settings.Value) < 5 && w.r.settings.inForce != settings {
		w.rt.Fatal("bad settings were taken")
	}
	for name, text := range before {
		state := w.r.models[name]
		if state == nil || len(state.problems) == 0 || state.hold != nil || strings.HasPrefix(text, w.serving(name)) {
			continue
		}
		// A refused document changes nothing; an override beside it may.
		if got := w.serving(name); got != text && !strings.Contains(w.log.String(), "override") {
			w.rt.Fatalf("a refused document changed %s from %q to %q: %q", name, text, got, state.problems)
		}
	}
}

// check is what is true after every action.
func (w *world) check(*rapid.T) {
	table := w.r.router.load()
	for name, m := range table.models {
		if m.split == nil {
			continue
		}
		for _, version := range m.split.Versions() {
			if v := m.versions[version]; v == nil || v.resident == nil || v.runner == nil {
				w.rt.Fatalf("version %s of %s has weight and cannot answer: %s", version, name, w.serving(name))
			}
		}
		if w.r.models[name].inForce == nil {
			w.rt.Fatalf("%s is served and nothing is in force", name)
		}
	}
	for name, m := range w.r.models {
		if m.inForce != nil && table.models[name].split == nil {
			w.rt.Fatalf("%s does not answer any more", name)
		}
	}
}

func TestWhateverHappensTheTablePointsAtReadyVersionsAndNothingIsLost(t *testing.T) {
	c := newContents(t)
	for _, content := range []string{"a", "b", "c", "d"} {
		c.load(content)
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{bench: newBenchOf(t, t.TempDir(), c), rt: rt, lacking: map[string]time.Time{}}
		w.loader.t = rt
		served := map[string]bool{}
		actions := w.actions()
		actions[""] = func(*rapid.T) {
			w.check(rt)
			now := w.serves()
			for name := range served {
				since, lacks := w.lacking[name]
				if _, still := now[name]; !still && (!lacks || w.now.Before(since.Add(configs.DefaultDeleteGrace))) {
					// Only a restart may find a model that still loads.
					if w.r.models[name] == nil || w.r.models[name].lastGood == nil {
						rt.Fatalf("%s served, was not deleted by the rules, and serves no more", name)
					}
				}
			}
			served = map[string]bool{}
			for name := range now {
				served[name] = true
			}
		}
		rt.Repeat(actions)
	})
}
