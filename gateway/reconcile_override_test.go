package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

func TestAHoldStandsAgainstDocumentsUntilItEnds(t *testing.T) {
	b := newBench(t)
	first := b.document("mozart", "1:a 2:b", "1=90 2=10")
	b.read()
	hold := b.held("mozart", "1=100", time.Hour)
	b.read()
	b.wants("mozart", "%d 1=100a 2=0b", hold)
	b.wantsMetric("1", "segue_override_active", "model=mozart", "kind=hold")
	b.wantsMetric(fmt.Sprint(first), "segue_config_index", "model=mozart")
	o := b.status("mozart").Override
	if o == nil || o.Kind != configs.OverrideHold || o.By != "ada" || o.Reason != "errors" || !o.Until.Equal(b.now.Add(time.Hour)) || o.Weights["1"] != 100 {
		t.Errorf("status %+v", o)
	}

	second := b.document("mozart", "1:a 2:b 3:c", "2=50 3=50")
	b.read()
	b.wants("mozart", "%d 1=100a 2=0b 3=0c", second)

	b.after(time.Hour - time.Second)
	b.wants("mozart", "%d 1=100a 2=0b 3=0c", second)
	if !b.next.Equal(b.now.Add(time.Second)) {
		t.Errorf("the next pass is at %v", b.next)
	}
	b.after(time.Second)
	b.wants("mozart", "%d 1=0a 2=50b 3=50c", second)
	b.wantsMetric("0", "segue_override_active", "model=mozart", "kind=hold")
	if !slices.Contains(b.store.Writes(), "delete overrides/mozart") || b.store.Item("overrides/mozart").Index != 0 {
		t.Errorf("the hold that ended is still there: %q", b.store.Writes())
	}
	b.wantsMetric("1", "segue_consul_writes_total", "kind=overrides", "outcome=ok")
	if b.status("mozart").Override != nil {
		t.Error("status still shows it")
	}
}

func TestAHoldThatEndedIsDeletedOnceAndNotInsteadOfAnother(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a 2:b", "1=90 2=10")
	b.held("mozart", "1=100", time.Hour)
	b.read()
	old := b.snapshot()
	newer := b.held("mozart", "2=100", 3*time.Hour)
	b.after(time.Hour) // the newer one was not read yet
	if b.store.Item("overrides/mozart").Index != newer {
		t.Fatal("another override was deleted")
	}
	b.wantsMetric("1", "segue_consul_writes_total", "kind=overrides", "outcome=conflict")
	b.r.ingest(old) // and comes late
	b.pass()
	b.wantsMetric("1", "segue_consul_writes_total", "kind=overrides", "outcome=conflict")
	b.read()
	b.wants("mozart", "%d 1=0a 2=100b", newer)
}

func TestAReleaseEndsAHold(t *testing.T) {
	b := newBench(t)
	first := b.document("mozart", "1:a 2:b", "1=90 2=10")
	hold := b.held("mozart", "1=100", time.Hour)
	b.read()

	// It is no release that a store which was wiped, restored or half readable
	// lacks the key.
	b.remove("overrides/mozart")
	b.partial = true
	b.read()
	b.wants("mozart", "%d 1=100a 2=0b", hold)
	b.partial = false
	b.read()
	b.wants("mozart", "%d 1=90a 2=10b", first)
}

func TestAHoldWorksWhileANewerDocumentWaits(t *testing.T) {
	b := newBench(t)
	first := b.document("mozart", "1:a 2:b", "1=90 2=10")
	b.read()
	b.loader.state["c"] = loader.StateFailed
	b.document("mozart", "1:a 2:b 3:c", "3=100")
	b.read()
	b.wants("mozart", "%d 1=90a 2=10b", first)
	hold := b.held("mozart", "2=100", time.Hour)
	b.read()
	// The newer document may come into force under the hold, which needs
	// nothing of version 3.
	b.wants("mozart", "%d 1=0a 2=100b 3=0-", hold)
	b.after(time.Hour)
	b.wants("mozart", "%d 1=0a 2=100b 3=0-", hold)
	b.waitsFor("mozart", "version 3 is failed")
	b.becomes(loader.StateReady, "c")
	b.wants("mozart", "%d 1=0a 2=0b 3=100c", b.store.Item("models/mozart").Index)
}

func TestAHoldWorksOnTheDocumentInForceWhileTheNewestLacksItsVersion(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a 2:b", "1=90 2=10")
	b.read()
	b.loader.state["c"] = loader.StateFetching
	b.document("mozart", "3:c", "3=100")
	b.read()
	hold := b.held("mozart", "2=100", time.Hour)
	b.read()
	b.wants("mozart", "%d 1=0a 2=100b", hold)
	if got := b.status("mozart").Waiting; !strings.HasPrefix(got, "version 3 is fetching; the hold by ada does not apply") {
		t.Errorf("waits for %q", got)
	}
	b.becomes(loader.StateReady, "c")
	b.wants("mozart", "%d 3=100c", b.store.Item("models/mozart").Index)
	b.waitsFor("mozart", "the hold by ada does not apply")
	b.waitsFor("mozart", `weights."2"`)
	if b.status("mozart").Override != nil {
		t.Error("status shows a hold that does not apply")
	}
	b.wantsMetric("0", "segue_override_active", "model=mozart", "kind=hold")
	// It applies again when its version is back.
	b.document("mozart", "2:b 3:c", "3=100")
	b.read()
	b.wants("mozart", "%d 2=100b 3=0c", b.store.Item("models/mozart").Index)
}

func TestStatusNamesWhatTheNewestDocumentWaitsForFirst(t *testing.T) {
	b := newBench(t)
	b.loader.state["b"], b.loader.state["c"] = loader.StateFailed, loader.StateFailed
	first := b.document("mozart", "1:a 2:b", "1=100")
	b.read()
	b.held("mozart", "2=100", time.Hour) // which the document in force cannot follow
	b.document("mozart", "3:c", "3=100")
	b.read()
	b.wants("mozart", "%d 1=100a 2=0-", first)
	if got := b.status("mozart").Waiting; !strings.HasPrefix(got, "version 3 is failed") {
		t.Errorf("waits for %q", got)
	}
}

func TestAHoldOnAVersionThatIsNotReadyWaits(t *testing.T) {
	b := newBench(t)
	b.loader.state["b"] = loader.StateFailed
	first := b.document("mozart", "1:a 2:b", "1=100")
	b.read()
	hold := b.held("mozart", "2=100", time.Hour)
	b.read()
	b.wants("mozart", "%d 1=100a 2=0-", first)
	b.waitsFor("mozart", "version 2 is failed: broken")
	if b.status("mozart").Override == nil {
		t.Error("status does not show the hold that is awaited")
	}
	b.wantsMetric("0", "segue_override_active", "model=mozart", "kind=hold")
	b.becomes(loader.StateReady, "b")
	b.wants("mozart", "%d 1=0a 2=100b", hold)
}

func TestAnOverrideThatCannotBeReadChangesNothing(t *testing.T) {
	for name, text := range map[string]string{
		"nonsense": "{",
		"unknown":  `{"kind": "other", "by": "ada"}`,
		"too long": `{"kind": "hold", "basis": "", "weights": {"2": 1}, "by": "ada", "reason": "x", "at": "2026-03-01T12:00:00Z", "until": "2026-03-09T12:00:00Z"}`,
		"far away": `{"kind": "hold", "basis": "", "weights": {"2": 1}, "by": "ada", "reason": "x", "at": "2099-03-01T12:00:00Z", "until": "2099-03-02T12:00:00Z"}`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.document("mozart", "1:a 2:b", "1=90 2=10")
			hold := b.held("mozart", "1=100", time.Hour)
			b.read()
			b.set("overrides/mozart", text)
			b.read()
			b.read()
			b.wants("mozart", "%d 1=100a 2=0b", hold)
			b.wantsMetric("1", "segue_config_rejected_total", "reason=override")
			b.wantsMetric("1", "segue_config_last_reload_successful", "model=mozart")
			if got := strings.Count(b.log.String(), "override refused"); got != 1 {
				t.Errorf("said %d times", got)
			}
		})
	}
}

func TestAnOverrideMayComeBeforeItsModel(t *testing.T) {
	b := newBench(t)
	hold := b.held("mozart", "2=100", time.Hour)
	b.read()
	b.document("mozart", "1:a 2:b", "1=100")
	b.read()
	b.wants("mozart", "%d 1=0a 2=100b", b.store.Item("models/mozart").Index)
	if got := b.r.overrides["mozart"].good.entry.Index; got != hold {
		t.Errorf("hold at %d, want %d", got, hold)
	}
	// One of a model that never comes is deleted at its end all the same.
	b.held("nobody", "1=100", time.Minute)
	b.read()
	b.after(time.Minute)
	if b.store.Item("overrides/nobody").Index != 0 {
		t.Error("it is still there")
	}
}
