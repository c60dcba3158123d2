package gateway

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/loader"
)

// rolloutModel is a few gateways around one store, in simulated time, and all
// that was ever written about their one model: what may happen is in
// rollout_model_actions_test.go, what must be true of it is here.
type rolloutModel struct {
	t       *testing.T
	rt      *rapid.T
	store   *configstest.Store
	members []*member
	now     time.Time
	// documents are all good ones by their text, in the order of writing.
	documents []givenDocument
	// overrides are all that were written, nil for a deletion.
	overrides []givenOverride
	// entered are the steps of all runs that were entered.
	entered map[string]bool
	// reopened are the runs that an operator gave more traffic by hand.
	reopened map[string]bool
	// pending is what an operator wants to write over what was read before.
	pending *configs.Write
	// edits makes unrelated edits differ.
	edits int
}

type givenDocument struct {
	text  string
	doc   *configs.Document
	index uint64
}

type givenOverride struct {
	text  string
	o     *configs.Override
	index uint64
	// by is the gateway that wrote it, nil for an operator; unsure, that it was
	// never told so.
	by     *member
	unsure bool
}

// member is one gateway of the fleet.
type member struct {
	*bench
	link *link
	// skew is how far its clock is ahead, latest the latest time it ever saw.
	skew   time.Duration
	latest time.Time
	// copied is what it read last, as its source keeps it on disk.
	copied *configs.Snapshot
	// back are the runs whose canary was taken back here.
	back map[string]bool
	// weights and lines are what was in force, and how many lines of the log
	// said that something came into force, at the last check.
	weights map[string]float64
	lines   int
	// late are requests that were drawn and have not been answered yet.
	late []assignment
}

// link is one gateway's way to the store.
type link struct {
	*configstest.Store
	world *rolloutModel
	owner *member
	// cut: nothing gets through. deaf: writes are made and never answered. mute:
	// it can be read and nothing can be written.
	cut, deaf, mute bool
}

func (l *link) Get(ctx context.Context, key string) (configs.Item, bool, error) {
	if l.cut {
		return configs.Item{}, false, configs.ErrUnreachable
	}
	return l.Store.Get(ctx, key)
}

func (l *link) List(ctx context.Context, prefix string) ([]configs.Item, error) {
	if l.cut {
		return nil, configs.ErrUnreachable
	}
	return l.Store.List(ctx, prefix)
}

func (l *link) Apply(ctx context.Context, writes ...configs.Write) (uint64, error) {
	if l.cut || l.mute {
		return 0, configs.ErrUnreachable
	}
	index, err := l.world.apply(l.owner, writes...)
	if err == nil && l.deaf {
		return 0, configs.ErrUnreachable
	}
	return index, err
}

// apply makes writes and holds those of overrides against the rules.
func (w *rolloutModel) apply(by *member, writes ...configs.Write) (uint64, error) {
	index, err := w.store.Apply(context.Background(), writes...)
	if err != nil {
		return index, err
	}
	for _, write := range writes {
		if write.Key != overrideKey {
			continue
		}
		given := givenOverride{text: string(write.Value), index: index, by: by, unsure: by != nil && by.link.deaf}
		if write.Delete {
			given.text = ""
		} else if given.o, err = configs.ParseOverride(configs.Entry{Name: "mozart", Value: write.Value}); err != nil {
			w.rt.Fatalf("an override that cannot be read was written: %v\n%s", err, write.Value)
		}
		w.judgeWrite(w.lastOverride(), given)
		w.overrides = append(w.overrides, given)
	}
	return index, nil
}

var overrideKey = configs.OverrideKey("mozart")

func (w *rolloutModel) lastOverride() givenOverride {
	if len(w.overrides) == 0 {
		return givenOverride{}
	}
	return w.overrides[len(w.overrides)-1]
}

// judgeWrite is what may be written over what.
func (w *rolloutModel) judgeWrite(before, after givenOverride) {
	next := stateOf(after.o)
	was := stateOf(before.o)
	if next != nil && (was == nil || was.ID() != next.ID() || was.Phase != next.Phase || was.Step != next.Step) {
		entry := fmt.Sprintf("%s %s %d", next.ID(), next.Phase, next.Step)
		if w.entered[entry] && next.Phase != configs.PhaseRolledBack {
			w.illegal(before, after, "this was entered before")
		}
		w.entered[entry] = true
	}
	if after.by == nil {
		if next != nil && (next.Decision.Event == configs.DecideStep || next.Decision.Event == configs.DecidePromote) ||
			after.o != nil && after.o.Kind == configs.OverrideHold {
			w.reopen(next)
		}
		return
	}
	held := before.o.Holds(after.by.latest)
	switch {
	case after.o == nil && before.o == nil:
		w.illegal(before, after, "there was nothing to delete")
	case held && (after.o == nil || after.o.Kind != configs.OverrideHold || !maps.Equal(after.o.Weights, before.o.Weights) || !after.o.Until.Equal(before.o.Until)):
		w.illegal(before, after, "an operator's hold was ended")
	case after.o == nil && was != nil && !w.outdated(was, before.index):
		w.illegal(before, after, "what counts for the document was deleted")
	case after.o == nil:
	case next == nil:
		w.illegal(before, after, "a gateway wrote no rollout")
	case was == nil || was.Basis != next.Basis:
		if was != nil && !w.outdated(was, before.index) {
			w.illegal(before, after, "written over what counts for the document")
		}
		if next.Decision.Event != configs.DecideStart && next.Phase != configs.PhaseRolledBack {
			w.illegal(before, after, "a rollout begins in its middle")
		}
	case was.ID() != next.ID():
		w.illegal(before, after, "a gateway began a rollout again")
	case next.Phase == configs.PhaseRolledBack && was.Phase != configs.PhaseRolledBack:
		if was.Phase == configs.PhasePromoted && was.Decision.By == "ada" {
			w.illegal(before, after, "an operator's promotion was taken back")
		}
		if (!was.Running() || was.Step != next.Step) && strings.HasPrefix(next.Decision.Reason, "max_time") {
			w.illegal(before, after, "the end of one step's time took another back")
		}
	case was.Phase == next.Phase && was.Step == next.Step:
		if before.o.Kind == after.o.Kind {
			w.illegal(before, after, "nothing was decided")
		}
	case !was.Running() || was.Paused:
		w.illegal(before, after, "it was at its end, or paused")
	case !w.nextStep(was, next):
		w.illegal(before, after, "not the next step")
	}
}

func (w *rolloutModel) illegal(before, after givenOverride, why string) {
	who := "an operator"
	if after.by != nil {
		who = after.by.instance + "\n" + after.by.log.String()
	}
	w.rt.Fatalf("%s: over\n%s\n(index %d) was written\n%s\nby %s", why, before.text, before.index, after.text, who)
}

func stateOf(o *configs.Override) *configs.RolloutState {
	if o == nil {
		return nil
	}
	return o.Rollout
}

// outdated reports that some document since an override was written says
// something else than what it was decided on.
func (w *rolloutModel) outdated(s *configs.RolloutState, index uint64) bool {
	for i, d := range slices.Backward(w.documents) {
		if d.doc.Rollout == nil || d.doc.Basis() != s.Basis {
			return true
		}
		if d.index <= index || i == 0 {
			break
		}
	}
	return false
}

// nextStep reports that one state is the one that comes after another.
func (w *rolloutModel) nextStep(was, next *configs.RolloutState) bool {
	for _, d := range w.documents {
		if d.doc.Rollout == nil || d.doc.Basis() != was.Basis {
			continue
		}
		steps := d.doc.Rollout.Steps
		switch {
		case was.Phase == configs.PhaseShadow:
			return next.Phase == configs.PhaseStep && next.Step == 0
		case steps[was.Step].Pause && !was.Resumed:
			return false
		case was.Step == len(steps)-1:
			return next.Phase == configs.PhasePromoted
		}
		return next.Phase == configs.PhaseStep && next.Step == was.Step+1
	}
	return false
}

// check is what is true of every gateway after whatever happened.
func (w *rolloutModel) check() {
	for _, m := range w.members {
		state := m.r.models["mozart"]
		if state == nil || state.inForce == nil {
			continue
		}
		w.checkTable(m, state)
		w.checkRecord(m, state)
		if s := state.rollout; s != nil && s.Phase == configs.PhaseRolledBack {
			m.back[s.ID()] = true
		}
	}
}

// checkTable: what has weight can answer, and what was taken back cannot even
// be asked for.
func (w *rolloutModel) checkTable(m *member, state *modelState) {
	route := m.r.router.load().models["mozart"]
	if route == nil || route.split == nil {
		w.rt.Fatalf("%s does not answer any more\n%s", m.instance, m.log)
	}
	total := 0.0
	for _, weight := range state.weights {
		total += weight
	}
	for version, v := range route.versions {
		share := route.split.Share(version)
		if d := share - state.weights[version]/total; d > 1e-9 || d < -1e-9 {
			w.rt.Fatalf("%s gives version %s a share of %v with weights %v", m.instance, version, share, state.weights)
		}
		if share > 0 && (v.resident == nil || v.runner == nil || v.refused) {
			w.rt.Fatalf("%s gives version %s weight and it cannot answer: %s\n%s", m.instance, version, m.serving("mozart"), m.log)
		}
		if v.resident != nil && state.rollout.Refuses(version, v.resident.Digest()) {
			w.rt.Fatalf("%s answers requests with version %s, which was taken back\n%s", m.instance, version, m.log)
		}
	}
	s := state.rollout
	if s == nil || !m.back[s.ID()] || w.reopened[s.ID()] {
		return
	}
	if s.Phase != configs.PhaseRolledBack {
		w.rt.Fatalf("%s took the canary of %s back, and gives it weight again without a word of anybody: %+v\n%s", m.instance, s.ID(), s, m.log)
	}
}

// checkRecord: weights are those of a document that was written and of an
// override that was, or of a rollback that this gateway decided; and the log
// says when they move.
func (w *rolloutModel) checkRecord(m *member, state *modelState) {
	in := slices.IndexFunc(w.documents, func(d givenDocument) bool { return d.text == string(state.inForce.entry.Value) })
	if in < 0 {
		w.rt.Fatalf("%s follows a document that nobody wrote:\n%s", m.instance, state.inForce.entry.Value)
	}
	doc := w.documents[in].doc
	want := doc.WeightsOr(configs.LatestVersion)
	switch {
	case state.hold != nil:
		want = state.hold.Weights
		w.recorded(m, state.hold)
	case state.rollout != nil:
		want = doc.Rollout.Weights(state.rollout.CanaryWeight(doc.Rollout))
		if o := m.r.overrideOf("mozart", doc); o != m.r.overrides["mozart"].local {
			w.recorded(m, o)
		} else if s := state.rollout; s.Phase != configs.PhaseRolledBack || s.Decision.By != gatewayName(m.instance) {
			w.rt.Fatalf("%s moves weights by itself: %+v", m.instance, s)
		}
	}
	if !maps.Equal(state.weights, want) {
		w.rt.Fatalf("%s has weights %v in force, and what is written says %v\n%s", m.instance, state.weights, want, m.log)
	}
	lines := strings.Count(m.log.String(), "configuration in force")
	if !maps.Equal(m.weights, state.weights) && lines == m.lines {
		w.rt.Fatalf("%s moved weights from %v to %v without a line in its log\n%s", m.instance, m.weights, state.weights, m.log)
	}
	m.weights, m.lines = state.weights, lines
}

func (w *rolloutModel) recorded(m *member, o *configs.Override) {
	text := string(configs.CanonicalOverride(o))
	if !slices.ContainsFunc(w.overrides, func(g givenOverride) bool { return g.o != nil && string(configs.CanonicalOverride(g.o)) == text }) {
		w.rt.Fatalf("%s follows what nobody wrote: %s", m.instance, text)
	}
}

// heal gives everybody the store, working artifacts and the right time back.
// Within half a minute all agree, on what is written.
func (w *rolloutModel) heal() {
	if _, _, err := configs.Parse(configs.Entry{Name: "mozart", Value: w.store.Item("models/mozart").Value}); err != nil {
		w.document(w.documents[len(w.documents)-1].text)
	}
	w.set("settings", minimalSettings)
	for _, m := range w.members {
		m.link.cut, m.link.deaf, m.link.mute, m.skew = false, false, false, 0
		m.loader.state = map[string]loader.State{}
	}
	w.now = w.now.Add(3 * time.Hour) // clocks were ahead by at most that
	for range 30 {
		before := w.store.Index()
		w.now = w.now.Add(time.Second)
		for _, m := range w.members {
			m.r.exchange.round(context.Background())
			m.work()
			w.check()
		}
		if w.store.Index() == before && w.now.Sub(w.members[0].now) == 0 && w.agree() == "" {
			break
		}
	}
	if problem := w.agree(); problem != "" {
		for _, m := range w.members {
			w.rt.Logf("%s\n%s", m.instance, m.log)
		}
		w.rt.Fatal(problem)
	}
	w.audited()
}

// agree says how gateways differ from each other or from what is written.
func (w *rolloutModel) agree() string {
	last := w.documents[len(w.documents)-1]
	item := w.store.Item(overrideKey)
	var stored *configs.Override
	if item.Value != nil {
		stored, _ = configs.ParseOverride(configs.Entry{Name: "mozart", Value: item.Value})
	}
	s := last.doc.Steer(stored, configs.LatestVersion, w.now)
	for _, m := range w.members {
		state := m.r.models["mozart"]
		switch {
		case state == nil || state.inForce == nil || string(state.inForce.entry.Value) != last.text:
			return fmt.Sprintf("%s does not follow the newest document", m.instance)
		case m.r.overrides["mozart"] != nil && m.r.overrides["mozart"].local != nil:
			return fmt.Sprintf("%s has a rollback of its own", m.instance)
		case s.Problem == nil && !maps.Equal(state.weights, s.Weights) && state.waiting == "":
			return fmt.Sprintf("%s has weights %v and %v are written", m.instance, state.weights, s.Weights)
		case !maps.Equal(state.weights, w.members[0].r.models["mozart"].weights):
			return fmt.Sprintf("%s has weights %v, %s %v", m.instance, state.weights, w.members[0].instance, w.members[0].r.models["mozart"].weights)
		case (state.rollout == nil) != (s.Rollout == nil) || state.rollout != nil && state.rollout.ID() != s.Rollout.ID():
			return fmt.Sprintf("%s is at %+v of the rollout, and %+v is written", m.instance, state.rollout, s.Rollout)
		case last.doc.Rollout != nil && s.Rollout == nil && s.Hold == nil:
			return "the rollout has not begun"
		}
	}
	return ""
}

// audited: each decision that a gateway wrote has its record, as long as that
// gateway lived to write it. Where the store's answer was lost, only what is
// still there can be told from what was never written.
func (w *rolloutModel) audited() {
	for _, g := range w.overrides {
		if g.by == nil || g.o == nil || g.o.At.Before(g.by.started()) || g.o.By != gatewayName(g.by.instance) ||
			g.unsure && g.index != w.store.Item(overrideKey).Index {
			continue
		}
		made := g.o.Rollout.Decision
		item := w.store.Item(configs.AuditKey("mozart", g.index, string(made.Event)))
		if item.Index == 0 && !w.released(g) {
			w.rt.Fatalf("%s decided at index %d and did not record it: %s\n%s\n%q", g.by.instance, g.index, g.text, g.by.log, w.store.Writes())
		}
		if item.Index > 0 && !bytes.Contains(item.Value, []byte(made.Event)) {
			w.rt.Fatalf("record %s says something else: %s", item.Key, item.Value)
		}
	}
}

// released reports that an override only ended a hold: its decision is older.
func (w *rolloutModel) released(g givenOverride) bool {
	at := slices.IndexFunc(w.overrides, func(o givenOverride) bool { return o.index == g.index })
	before := w.overrides[max(0, at-1)]
	return at > 0 && before.o != nil && before.o.Kind == configs.OverrideHold && before.o.Rollout != nil && before.o.Rollout.Decision.At.Equal(g.o.Rollout.Decision.At)
}

// started is when the member's process began, by its own clock.
func (m *member) started() time.Time {
	_, text, _ := strings.Cut(m.r.exchange.epoch, m.instance+"-")
	at, err := time.Parse("20060102T150405.000000000Z", text)
	if err != nil {
		m.t.Fatal(err)
	}
	return at
}

func TestWhateverHappensToAFleetWeightsFollowRecordsAndAllAgreeInTheEnd(t *testing.T) {
	c := newContents(t)
	for _, content := range []string{"a", "b", "c"} {
		c.load(content)
	}
	rounds := 1
	if os.Getenv("SEGUE_SOAK") != "" {
		rounds = 20
	}
	for range rounds {
		rapid.Check(t, func(rt *rapid.T) {
			w := newRolloutModel(t, rt, c)
			actions := w.actions()
			actions[""] = func(*rapid.T) { w.check() }
			rt.Repeat(actions)
			w.heal()
		})
	}
}

// stableFor is how many requests stable has while the canary has so many.
func stableFor(route *modelRoute, canary int) (stable int) {
	share := route.split.Share(route.rollout.canary)
	return int(float64(canary) * (1 - share) / share)
}

// observe counts requests as if they had been answered.
func observe(route *rolloutRoute, canary bool, good, bad int) {
	a := assignment{rollout: route, canary: canary}
	for range good {
		a.record(outcomeOK, -1, time.Millisecond)
	}
	for range bad {
		a.record(outcomeModelError, -1, time.Millisecond)
	}
}

// observeCopies counts copies that agree or do not.
func observeCopies(route *shadowRoute, agree, disagree int) {
	for n := range agree + disagree {
		o := rollout.Observation{Step: route.step, Canary: true, Judged: rollout.Of(rollout.Shadow)}
		if n >= agree {
			o.Bad = o.Judged
		}
		route.recorder.Record(o)
	}
}
