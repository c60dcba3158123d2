package gateway

import (
	"testing"

	"github.com/segue-serving/segue/loader"
)

// wantsReady compares readiness, and why not, as the data path sees it.
func (b *bench) wantsReady(why string) {
	b.t.Helper()
	table := b.r.router.load()
	if table.ready != (why == "") || table.why != why {
		b.t.Errorf("ready %v %q, want %q", table.ready, table.why, why)
	}
	if b.r.status.newest.Load().Ready != (why == "") {
		b.t.Error("status says otherwise")
	}
}

func TestReadyIsOnceEveryModelWasTried(t *testing.T) {
	b := newBench(t)
	b.pass()
	b.wantsReady("the first configuration has not been read yet")
	b.loader.state["a"], b.loader.state["b"], b.loader.state["c"] = loader.StateFetching, loader.StateFetching, loader.StateFetching
	b.document("haydn", "1:a", "1=100")
	b.document("mozart", "1:b 2:c", "1=50 2=50")
	b.set("models/refused", "{")
	b.read()
	b.wantsReady("model haydn: version 1 is fetching")
	b.becomes(loader.StateReady, "a")
	b.wantsReady("model mozart: version 1 is fetching; version 2 is fetching")
	b.becomes(loader.StateFailed, "c")
	b.wantsReady("")
	// Nothing that happens later takes it back.
	b.document("haydn", "1:a 2:c", "2=100")
	b.remove("settings")
	b.partial = true
	b.read()
	b.wantsReady("")
	b.set("settings", `{"schema": 1, "ready_requires": ["nobody"]}`)
	b.read()
	b.wantsReady("")
}

func TestAVersionThatIsTriedAgainWasTried(t *testing.T) {
	b := newBench(t)
	b.document("haydn", "1:a", "1=100")
	b.document("mozart", "1:b", "1=100")
	b.loader.state["b"], b.loader.tried["b"] = loader.StateFetching, true
	b.read()
	b.wantsReady("")
}

func TestReadyNeedsOneModelThatServesIfThereIsAny(t *testing.T) {
	b := newBench(t)
	b.loader.state["a"] = loader.StateFailed
	b.document("mozart", "1:a", "1=100")
	b.read()
	b.wantsReady("no model serves")
	b.becomes(loader.StateReady, "a")
	b.wantsReady("")

	empty := newBench(t)
	empty.read()
	empty.wantsReady("")
}

func TestReadyNeedsWhatSettingsRequire(t *testing.T) {
	b := newBench(t)
	b.set("settings", `{"schema": 1, "ready_requires": ["mozart", "haydn"]}`)
	b.document("mozart", "1:a", "1=100")
	b.read()
	b.wantsReady("model haydn, which settings.ready_requires names, does not serve")
	b.document("haydn", "1:b", "1=100")
	b.read()
	b.wantsReady("")
}

func TestALastGoodDocumentThatStillLoadsIsWaitedFor(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	b.document("haydn", "1:b", "1=100")
	b.read()
	b.set("models/mozart", "{")
	b.loader.state["a"] = loader.StateFetching
	b.restart()
	b.read()
	b.wantsReady("model mozart: version 1 is fetching")
	b.becomes(loader.StateReady, "a")
	b.wantsReady("")
}

func TestTheCopyOnDiskMakesReadyToo(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	b.away = true
	b.read()
	b.wantsReady("")
}
