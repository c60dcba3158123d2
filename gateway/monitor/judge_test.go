package monitor

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/drift"
)

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

func TestAFleetsWindowIsMergedBeforeItIsJudged(t *testing.T) {
	store, at := configstest.NewStore(), newClock()
	profile := profileOf(t, "1", 1)
	model := modelOf(configs.Drift{Compare: []string{"training"}, Window: configs.DriftWindow{Samples: 600}}, versionOfProfile("1", profile))
	var fleet []*node
	for _, name := range []string{"a", "b", "c"} {
		n := newNode(t, store, at, name)
		n.follow(model)
		fleet = append(fleet, n)
	}
	fleet[0].pass() // the first window begins
	for i, n := range fleet {
		n.see("1", random(uint64(i)), 199, 0)
		n.write()
	}
	at.at = at.at.Add(time.Minute)
	fleet[1].pass()
	if r := reportIn(t, store); len(r.Comparisons) != 0 || r.Windows["version/1"].Number != 1 {
		t.Fatalf("597 of 600 samples were judged: %s", brief(r.Comparisons...))
	}
	fleet[2].see("1", random(9), 3, 0)
	fleet[2].write()
	at.at = at.at.Add(time.Minute)
	fleet[1].pass()
	r := reportIn(t, store)
	c := judged(t, r, "1", "training")
	var result drift.Report
	if err := json.Unmarshal(c.Result, &result); err != nil {
		t.Fatal(err)
	}
	if c.Samples != 600 || result.Samples != 600 || c.Alarm != nil || r.By != "b" || r.Windows["version/1"].Number != 2 || !c.To.Equal(at.at) {
		t.Errorf("%s", brief(r.Comparisons...))
	}
	// No gateway counts for the window that was judged any more.
	for i, n := range fleet {
		n.see("1", random(uint64(20+i)), 10, 0)
		n.write()
	}
	fleet[0].pass()
	counts, _, err := configs.ListDrift(t.Context(), store, "m")
	if err != nil || len(counts) != 3 {
		t.Fatalf("%+v, %v", counts, err)
	}
	parsed, _ := drift.Parse(profile)
	for _, n := range counts {
		w, err := parsed.ParseWindow(n.Streams[0].Counts["1"])
		if err != nil || n.Streams[0].Window != 2 || w.Rows() != 10 {
			t.Errorf("%s: %v, %d", n.Epoch, err, n.Streams[0].Window)
		}
	}
}

func TestAnAlarmIsRaisedOnceAndClearedAfterQuietWindows(t *testing.T) {
	store, at := configstest.NewStore(), newClock()
	n := newNode(t, store, at, "a")
	n.follow(modelOf(configs.Drift{Compare: []string{"training"}}, versionOfProfile("1", profileOf(t, "1", 1))))
	n.pass()
	source := random(3)
	var alarms []string
	for i, shift := range []float64{0, 0, 1, 1, 0, 1, 0, 0, 0, 0} {
		n.see("1", source, 1000, shift)
		n.write()
		at.at = at.at.Add(10 * time.Minute)
		n.pass()
		n.write()
		c := judged(t, reportIn(t, store), "1", "training")
		alarm := "-"
		if c.Alarm != nil {
			alarm = strings.Join(c.Alarm.Features, " ") + c.Alarm.Since.Format(" 15:04")
		}
		alarms = append(alarms, alarm)
		if c.Samples != 1000 || c.Insufficient != "" {
			t.Errorf("window %d: %s", i, brief(c))
		}
	}
	raised := "x[0] 10:30"
	if want := []string{"-", "-", raised, raised, raised, raised, raised, raised, "-", "-"}; !slices.Equal(alarms, want) {
		t.Errorf("got  %q\nwant %q", alarms, want)
	}
	if log := n.log.String(); strings.Count(log, "drift alarm raised") != 1 || strings.Count(log, "drift alarm cleared") != 1 {
		t.Errorf("logged\n%s", log)
	}
}

func TestAWindowWithTooFewSamplesIsInsufficient(t *testing.T) {
	store, at := configstest.NewStore(), newClock()
	n := newNode(t, store, at, "a")
	n.follow(modelOf(configs.Drift{Compare: []string{"training"}}, versionOfProfile("1", profileOf(t, "1", 1))))
	n.pass()
	n.see("1", random(3), 99, 0)
	n.write()
	at.at = at.at.Add(time.Hour - time.Second)
	n.pass()
	if r := reportIn(t, store); len(r.Comparisons) != 0 {
		t.Fatalf("judged before its time: %s", brief(r.Comparisons...))
	}
	at.at = at.at.Add(time.Second)
	n.pass()
	c := judged(t, reportIn(t, store), "1", "training")
	if !strings.HasPrefix(c.Insufficient, "99 samples, too few to judge") || c.Alarm != nil || c.Samples != 99 || c.Result != nil {
		t.Errorf("%s", brief(c))
	}
}

func TestACanaryIsComparedWithItsControl(t *testing.T) {
	store, at := configstest.NewStore(), newClock()
	n := newNode(t, store, at, "a")
	// The profiles have other edges: both arms are counted in the canary's.
	model := modelOf(configs.Drift{Compare: []string{"control"}, Window: configs.DriftWindow{Samples: 500}},
		versionOfProfile("1", profileOf(t, "1", 1)), versionOfProfile("2", profileOf(t, "2", 2)))
	n.follow(model)
	n.pass()
	if r, _ := configs.GetDriftReport(t.Context(), store, "m"); r != nil && len(r.Windows) > 0 {
		t.Fatalf("compared without a rollout: %s", brief(r.Comparisons...))
	}
	model.Stable, model.Canary = "1", "2"
	n.follow(model)
	n.pass()
	n.write()
	stable, canary := random(3), random(4)
	// What both see has moved, which is no fault of the canary's.
	for range 3 {
		n.see("1", stable, 600, 1)
		n.see("2", canary, 500, 1)
		n.write()
		at.at = at.at.Add(10 * time.Minute)
		n.pass()
		n.write()
		if c := judged(t, reportIn(t, store), "2", "control"); c.Alarm != nil || c.Against != "1" || c.Samples != 500 {
			t.Fatalf("%s", brief(c))
		}
	}
	n.see("1", stable, 600, 1)
	n.see("2", canary, 500, 2)
	n.write()
	at.at = at.at.Add(10 * time.Minute)
	n.pass()
	if c := judged(t, reportIn(t, store), "2", "control"); c.Alarm == nil || !slices.Equal(c.Alarm.Features, []string{"x[0]"}) {
		t.Errorf("%s", brief(c))
	}
	// The rollout ends, and its alarm with it.
	model.Stable, model.Canary = "", ""
	n.follow(model)
	n.pass()
	if r := reportIn(t, store); len(r.Comparisons) != 0 || len(r.Windows) != 0 {
		t.Errorf("%s", brief(r.Comparisons...))
	}
	if log := n.log.String(); strings.Count(log, "drift alarm raised") != 1 || strings.Count(log, "drift alarm cleared") != 1 {
		t.Errorf("logged\n%s", log)
	}
}

func TestLastWeeksSameHoursAreComparedAlsoAfterARestart(t *testing.T) {
	store, at, dir := configstest.NewStore(), newClock(), t.TempDir()
	model := modelOf(configs.Drift{Compare: []string{"last_week"}}, versionOfProfile("1", profileOf(t, "1", 1)))
	keep := func(o *Options) { o.StateDir = dir }
	n := newNode(t, store, at, "a", keep)
	n.follow(model)
	n.pass()
	source := random(3)
	window := func(n *node, shift float64) configs.DriftComparison {
		n.see("1", source, 1000, shift)
		n.write()
		at.at = at.at.Add(30 * time.Minute)
		n.pass()
		n.write()
		return judged(t, reportIn(t, store), "1", "last_week")
	}
	if c := window(n, 1); !strings.Contains(c.Insufficient, "a week ago") {
		t.Errorf("%s", brief(c))
	}
	n.books.keep(t.Context(), true) // the gateway ends
	at.at = at.at.Add(7*24*time.Hour - 30*time.Minute)
	again := newNode(t, store, at, "a", keep)
	again.follow(model)
	again.write()
	again.pass() // the window of the time in which nobody counted
	again.write()
	// Every Monday at ten the first number is larger: no drift.
	if c := window(again, 1); c.Insufficient != "" || c.Alarm != nil || c.Samples != 1000 {
		t.Errorf("the same as last week: %s", brief(c))
	}
	if c := window(again, 0); c.Alarm == nil || !slices.Equal(c.Alarm.Features, []string{"x[0]"}) {
		t.Errorf("another than last week: %s", brief(c))
	}
}

func TestAWindowIsJudgedOnceWhereTwoGatewaysBelieveTheyAreToJudge(t *testing.T) {
	store, at := configstest.NewStore(), newClock()
	model := modelOf(configs.Drift{Compare: []string{"training"}}, versionOfProfile("1", profileOf(t, "1", 1)))
	a, b := newNode(t, store, at, "a"), newNode(t, store, at, "b")
	a.follow(model)
	b.follow(model)
	a.pass()
	a.see("1", random(3), 1000, 1)
	a.write()
	at.at = at.at.Add(time.Minute)
	store.BeforeApply(b.pass) // between a's look and its write
	a.pass()
	r := reportIn(t, store)
	if r.By != "b" || r.Windows["version/1"].Number != 2 {
		t.Errorf("%s", brief(r.Comparisons...))
	}
	if raised := strings.Count(a.log.String()+b.log.String(), "drift alarm raised"); raised != 1 {
		t.Errorf("raised %d times", raised)
	}
	a.pass()
	if again := reportIn(t, store); again.Index != r.Index {
		t.Errorf("written again: %s", brief(again.Comparisons...))
	}
}

func TestAnotherArtifactBeginsAnew(t *testing.T) {
	store, at := configstest.NewStore(), newClock()
	n := newNode(t, store, at, "a")
	d := configs.Drift{Compare: []string{"training"}}
	n.follow(modelOf(d, versionOfProfile("1", profileOf(t, "1", 1))))
	n.pass()
	n.see("1", random(3), 1000, 1)
	n.write()
	at.at = at.at.Add(time.Minute)
	n.pass()
	if c := judged(t, reportIn(t, store), "1", "training"); c.Alarm == nil {
		t.Fatalf("%s", brief(c))
	}
	other := versionOfProfile("1", profileOf(t, "1", 5))
	other.Digest = "sha256:" + strings.Repeat("e", 64)
	n.follow(modelOf(d, other))
	n.pass()
	if r := reportIn(t, store); len(r.Comparisons) != 0 || r.Windows["version/1"].Number != 3 {
		t.Errorf("%s", brief(r.Comparisons...))
	}
	// The same versions in another table go on.
	n.write()
	n.see("1", random(4), 500, 0)
	before := n.Target("m", "1")
	n.follow(modelOf(configs.Drift{Compare: []string{"training"}, FalseAlarmsPerMonth: 2}, other))
	if n.Target("m", "1") != before || before.waiting() != 500 {
		t.Error("a change of thresholds begins the windows anew")
	}
}

func TestWhatIsCountedBeforeTheFirstWindowBeginsIsInIt(t *testing.T) {
	store, at := configstest.NewStore(), newClock()
	n := newNode(t, store, at, "a")
	n.follow(modelOf(configs.Drift{Compare: []string{"training"}}, versionOfProfile("1", profileOf(t, "1", 1))))
	n.see("1", random(3), 600, 0)
	n.write() // there is no window yet
	n.pass()
	n.see("1", random(4), 400, 0)
	n.write()
	at.at = at.at.Add(time.Minute)
	n.pass()
	if c := judged(t, reportIn(t, store), "1", "training"); c.Samples != 1000 {
		t.Errorf("%s", brief(c))
	}
}

func TestAStoreThatIsAwayLosesNothing(t *testing.T) {
	store, at := configstest.NewStore(), newClock()
	n := newNode(t, store, at, "a")
	n.follow(modelOf(configs.Drift{Compare: []string{"training"}}, versionOfProfile("1", profileOf(t, "1", 1))))
	n.pass()
	n.see("1", random(3), 300, 0)
	n.write()
	store.Fail(configs.ErrUnreachable)
	for i := range 3 {
		n.see("1", random(uint64(10+i)), 200, 0)
		n.write()
		n.pass()
	}
	if log := n.log.String(); strings.Count(log, "are not exchanged") != 1 || strings.Count(log, "is not judged for now") != 1 {
		t.Errorf("logged\n%s", log)
	}
	store.Fail(nil)
	n.see("1", random(5), 100, 0)
	n.write()
	at.at = at.at.Add(time.Minute)
	n.pass()
	if c := judged(t, reportIn(t, store), "1", "training"); c.Samples != 1000 {
		t.Errorf("%s", brief(c))
	}
	// Its key was swept meanwhile: it writes again.
	n.write()
	n.see("1", random(6), 100, 0)
	for _, key := range store.Keys() {
		if strings.HasPrefix(key, "drift/m/a-") {
			store.Delete(key)
		}
	}
	n.write()
	n.write()
	if counts, _, err := configs.ListDrift(t.Context(), store, "m"); err != nil || len(counts) != 1 {
		t.Errorf("%d writers, %v", len(counts), err)
	}
}

func TestAModelThatIsFollowedNoMoreTakesItsCountsAway(t *testing.T) {
	store, at := configstest.NewStore(), newClock()
	n := newNode(t, store, at, "a")
	n.follow(modelOf(configs.Drift{Compare: []string{"training"}}, versionOfProfile("1", profileOf(t, "1", 1))))
	n.pass()
	n.see("1", random(3), 300, 0)
	n.write()
	n.Follow(nil)
	n.write()
	if counts, _, err := configs.ListDrift(t.Context(), store, "m"); err != nil || len(counts) != 0 {
		t.Errorf("%d writers, %v", len(counts), err)
	}
	if _, _, ok := n.State("m"); ok || len(n.showing()) != 0 {
		t.Error("it is shown still")
	}
	at.at = at.at.Add(25 * time.Hour)
	n.pass()
	if len(store.Keys()) != 0 {
		t.Errorf("%d keys are left after a day", len(store.Keys()))
	}
}
