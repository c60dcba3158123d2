package gateway

import (
	"strings"
	"testing"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

// allowing is a document in which version 2 may break callers.
func allowing(text string) string {
	return strings.Replace(text, `"uri": "file:/breaks"`, `"uri": "file:/breaks", "allow_breaking": true`, 1)
}

func (b *bench) wantsWaiting(words ...string) {
	b.t.Helper()
	for _, w := range words {
		if got := b.status("mozart").Waiting; !strings.Contains(got, w) {
			b.t.Errorf("waiting %q, want …%s…", got, w)
		}
	}
}

func TestAVersionThatBreaksCallersTakesNoWeight(t *testing.T) {
	const why = `version 2 breaks the callers of version 1 (input "x" is gone, input "z" is new, and every request has to give it): versions."2".allow_breaking lets`
	b := newBench(t)
	first := b.document("mozart", "1:a", "1=100")
	b.read()
	breaking := document("mozart", "1:a 2:breaks", "1=50 2=50")
	b.set("models/mozart", breaking)
	b.read()
	b.wants("mozart", "%d 1=100a", first)
	b.wantsWaiting(why)

	// Neither a restart nor time makes a difference.
	b.loader.state["a"] = loader.StateFetching
	b.restart()
	b.read()
	b.wantsWaiting("version 2 is compared with version 1, which is fetching")
	b.becomes(loader.StateReady, "a")
	b.wants("mozart", "%d 1=100a", first)
	b.wantsWaiting(why)

	all := strings.Replace(breaking, `"weights"`, `"allow_breaking": true, "weights"`, 1)
	for _, text := range []string{allowing(breaking), all} {
		b.set("models/mozart", document("mozart", "1:a 2:breaks", "1=100 2=0"))
		b.read()
		b.answering("1=100a 2=0breaks")
		allowed := b.set("models/mozart", text)
		b.read()
		b.wants("mozart", "%d 1=50a 2=50breaks", allowed)
	}
	s := b.status("mozart").Versions["2"].Compatibility
	if s == nil || s.Than != "1" || s.Is != configs.CompatibilityBreaking || len(s.Differences) != 2 {
		t.Errorf("signature %+v", s)
	}
	b.wantsMetric("1", "segue_version_breaking", "model=mozart", "version=2")

	// What serves goes on serving, whatever is said now: it replaces nobody.
	again := b.document("mozart", "1:a 2:breaks", "1=10 2=90")
	b.read()
	b.wants("mozart", "%d 1=10a 2=90breaks", again)
	b.restart()
	b.read()
	b.wants("mozart", "%d 1=10a 2=90breaks", again)
	b.document("mozart", "1:a 2:breaks 3:c", "3=100")
	b.read()
	b.wantsWaiting("version 3 breaks the callers of version 2")
}

func TestAVersionThatBreaksNobodyGoesOn(t *testing.T) {
	for name, change := range map[string][2]string{
		"the same":          {"1:a 2:b", "1=50 2=50"},
		"one that is wider": {"1:a 2:widens", "2=100"},
		"one of no weight":  {"1:a 2:breaks", "1=100 2=0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.document("mozart", "1:a", "1=100")
			b.read()
			next := b.document("mozart", change[0], change[1])
			b.read()
			if s := b.status("mozart"); s.Index != next || s.Waiting != "" {
				t.Errorf("index %d, waiting %q, want index %d", s.Index, s.Waiting, next)
			}
		})
	}
	t.Run("the first of all", func(t *testing.T) {
		b := newBench(t)
		b.document("mozart", "1:a 2:breaks", "1=50 2=50")
		b.read()
		b.answering("1=50a 2=50breaks")
	})
	t.Run("the version replaced does not come to life", func(t *testing.T) {
		b := newBench(t)
		b.document("mozart", "1:a", "1=100")
		b.read()
		b.loader.state["a"] = loader.StateFailed
		b.document("mozart", "2:breaks", "2=100")
		b.restart()
		b.read()
		b.answering("2=100breaks")
	})
}

func TestARolloutOfABreakingCanaryWaits(t *testing.T) {
	b := newBench(t)
	text := document("mozart", "1:a 2:breaks", "", `"rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 10}]}`)
	b.set("models/mozart", text)
	b.settle()
	b.answering("1=100a 2=0breaks")
	b.wantsWaiting("the rollout waits: version 2 breaks the callers of version 1")
	if b.state() != nil {
		t.Errorf("it began: %+v", b.state())
	}
	b.set("models/mozart", allowing(text))
	b.settle()
	b.wantsState(configs.PhaseStep, 0)
	b.answering("1=90a 2=10breaks")
	b.restart()
	b.settle()
	b.answering("1=90a 2=10breaks")
}
