package gateway

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

func TestADocumentComesIntoForceWhenAllItsWeightIsReady(t *testing.T) {
	b := newBench(t)
	b.loader.state["a"], b.loader.state["b"] = loader.StateFetching, loader.StateProbing
	first := b.document("mozart", "1:a 2:b", "1=90 2=10")
	b.read()
	b.wants("mozart", "nothing: version 1 is fetching; version 2 is probing")
	b.becomes(loader.StateReady, "a")
	b.wants("mozart", "nothing: version 2 is probing")
	b.becomes(loader.StateReady, "b")
	b.wants("mozart", "%d 1=90a 2=10b", first)
	b.waitsFor("mozart", "")
	b.wantsMetric("0.9", "segue_route_weight_ratio", "model=mozart", "version=1")

	// The old table serves while a new version loads, fails, and is tried again.
	b.loader.state["c"] = loader.StateOpening
	second := b.document("mozart", "1:a 3:c", "3=100")
	b.read()
	for _, state := range []loader.State{loader.StateOpening, loader.StateFailed, loader.StateWanted, loader.StateFailed} {
		b.becomes(state, "c")
		b.wants("mozart", "%d 1=90a 2=10b", first)
		b.waitsFor("mozart", "version 3 is "+strings.ToLower(state.String()))
		b.wantsMetric("1", "segue_route_weight_wanted_ratio", "model=mozart", "version=3")
		b.wantsMetric("0", "segue_route_weight_ratio", "model=mozart", "version=3")
		if got := b.status("mozart").Versions["3"]; got.State != state.String() || (state == loader.StateFailed) != (got.Reason == "broken") {
			t.Errorf("status of version 3: %+v", got)
		}
	}
	b.becomes(loader.StateReady, "c")
	b.wants("mozart", "%d 1=0a 3=100c", second)
}

func TestAVersionWithoutWeightHoldsNothingUp(t *testing.T) {
	b := newBench(t)
	b.loader.state["b"] = loader.StateFetching
	index := b.document("mozart", "1:a 2:b", "1=100 2=0")
	b.read()
	b.wants("mozart", "%d 1=100a 2=0-", index)
	b.waitsFor("mozart", "")
	b.becomes(loader.StateFailed, "b")
	b.wants("mozart", "%d 1=100a 2=0-", index)
	b.becomes(loader.StateReady, "b")
	b.wants("mozart", "%d 1=100a 2=0b", index)

	// Where it is to be loaded anew, the old one answers until then.
	b.contents.resident["moved"], b.contents.digest["moved"] = b.contents.load("b"), b.contents.digestOf("b")
	b.loader.state["moved"] = loader.StateFetching
	b.document("mozart", "1:a 2:moved", "1=100 2=0")
	b.read()
	if m := b.r.models["mozart"]; m.routed["2"].URI != "file:/b" || b.r.router.load().models["mozart"].versions["2"].resident == nil {
		t.Errorf("version 2 is routed to %+v", m.routed["2"])
	}
	b.becomes(loader.StateReady, "moved")
	if m := b.r.models["mozart"]; m.routed["2"].URI != "file:/moved" || len(b.loader.wanted) != 2 {
		t.Errorf("version 2 is routed to %+v, the loader is asked for %v", m.routed["2"], b.loader.wanted)
	}
}

func TestABadDocumentChangesNothingAndNamesEveryProblem(t *testing.T) {
	b := newBench(t)
	good := b.document("mozart", "1:a 2:b", "1=90 2=10")
	other := b.document("haydn", "1:c", "1=100")
	b.read()
	text := string(b.store.Item("models/mozart").Value)
	b.set("models/mozart", `{"model": "mozart", "versions": {"1": {"uri": "file:/a", "colour": 1}}, "traffic": {"weights": {"1": -1, "9": 1}}}`)
	b.read()
	b.wants("mozart", "%d 1=90a 2=10b", good)
	b.wants("haydn", "%d 1=100c", other)
	problems := strings.Join(b.status("mozart").Rejected, "\n")
	for _, want := range []string{`versions."1".colour`, `traffic.weights."1"`, `traffic.weights."9"`} {
		if !strings.Contains(problems, want) {
			t.Errorf("%s is not named in\n%s", want, problems)
		}
	}
	b.wantsMetric("0", "segue_config_last_reload_successful", "model=mozart")
	b.wantsMetric("1", "segue_config_last_reload_successful", "model=haydn")
	b.wantsMetric("1", "segue_config_rejected_total", "reason=invalid")

	// Looked at again without a change it is no second refusal.
	b.read()
	b.wantsMetric("1", "segue_config_rejected_total", "reason=invalid")

	again := b.set("models/mozart", text)
	b.read()
	b.wants("mozart", "%d 1=90a 2=10b", again)
	if got := b.status("mozart"); len(got.Rejected) > 0 || got.Digest != got.WantedDigest || got.Index != again {
		t.Errorf("the same good document does not clear the alarm: %+v", got)
	}
	b.wantsMetric("1", "segue_config_last_reload_successful", "model=mozart")
	b.wantsMetric("2", "segue_config_apply_duration_seconds") // one for each model's first document
}

func TestAnUnreadableEntryIsRefusedWithItsReason(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	b.read()
	s := b.snapshot()
	e := s.Models["mozart"]
	e.Value, e.Problem, e.Index = nil, "two files", e.Index+1
	s.Models["mozart"] = e
	b.r.ingest(s)
	b.pass()
	b.wants("mozart", "2 1=100a")
	if got := b.status("mozart").Rejected; !slices.Equal(got, []string{"two files"}) {
		t.Errorf("rejected %q", got)
	}
}

func TestTheSameBytesAreNoChange(t *testing.T) {
	b := newBench(t)
	first := b.document("mozart", "1:a", "1=100")
	b.read()
	before := b.r.router.load().models["mozart"].versions["1"].resident
	b.wantsMetric("1", "segue_config_apply_duration_seconds")
	lines := strings.Count(b.log.String(), "configuration in force")
	second := b.document("mozart", "1:a", "1=100")
	b.after(time.Minute)
	b.read()
	b.wants("mozart", "%d 1=100a", second)
	if second == first || b.r.router.load().models["mozart"].versions["1"].resident != before {
		t.Error("the version was replaced")
	}
	if got := strings.Count(b.log.String(), "configuration in force"); got != lines {
		t.Errorf("said %d times that something came into force, want %d", got, lines)
	}
	b.wantsMetric("1", "segue_config_apply_duration_seconds")
	b.wantsMetric(strconv.FormatUint(second, 10), "segue_config_index", "model=mozart")
	// A change of weights later is measured from when it was read.
	b.held("mozart", "1=100", time.Hour)
	b.after(time.Hour)
	b.read()
	b.wantsMetric("1", "segue_config_apply_duration_seconds")
}

func TestADocumentWithoutWeightsFollowsTheDefaultPolicy(t *testing.T) {
	b := newBench(t)
	index := b.document("mozart", "9:a 10:b", "")
	b.read()
	b.wants("mozart", "%d 9=0a 10=100b", index)
	b.r.opts.ModelVersion = "9"
	b.pass()
	b.wants("mozart", "%d 9=100a 10=0b", index)
}

func TestWhatAServingVersionHoldsDoesNotChange(t *testing.T) {
	b := newBench(t)
	first := b.document("mozart", "1:a 2:b", "1=100")
	b.read()
	b.document("mozart", "1:c@"+b.contents.digestOf("c")+" 2:b", "1=100")
	b.read()
	b.wants("mozart", "%d 1=100a 2=0b", first)
	if got := b.status("mozart").Rejected; len(got) != 1 || !strings.Contains(got[0], `versions."1".digest`) || !strings.Contains(got[0], "new version") {
		t.Errorf("rejected %q", got)
	}
	b.wantsMetric("1", "segue_config_rejected_total", "reason=conflict")

	// Stating the digest of what serves is no change of content.
	second := b.document("mozart", "1:a@"+b.contents.digestOf("a")+" 2:b", "1=100")
	b.read()
	b.wants("mozart", "%d 1=100a 2=0b", second)
	// Leaving it out again neither.
	third := b.document("mozart", "1:a 2:b", "1=100")
	b.read()
	b.wants("mozart", "%d 1=100a 2=0b", third)

	// A place without a digest must hold what serves, or it is not taken.
	b.document("mozart", "1:c 2:b", "1=100")
	b.read()
	b.wants("mozart", "%d 1=100a 2=0b", third)
	b.waitsFor("mozart", "another digest")

	// Once the name is free it may come back with something else.
	b.document("mozart", "2:b", "2=100")
	b.read()
	fifth := b.document("mozart", "1:c@"+b.contents.digestOf("c")+" 2:b", "1=100")
	b.read()
	b.wants("mozart", "%d 1=100c 2=0b", fifth)
}

func TestAnotherPlaceOfTheSameContentIsTakenOnce(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	b.read()
	b.contents.resident["moved"], b.contents.digest["moved"] = b.contents.load("a"), b.contents.digestOf("a")
	b.document("mozart", "1:moved", "1=100")
	b.read()
	for range 3 {
		b.pass()
		if len(b.loader.wanted) != 1 {
			t.Fatalf("the loader is asked for %v", b.loader.wanted)
		}
		b.waitsFor("mozart", "")
	}
	for w := range b.loader.wanted {
		if w.URI != "file:/moved" || w.Digest != b.contents.digestOf("a") {
			t.Errorf("wanted %+v", w)
		}
	}
}

func TestAFreezeTakesNoDocumentAndLetsHoldsWork(t *testing.T) {
	b := newBench(t)
	first := b.document("mozart", "1:a 2:b", "1=100")
	b.read()
	text := string(b.store.Item("models/mozart").Value)
	b.set("settings", `{"schema": 1, "freeze": true}`)
	b.document("mozart", "1:a 2:b", "2=100")
	b.document("haydn", "1:c", "1=100")
	b.read()
	b.wants("mozart", "%d 1=100a 2=0b", first)
	b.waitsFor("mozart", "settings.freeze")
	b.wants("haydn", "nothing: its configuration is frozen")
	b.wantsMetric("1", "segue_config_frozen")
	if !b.r.status.newest.Load().Config.Frozen {
		t.Error("status does not say frozen")
	}

	hold := b.held("mozart", "1=50 2=50", time.Hour)
	b.read()
	b.wants("mozart", "%d 1=50a 2=50b", hold)
	b.after(time.Hour)
	b.wants("mozart", "%d 1=100a 2=0b", first)

	// Deletions wait as well, and their grace begins after the freeze.
	b.remove("models/mozart")
	b.read()
	b.after(time.Hour)
	b.wants("mozart", "%d 1=100a 2=0b", first)
	b.waitsFor("mozart", "serves on")

	// Going back to the document in force ends the waiting.
	back := b.set("models/mozart", text)
	b.read()
	b.waitsFor("mozart", "")
	b.wants("mozart", "%d 1=100a 2=0b", back)

	b.document("mozart", "1:a 2:b", "2=100")
	b.read()
	b.set("settings", minimalSettings)
	b.read()
	b.wants("mozart", "%d 1=0a 2=100b", b.store.Item("models/mozart").Index)
	b.wants("haydn", "%d 1=100c", b.store.Item("models/haydn").Index)
	b.wantsMetric("0", "segue_config_frozen")
}

func TestAGatewayThatStartsFrozenServesWhatThereIs(t *testing.T) {
	b := newBench(t)
	b.set("settings", `{"schema": 1, "freeze": true}`)
	first := b.document("mozart", "1:a", "1=100")
	b.read()
	b.wants("mozart", "%d 1=100a", first)
	b.document("mozart", "1:a 2:b", "2=100")
	b.read()
	b.wants("mozart", "%d 1=100a", first)
	// A process that knows what was in force stays with that.
	b.restart()
	b.read()
	b.wants("mozart", "%d 1=100a", first)
	b.waitsFor("mozart", "settings.freeze")
}

func TestRequireDigestRefusesUntilSettingsChange(t *testing.T) {
	b := newBench(t)
	b.set("settings", `{"schema": 1, "require_digest": true}`)
	index := b.document("mozart", "1:a", "1=100")
	b.read()
	b.wants("mozart", "nothing: its configuration was refused")
	if got := b.status("mozart").Rejected; len(got) != 1 || !strings.Contains(got[0], `versions."1".digest: missing`) {
		t.Errorf("rejected %q", got)
	}
	b.set("settings", minimalSettings)
	b.read()
	b.wants("mozart", "%d 1=100a", index)
	b.wantsMetric("1", "segue_config_last_reload_successful", "model=mozart")
}

func TestAnIndexThatFallsDropsNoSnapshot(t *testing.T) {
	b := newBench(t)
	b.store.Restore(500)
	b.document("mozart", "1:a 2:b", "1=100")
	b.read()
	b.store.Restore(3)
	older := b.document("mozart", "1:a 2:b", "2=100")
	b.read()
	b.wants("mozart", "%d 1=0a 2=100b", older)
	b.wantsMetric("4", "segue_config_index", "model=mozart")
}

func TestSeriesOfAVersionAreForgottenAQuarterOfAnHourAfterItLeft(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a 2:b", "1=100")
	b.read()
	// A document that never comes into force leaves nothing behind either.
	b.loader.state["c"] = loader.StateFailed
	b.document("mozart", "1:a 3:c", "3=100")
	b.read()
	b.document("mozart", "1:a", "1=100")
	b.read()
	series := func() (versions []string) {
		for _, v := range []string{"1", "2", "3"} {
			if b.metric("segue_route_weight_wanted_ratio", "model=mozart", "version="+v) != "" {
				versions = append(versions, v)
			}
		}
		return versions
	}
	b.after(seriesKept - time.Second)
	if got := series(); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("too early: %v", got)
	}
	if !b.next.Equal(b.now.Add(time.Second)) {
		t.Errorf("the next pass is at %v", b.next)
	}
	b.after(time.Second)
	if got := series(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("series of versions %v are left", got)
	}
	if n := len(b.r.metrics.counters); n != 2 { // version 1, and what names no model
		t.Errorf("%d versions have counters", n)
	}
	// One that comes back in time keeps its series.
	b.document("mozart", "2:b", "2=100")
	b.read()
	b.after(seriesKept - time.Second)
	b.document("mozart", "1:a 2:b", "2=100")
	b.read()
	b.after(seriesKept)
	if got := series(); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("series of versions %v", got)
	}
}

func TestSnapshotMetricsSayHowTheSourceStands(t *testing.T) {
	b := newBench(t)
	b.away = true
	b.read()
	b.wantsMetric("1", "segue_config_from_last_good")
	b.wantsMetric("1", "segue_config_sentinel_present")
	b.away = false
	b.remove("settings")
	b.read()
	b.wantsMetric("0", "segue_config_from_last_good")
	b.wantsMetric("0", "segue_config_sentinel_present")
	if got := b.r.status.newest.Load().Config; got != (configs.ConfigStatus{Connected: true, Index: b.store.Index()}) {
		t.Errorf("status %+v", got)
	}
}
