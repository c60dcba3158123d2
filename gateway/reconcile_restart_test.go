package gateway

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

func TestARestartServesWhatWasInForce(t *testing.T) {
	for name, newest := range map[string]func(b *bench){
		"newest document is bad":   func(b *bench) { b.set("models/mozart", "{") },
		"newest document fails":    func(b *bench) { b.document("mozart", "1:a 2:broken", "2=100") },
		"newest document loads":    func(b *bench) { b.document("mozart", "1:a 2:slow", "2=100") },
		"settings are bad as well": func(b *bench) { b.set("models/mozart", "{"); b.set("settings", "{") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.loader.state["broken"], b.loader.state["slow"] = loader.StateFailed, loader.StateFetching
			good := b.document("mozart", "1:a 2:b", "1=90 2=10")
			b.read()
			newest(b)
			b.read()
			b.wants("mozart", "%d 1=90a 2=10b", good)
			b.restart()
			b.pass()
			b.wants("mozart", "%d 1=90a 2=10b", good) // before the source was heard
			b.read()
			b.wants("mozart", "%d 1=90a 2=10b", good)
			// And once more: the copy on disk is still that of what is in force.
			b.restart()
			b.read()
			b.wants("mozart", "%d 1=90a 2=10b", good)
			if !b.r.ready {
				t.Errorf("not ready: %s", b.r.why)
			}
			next := b.document("mozart", "1:a 3:c", "1=50 3=50")
			b.read()
			b.wants("mozart", "%d 1=50a 3=50c", next)
			if len(b.loader.wanted) != 2 {
				t.Errorf("the loader is still asked for %v", b.loader.wanted)
			}
		})
	}
}

func TestARestartKeepsHolds(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a 2:b", "1=90 2=10")
	hold := b.held("mozart", "1=100", time.Hour)
	b.read()
	b.restart()
	b.pass()
	b.wants("mozart", "%d 1=100a 2=0b", hold)
	b.after(time.Hour)
	b.wants("mozart", "2 1=90a 2=10b")
}

func TestACrashWhileStartingForgetsNothing(t *testing.T) {
	b := newBench(t)
	mozart, haydn := b.document("mozart", "1:a", "1=100"), b.document("haydn", "1:b", "1=100")
	b.read()
	b.loader.state["a"] = loader.StateFetching // mozart takes its time
	b.restart()
	b.pass()
	b.wants("haydn", "%d 1=100b", haydn)
	b.restart()
	b.becomes(loader.StateReady, "a")
	b.wants("mozart", "%d 1=100a", mozart)
	b.wants("haydn", "%d 1=100b", haydn)
}

func TestTheIndexInForceSurvivesARestart(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	b.read()
	moved := b.document("mozart", "1:a", "1=100") // the same bytes
	b.read()
	b.restart()
	b.pass()
	b.wants("mozart", "%d 1=100a", moved)
	b.wantsMetric(strconv.FormatUint(moved, 10), "segue_config_index", "model=mozart")
}

func TestAServedDigestHoldsOverARestart(t *testing.T) {
	b := newBench(t)
	good := b.document("mozart", "1:a@"+b.contents.digestOf("a"), "1=100")
	b.read()
	b.document("mozart", "1:c@"+b.contents.digestOf("c"), "1=100")
	b.loader.state["a"] = loader.StateFetching
	b.restart()
	b.read()
	b.wants("mozart", "nothing: version 1 is fetching")
	if got := b.status("mozart").Rejected; len(got) != 1 || !strings.Contains(got[0], "digest") {
		t.Errorf("rejected %q", got)
	}
	b.becomes(loader.StateReady, "a")
	b.wants("mozart", "%d 1=100a", good)
}

func TestKeysHoldFromTheFirstMomentAfterARestart(t *testing.T) {
	b := newBench(t)
	b.set("settings", withKey)
	b.document("mozart", "1:a", "1=100")
	b.read()
	b.restart()
	if b.r.router.load().access.open {
		t.Error("the data API is open until the source is heard")
	}
}

func TestALostFeedbackKeyTakesNoSettingsAway(t *testing.T) {
	b, file := newBench(t), newKeyFile(t)
	file.write("0123456789abcdef")
	b.set("settings", file.settings(`, "freeze": true, "ready_requires": ["mozart"]`))
	first := b.document("mozart", "1:a", "1=100")
	b.read()
	if err := os.Remove(file.path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b.restart()
		b.document("mozart", "1:a 2:b", "2=100")
		b.read()
		b.wants("mozart", "%d 1=100a", first) // frozen as before
	}
	file.write("0123456789abcdef")
	b.after(feedbackKeyEvery)
	if b.r.router.load().ids == nil || len(b.r.settings.problems) > 0 {
		t.Errorf("the key is back, and: %q", b.r.settings.problems)
	}
}

func TestADamagedCopyIsSaidAndCountsAsNone(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a", "1=100")
	b.read()
	b.write()
	files, err := os.ReadDir(b.dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	path := b.dir + "/" + files[0].Name()
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newReconciler(b.r.opts, b.loader, newRouter(), b.r.metrics)
	if err := r.seed(); err == nil || len(r.models) != 0 {
		t.Errorf("error %v, models %v", err, r.models)
	}
}

func TestAStateFolderThatCannotBeWrittenIsSaidOnce(t *testing.T) {
	var log strings.Builder
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k := newKeeper(file+"/state", "test", slog.New(slog.NewTextHandler(&log, nil)))
	k.write(configs.Snapshot{})
	k.write(configs.Snapshot{})
	if got := strings.Count(log.String(), "cannot keep"); got != 1 {
		t.Errorf("said %d times", got)
	}
}
