package gateway

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader"
)

// keptVersions are the versions of mozart that the loader must keep in memory.
func (b *bench) keptVersions() string {
	kept := map[string]bool{}
	for w, t := range b.r.terms() {
		if t.Keep {
			kept[w.Version] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(kept)), " ")
}

func TestWhatAnswersOrCouldIsKeptInMemory(t *testing.T) {
	const idle = `"runtime": {"idle_unload": "1m"}`
	for _, c := range []struct {
		name, versions, weights, want string
		more                          []string
	}{
		{"weights", "1:a 2:b 3:c", "1=90 2=10 3=0", "1 2", nil},
		{"no weights", "1:a 2:b", "", "2", nil},
		{"copies", "1:a 2:b 3:c", "", "1 3", []string{`"traffic": {"weights": {"1": 100}, "shadow": {"3": 5, "2": 0}}`}},
		{"a rollout", "1:a 2:b 3:c", "", "1 2", []string{`"rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 10}]}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.document("mozart", c.versions, c.weights, append(c.more, idle)...)
			b.read()
			if got := b.keptVersions(); got != c.want {
				t.Errorf("kept %q, want %q", got, c.want)
			}
			for w, terms := range b.r.terms() {
				if terms.Idle != time.Minute || terms.RunLimit != leastRunLimit {
					t.Errorf("version %s: %+v", w.Version, terms)
				}
			}
		})
	}
	t.Run("pinned", func(t *testing.T) {
		b := newBench(t)
		b.set("models/mozart", strings.Replace(document("mozart", "1:a 2:b", "1=100", idle), `"uri": "file:/b"`, `"uri": "file:/b", "pin": true`, 1))
		b.read()
		if got := b.keptVersions(); got != "1 2" {
			t.Errorf("kept %q", got)
		}
	})
	t.Run("a hold, and what the document says beneath it", func(t *testing.T) {
		b := newBench(t)
		b.document("mozart", "1:a 2:b 3:c", "1=100", idle)
		b.held("mozart", "2=100", time.Hour)
		b.read()
		if got := b.keptVersions(); got != "1 2" {
			t.Errorf("kept %q", got)
		}
		b.after(time.Hour)
		b.read()
		if got := b.keptVersions(); got != "1" {
			t.Errorf("kept %q after the hold", got)
		}
	})
	t.Run("what is in force, and what is to be", func(t *testing.T) {
		b := newBench(t)
		b.document("mozart", "1:a 3:c", "1=100", idle)
		b.read()
		b.loader.state["b"] = loader.StateProbing
		b.document("mozart", "1:a 2:b 3:c", "2=100", idle)
		b.read()
		if got := b.keptVersions(); got != "1 2" {
			t.Errorf("kept %q while version 2 is awaited", got)
		}
		b.becomes(loader.StateReady, "b")
		if got := b.keptVersions(); got != "2" {
			t.Errorf("kept %q", got)
		}
	})
}

// A version that was unloaded stays the same version: its content does not
// depend on whether it is in memory.
func TestAnUnloadedVersionKeepsItsContent(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a 2:b", "1=100")
	b.read()
	before := b.r.models["mozart"].routed["2"]
	b.document("mozart", "1:a 2:c", "1=100") // other content under the same number, and no digest
	b.read()
	pinned := b.r.wantedVersion(b.r.models["mozart"], b.r.models["mozart"].wanted, "2")
	b.loader.state["b"] = loader.StateEvicted
	if got := b.r.wantedVersion(b.r.models["mozart"], b.r.models["mozart"].wanted, "2"); got != pinned || pinned.Digest == "" || before == pinned {
		t.Errorf("wanted %+v, and %+v while it is in memory", got, pinned)
	}
}

func TestARequestBringsAnIdleVersionBack(t *testing.T) {
	b := newBench(t)
	b.loader.state["b"] = loader.StateEvicted
	b.document("mozart", "1:a 2:b", "1=100", `"runtime": {"idle_unload": "1m"}`)
	b.read()
	v := b.r.router.load().models["mozart"].versions["2"]
	if v.resident != nil || v.ask == nil {
		t.Fatalf("version 2 is %+v", v)
	}
	v.ask()
	if want := []string{"2"}; !slices.Equal(b.loader.asked, want) {
		t.Errorf("asked for %q, want %q", b.loader.asked, want)
	}
	if s := b.status("mozart"); s.Waiting != "" || s.Versions["2"].State != "Evicted" {
		t.Errorf("status %+v", s)
	}
	for _, state := range []loader.State{loader.StateOpening, loader.StateFailed, loader.StateReady} {
		b.becomes(state, "b")
		if v := b.r.router.load().models["mozart"].versions["2"]; v.ask != nil {
			t.Errorf("a version that is %s can be asked for", state)
		}
	}
}
