package gateway

import (
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// three is a bench with three models in force.
func three(t *testing.T) *bench {
	b := newBench(t)
	for _, model := range []string{"bach", "haydn", "mozart"} {
		b.document(model, "1:a", "1=100")
	}
	b.read()
	return b
}

// served lists the models in the table.
func (b *bench) served() string {
	var names []string
	for _, name := range []string{"bach", "haydn", "mozart"} {
		if b.r.router.load().models[name] != nil {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func (b *bench) wantsServed(want string) {
	b.t.Helper()
	if got := b.served(); got != want {
		b.t.Errorf("%q are served, want %q", got, want)
	}
}

func TestAModelIsDeletedAfterItsGrace(t *testing.T) {
	b := three(t)
	b.remove("models/bach")
	b.read()
	b.after(59 * time.Second)
	b.wants("bach", "2 1=100a")
	if got := b.status("bach").Deleting; got == nil || !got.Equal(b.now.Add(time.Second)) {
		t.Errorf("deleting %v", got)
	}
	if !b.next.Equal(b.now.Add(time.Second)) {
		t.Errorf("the next pass is at %v", b.next)
	}
	b.after(time.Second)
	b.wantsServed("haydn mozart")
	if b.metric("segue_config_index", "model=bach") != "" {
		t.Error("a deleted model has series")
	}
	if len(b.loader.wanted) != 2 {
		t.Errorf("the loader is asked for %v", b.loader.wanted)
	}
}

func TestAReturnOfTheKeyCancelsADeletion(t *testing.T) {
	b := three(t)
	text := string(b.store.Item("models/bach").Value)
	b.remove("models/bach")
	b.read()
	b.after(50 * time.Second)
	b.set("models/bach", text)
	b.read()
	b.after(time.Hour)
	b.wantsServed("bach haydn mozart")
	// A bad document is a document too.
	b.remove("models/bach")
	b.read()
	b.set("models/bach", "{")
	b.read()
	b.after(time.Hour)
	b.wantsServed("bach haydn mozart")
}

func TestOnlyAWholeAnswerDeletes(t *testing.T) {
	b := three(t)
	b.remove("models/bach")
	b.partial = true
	b.read()
	b.after(time.Hour)
	b.wantsServed("bach haydn mozart")
	b.waitsFor("bach", "may not be whole")
	b.partial, b.away = false, true
	b.read()
	b.after(time.Hour)
	b.away = false
	settings := b.store.Item("settings")
	b.remove("settings")
	b.read()
	b.after(time.Hour)
	b.wantsServed("bach haydn mozart")
	b.wantsMetric("0", "segue_config_sentinel_present")
	if b.r.status.newest.Load().Config.SentinelPresent {
		t.Error("status says that there are settings")
	}
	b.set("settings", string(settings.Value))
	b.read()
	b.after(time.Minute)
	b.wantsServed("haydn mozart")
}

func TestMostModelsNeverGoAtOnceUnlessTheyAreNamed(t *testing.T) {
	b := three(t)
	b.remove("models/bach", "models/haydn")
	b.read()
	b.after(24 * time.Hour)
	b.wantsServed("bach haydn mozart")
	b.waitsFor("bach", "deleted by name")
	if b.status("bach").Deleting != nil {
		t.Error("status says when it goes")
	}
	if got := strings.Count(b.log.String(), "none of them goes"); got != 1 {
		t.Errorf("said %d times that most are missing", got)
	}
	// Named after the fact, it goes at once: its grace is over.
	b.deleteByName("bach")
	b.read()
	b.wantsServed("haydn mozart")
	// The other one was lost with it, and being the last changes nothing.
	b.after(24 * time.Hour)
	b.wantsServed("haydn mozart")
	b.document("haydn", "1:a", "1=100")
	b.read()
	b.waitsFor("haydn", "")
	// With the key back, a later deletion is one like any other.
	b.document("bach", "1:a", "1=100")
	b.read()
	b.remove("models/haydn")
	b.read()
	b.after(time.Minute)
	b.wantsServed("bach mozart")
}

func TestModelsDeletedByNameGoEvenIfTheyAreAll(t *testing.T) {
	b := three(t)
	b.deleteByName("bach", "haydn", "mozart")
	b.read()
	b.after(59 * time.Second)
	b.wantsServed("bach haydn mozart")
	// Another gateway, which was a little earlier, may have cleaned up.
	b.remove("overrides/bach", "overrides/haydn", "overrides/mozart")
	b.read()
	b.after(time.Second)
	b.wantsServed("")
}

func TestTheWordThatAModelWasDeletedByNameReachesWhoWasAwayAndEndsWithItsReturn(t *testing.T) {
	b := three(t)
	b.write()
	b.deleteByName("bach", "haydn")
	b.start() // a process that was down meanwhile
	b.read()
	b.after(time.Minute)
	b.wantsServed("mozart")
	for _, key := range []string{"overrides/bach", "overrides/haydn"} {
		if b.store.Item(key).Index == 0 {
			t.Errorf("%s is gone before every gateway could see it", key)
		}
	}
	b.document("bach", "1:a", "1=100")
	b.partial = true
	b.read()
	if b.store.Item("overrides/bach").Index == 0 {
		t.Error("an answer that may not be whole ended the word")
	}
	b.partial = false
	b.read()
	if b.store.Item("overrides/bach").Index != 0 {
		t.Error("the override of a model that is back stays")
	}
	b.read()
	b.wantsServed("bach mozart")
	// It does not excuse the next loss.
	b.remove("models/bach", "models/mozart")
	b.read()
	b.after(time.Hour)
	b.wantsServed("bach mozart")
	b.after(configs.MaxHold)
	if b.store.Item("overrides/haydn").Index != 0 {
		t.Error("the override of a deleted model stays for ever")
	}
}

func TestANameIsGoodForOneDeletion(t *testing.T) {
	b := three(t)
	text := string(b.store.Item("models/bach").Value)
	b.deleteByName("bach")
	b.read()
	b.set("models/bach", text)
	b.read()
	b.remove("models/bach", "models/haydn")
	b.read()
	b.after(time.Hour)
	b.wantsServed("bach haydn mozart")
}

func TestAGraceOfZeroSwitchesBothGuardsOff(t *testing.T) {
	b := three(t)
	b.set("settings", `{"schema": 1, "delete_grace": "0s"}`)
	b.remove("models/bach", "models/haydn", "models/mozart")
	b.read()
	b.wantsServed("")
}

func TestADeletedModelThatComesBackStartsAnew(t *testing.T) {
	b := three(t)
	b.remove("models/bach")
	b.read()
	b.after(time.Minute)
	b.wantsServed("haydn mozart")
	b.contents.load("z")
	index := b.document("bach", "1:z@"+b.contents.digestOf("z"), "1=100")
	b.read()
	b.wants("bach", "%d 1=100z", index)
}
