package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/loader"
)

// rollsOut writes a document that rolls content b out over a, in two steps.
func (b *bench) rollsOut(more ...string) uint64 {
	fields := append([]string{`"rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 10}, {"weight": 50, "min_time": "1m"}]}`}, more...)
	return b.document("mozart", "1:a 2:b", "", fields...)
}

// settle reads until nothing is decided any more.
func (b *bench) settle() {
	b.t.Helper()
	for range 10 {
		before := b.store.Index()
		b.read()
		b.read()
		if b.store.Index() == before {
			return
		}
	}
	b.t.Fatalf("there is no end of decisions: %q", b.store.Writes())
}

// requests are counted as if the canary and stable had answered them: so many
// good and bad ones.
func (b *bench) requests(good, bad int, canary bool) {
	b.t.Helper()
	route := b.r.router.load().models["mozart"].rollout
	if route == nil {
		b.t.Fatal("there is no rollout in the table")
	}
	a := assignment{rollout: route, canary: canary}
	for range good {
		a.record(outcomeOK, -1, time.Millisecond)
	}
	for range bad {
		a.record(outcomeModelError, -1, time.Millisecond)
	}
}

func (b *bench) state() *configs.RolloutState {
	b.t.Helper()
	item := b.store.Item("overrides/mozart")
	if item.Index == 0 {
		return nil
	}
	o, err := configs.ParseOverride(configs.Entry{Name: "mozart", Value: item.Value})
	if err != nil {
		b.t.Fatal(err)
	}
	return o.Rollout
}

func (b *bench) wantsState(phase configs.RolloutPhase, step int) {
	b.t.Helper()
	if s := b.state(); s == nil || s.Phase != phase || s.Step != step {
		b.t.Errorf("state %+v, want %s at step %d", s, phase, step)
	}
}

// answering is the shares in force and who has them.
func (b *bench) answering(want string) {
	b.t.Helper()
	_, got, _ := strings.Cut(b.serving("mozart"), " ")
	if got != want {
		b.t.Errorf("serving %q, want %q", got, want)
	}
}

func TestARolloutWalksUpAndIsPromotedWithoutABadEvent(t *testing.T) {
	b := newBench(t)
	b.loader.state["b"] = loader.StateProbing
	b.rollsOut()
	b.settle()
	b.answering("1=100a 2=0-")
	if b.state() != nil {
		t.Error("begun before the canary can answer")
	}
	b.becomes(loader.StateReady, "b")
	b.settle()
	b.wantsState(configs.PhaseStep, 0)
	b.answering("1=90a 2=10b")
	m := b.r.router.load().models["mozart"]
	if m.versions["1"].variant != "stable" || m.versions["2"].variant != "canary" || m.fallback.version != "1" {
		t.Errorf("variants %s %s, fallback %s", m.versions["1"].variant, m.versions["2"].variant, m.fallback.version)
	}
	b.requests(4000, 0, false)
	b.requests(444, 0, true)
	b.after(time.Second)
	b.settle()
	b.wantsState(configs.PhaseStep, 1)
	b.answering("1=50a 2=50b")
	b.wantsMetric("2", "segue_rollout_step", "model=mozart")
	b.requests(800, 0, false)
	b.requests(800, 0, true)
	b.after(30 * time.Second)
	b.settle()
	b.wantsState(configs.PhaseStep, 1)
	s := b.status("mozart").Rollout
	if s.Verdict != "hold" || len(s.Missing) != 1 || !strings.Contains(s.Missing[0], "min_time") || s.Weight != 50 || len(s.Guards) != 2 {
		t.Errorf("status %+v", s)
	}
	b.after(31 * time.Second)
	b.settle()
	b.wantsState(configs.PhasePromoted, 1)
	b.answering("1=0a 2=100b")
	b.wantsMetric("3", "segue_rollout_step", "model=mozart")
	if s := b.status("mozart").Rollout; !s.Behind || s.Phase != configs.PhasePromoted || b.r.router.load().models["mozart"].rollout != nil {
		t.Errorf("status %+v", s)
	}
	var events []string
	records, err := configs.ListAudit(t.Context(), b.store, "mozart")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Who.User == "gateway gw" {
			events = append(events, r.Event)
		}
	}
	if got := strings.Join(events, " "); got != "promote step start" {
		t.Errorf("audit %q", got)
	}
}

// taken is what stands once the canary has failed ten times and was taken back.
func (b *bench) fails() {
	b.t.Helper()
	b.requests(1000, 0, false)
	b.requests(10, 10, true)
	select {
	case <-b.r.judge:
	default:
		b.t.Error("nobody was told of bad events")
	}
	b.pass()
}

func TestABadCanaryIsTakenBackInTheVeryNextTable(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	b.fails()
	b.answering("1=100a 2=0-")
	b.wantsState(configs.PhaseRolledBack, 0)
	refused := b.r.router.load().models["mozart"].versions["2"]
	if !refused.refused || refused.resident != nil {
		t.Errorf("the canary can still be asked for: %+v", refused)
	}
	b.wantsMetric("1", "segue_rollbacks_total", "model=mozart", "reason=errors")
	b.settle()
	b.answering("1=100a 2=0-")
	b.wantsMetric("0", "segue_rollout_step", "model=mozart")
	s := b.state()
	if d := s.Decision; d.Guard != "errors" || d.Digest != b.contents.digestOf("b") || d.By != "gateway gw" || len(d.Evidence) != 2 || d.Evidence[0].LnE < d.Evidence[0].Threshold {
		t.Errorf("decision %+v", d)
	}
	// An unrelated edit and the same bytes again change nothing.
	b.rollsOut(`"limits": {"rate": 10}`)
	b.settle()
	b.answering("1=100a 2=0-")
	b.rollsOut()
	b.settle()
	b.answering("1=100a 2=0-")
	b.restart()
	b.settle()
	b.answering("1=100a 2=0-")
	// Another attempt is another rollout.
	b.document("mozart", "1:a 2:b", "", `"rollout": {"stable": "1", "canary": "2", "attempt": 2, "steps": [{"weight": 20}]}`)
	b.settle()
	b.answering("1=80a 2=20b")
	if again := b.state(); again.ID() == s.ID() {
		t.Error("evidence of the first attempt counts in the second")
	}
}

func TestARollbackIsOnDiskBeforeAnybodyHearsOfIt(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	b.write()
	b.store.FailWrites(configs.ErrUnreachable)
	b.r.announce = append(b.r.announce, func() { // as what is said first of a rollback
		s, ok, err := b.r.keeper.load()
		if o, _ := configs.ParseOverride(s.Overrides["mozart"]); !ok || err != nil || o == nil || o.Rollout.Phase != configs.PhaseRolledBack {
			t.Errorf("on disk is %+v, %v", s.Overrides["mozart"], err)
		}
		b.answering("1=100a 2=0-")
		if strings.Contains(b.log.String(), "canary taken back") {
			t.Error("said before")
		}
	})
	b.fails()
	if !strings.Contains(b.log.String(), "canary taken back") {
		t.Error("never said")
	}
	b.start() // a crash in this moment
	b.answering("1=100a 2=0-")
}

func TestARollbackStandsWhileTheStoreIsAwayAndIsReplayed(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	before := b.state()
	b.store.FailWrites(configs.ErrUnreachable)
	b.fails()
	b.answering("1=100a 2=0-")
	b.after(time.Minute)
	if b.next.After(b.now.Add(decideAgain)) {
		t.Errorf("the rollback is written again only at %v", b.next)
	}
	b.read() // what is read still says that the canary has its step
	b.answering("1=100a 2=0-")
	b.wantsState(configs.PhaseStep, 0)
	// Not even a new process forgets.
	b.restart()
	b.answering("1=100a 2=0-")
	b.away = true
	b.read()
	b.answering("1=100a 2=0-")
	b.away = false
	b.store.FailWrites(nil)
	b.after(decideAgain)
	b.settle()
	b.wantsState(configs.PhaseRolledBack, 0)
	if s := b.state(); s.ID() != before.ID() || s.Decision.Guard != "errors" {
		t.Errorf("replayed %+v", s)
	}
	if b.r.overrides["mozart"].local != nil {
		t.Error("still counts here alone")
	}
}

// overrides makes what stands beside the document what f says, as an operator
// would.
func (b *bench) overrides(f func(*configs.Document, *configs.Override) (*configs.Override, error)) {
	b.t.Helper()
	o, err := configs.ParseOverride(configs.Entry{Name: "mozart", Value: b.store.Item("overrides/mozart").Value})
	if err != nil {
		b.t.Fatal(err)
	}
	doc, _, err := configs.Parse(configs.Entry{Name: "mozart", Value: b.store.Item("models/mozart").Value})
	if err != nil {
		b.t.Fatal(err)
	}
	next, err := f(doc, o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.set("overrides/mozart", string(configs.CanonicalOverride(next)))
}

func (b *bench) decided(event configs.DecisionEvent) {
	b.t.Helper()
	b.overrides(func(doc *configs.Document, o *configs.Override) (*configs.Override, error) {
		return doc.Decide(o, configs.Decision{Event: event, By: "ada", Reason: "I say so", At: b.now.Add(time.Second).UTC()})
	})
}

func TestARollbackIsLetGoWhereTheOperatorHasMovedOn(t *testing.T) {
	for name, moveOn := range map[string]func(*bench){
		"another rollout": func(b *bench) {
			b.document("mozart", "1:a 2:b", "", `"rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 30}]}`)
		},
		"weights":       func(b *bench) { b.document("mozart", "1:a 2:b", "1=70 2=30") },
		"a retry":       func(b *bench) { b.decided(configs.DecideRetry) },
		"the next step": func(b *bench) { b.decided(configs.DecideStep) },
		"the promotion": func(b *bench) { b.decided(configs.DecidePromote) },
		"a hold that gives the canary traffic": func(b *bench) {
			b.overrides(func(doc *configs.Document, o *configs.Override) (*configs.Override, error) {
				return o.WithHold(doc, configs.Override{Weights: map[string]float64{"1": 80, "2": 20}, By: "ada", Reason: "look", At: b.now, Until: b.now.Add(time.Hour)}), nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.rollsOut()
			b.settle()
			b.store.FailWrites(configs.ErrUnreachable)
			b.fails()
			b.store.FailWrites(nil)
			moveOn(b)
			b.settle()
			b.after(decideAgain)
			b.settle()
			if b.r.overrides["mozart"] != nil && b.r.overrides["mozart"].local != nil {
				t.Error("the rollback still counts")
			}
			if _, got, _ := strings.Cut(b.serving("mozart"), " "); strings.HasPrefix(got, "1=100a") {
				t.Errorf("serving %q", got)
			}
		})
	}
}

// The store still has the run that was taken back, and it counts again with its
// document: so it stays taken back, as it would if that had been written.
func TestARollbackThatIsNotWrittenYetStandsWhenItsDocumentComesBack(t *testing.T) {
	for name, meanwhile := range map[string]func(*bench){
		"in the same process": func(*bench) {},
		"after a restart":     func(b *bench) { b.restart() },
		"after a restart without the store": func(b *bench) {
			b.away = true
			b.restart()
			b.after(decideAgain)
			b.away = false
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.rollsOut()
			b.settle()
			before := b.state()
			b.store.FailWrites(configs.ErrUnreachable)
			b.fails()
			b.answering("1=100a 2=0-")

			b.store.FailWrites(nil)
			b.document("mozart", "1:a 2:b", "1=70 2=30")
			b.store.FailWrites(configs.ErrUnreachable)
			b.after(decideAgain)
			b.read()
			b.answering("1=70a 2=30b") // as the operator says
			meanwhile(b)
			b.answering("1=70a 2=30b")

			b.store.FailWrites(nil)
			b.rollsOut()
			b.store.FailWrites(configs.ErrUnreachable)
			b.read()
			b.answering("1=100a 2=0-")
			if s := b.state(); s == nil || s.ID() != before.ID() || s.Phase != configs.PhaseStep {
				t.Fatalf("the store has %+v, so that this proves nothing", s)
			}
			b.store.FailWrites(nil)
			b.after(decideAgain)
			b.settle()
			b.wantsState(configs.PhaseRolledBack, 0)
			if s := b.state(); s.ID() != before.ID() {
				t.Errorf("replayed as %s, and %s was taken back", s.ID(), before.ID())
			}
			if b.r.overrides["mozart"].local != nil {
				t.Error("still counts here alone")
			}
		})
	}
}

func TestAHoldOnTheNextDocumentOutlivesARestartBesideARollbackThatIsNotWritten(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	b.store.FailWrites(configs.ErrUnreachable)
	b.fails()
	b.store.FailWrites(nil)
	b.overrides(func(doc *configs.Document, o *configs.Override) (*configs.Override, error) {
		return o.WithHold(doc, configs.Override{Weights: map[string]float64{"1": 100}, By: "ada", Reason: "look", At: b.now, Until: b.now.Add(time.Hour)}), nil
	})
	b.document("mozart", "1:a 2:b", "1=70 2=30")
	b.store.FailWrites(configs.ErrUnreachable)
	b.read()
	b.answering("1=100a 2=0b")
	b.restart() // and the store was not read yet
	b.answering("1=100a 2=0b")
	b.store.FailWrites(nil)
	b.read()
	b.rollsOut()
	b.after(decideAgain)
	b.settle()
	b.after(time.Hour)
	b.settle()
	b.wantsState(configs.PhaseRolledBack, 0)
	b.answering("1=100a 2=0-")
}

func TestAnOperatorsPromotionIsNotTakenBackUnderAHold(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	b.store.FailWrites(configs.ErrUnreachable)
	b.fails()
	b.store.FailWrites(nil)
	b.decided(configs.DecidePromote)
	b.overrides(func(doc *configs.Document, o *configs.Override) (*configs.Override, error) {
		return o.WithHold(doc, configs.Override{Weights: map[string]float64{"1": 100}, By: "ada", Reason: "look", At: b.now, Until: b.now.Add(time.Hour)}), nil
	})
	b.after(decideAgain)
	b.settle()
	b.answering("1=100a 2=0b")
	b.wantsState(configs.PhasePromoted, 0)
	b.after(time.Hour)
	b.settle()
	b.answering("1=0a 2=100b")
}

func TestARollbackIsNotLetGoForAPersonWhoOnlyPauses(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	b.store.FailWrites(configs.ErrUnreachable)
	b.fails()
	b.store.FailWrites(nil)
	b.decided(configs.DecidePause)
	b.restart()
	b.after(decideAgain)
	b.settle()
	b.answering("1=100a 2=0-")
	b.wantsState(configs.PhaseRolledBack, 0)
}

// Gateways that have not taken the newest document (here because somebody broke
// it before they read it) must not replace what others decided on that.
func TestWhoFollowsAnOlderDocumentLeavesAloneWhatWasDecidedOnTheNewest(t *testing.T) {
	for name, before := range map[string]func(*bench){
		"no rollout begins":      func(b *bench) { b.remove("overrides/mozart"); b.restart() },
		"no rollback is written": func(b *bench) { b.store.FailWrites(configs.ErrUnreachable); b.fails(); b.store.FailWrites(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.rollsOut()
			b.settle()
			before(b)
			b.document("mozart", "1:a 2:b", "", `"rollout": {"stable": "1", "canary": "2", "attempt": 2, "steps": [{"weight": 20}]}`)
			other := newBenchOf(t, t.TempDir(), b.contents)
			other.store = b.store
			other.start()
			other.settle()
			newest := b.state()
			b.set("models/mozart", "{")
			for range 3 {
				b.after(decideAgain)
				b.read()
				other.after(decideAgain)
				other.read()
			}
			if s := b.state(); newest == nil || s == nil || s.ID() != newest.ID() || s.Phase != configs.PhaseStep {
				t.Errorf("what was decided is replaced by %+v", s)
			}
			other.answering("1=80a 2=20b")
		})
	}
}

// deafStore makes writes and does not answer.
type deafStore struct {
	*configstest.Store
	deaf bool
}

func (s *deafStore) Apply(ctx context.Context, writes ...configs.Write) (uint64, error) {
	index, err := s.Store.Apply(ctx, writes...)
	if err == nil && s.deaf && strings.HasPrefix(writes[0].Key, configs.OverridesPrefix) {
		return 0, configs.ErrUnreachable
	}
	return index, err
}

func TestADecisionOfWhichTheAnswerWasLostIsOnRecord(t *testing.T) {
	b := newBench(t)
	link := &deafStore{Store: b.store, deaf: true}
	b.link = link
	b.start()
	b.rollsOut()
	b.read()
	b.wantsState(configs.PhaseStep, 0)
	index := b.store.Item("overrides/mozart").Index
	if record := b.store.Item(configs.AuditKey("mozart", index, "start")); record.Index == 0 || !strings.Contains(string(record.Value), "gateway gw") {
		t.Errorf("record %q, writes %q", record.Value, b.store.Writes())
	}
	b.wantsMetric("1", "segue_consul_writes_total", "kind=overrides", "outcome=error")
}

func TestTheEndOfAStepsTimeTakesNothingBackThatOthersHaveLeftBehind(t *testing.T) {
	b := newBench(t)
	b.document("mozart", "1:a 2:b", "", `"rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 10, "max_time": "5m"}, {"weight": 50}], "on_inconclusive": "rollback"}`)
	b.settle()
	b.store.FailWrites(configs.ErrUnreachable)
	b.after(6 * time.Minute)
	b.answering("1=90a 2=10b")
	b.store.FailWrites(nil)
	b.decided(configs.DecideStep)
	b.settle()
	b.wantsState(configs.PhaseStep, 1)
	b.answering("1=50a 2=50b")
	b.wantsMetric("", "segue_rollbacks_total", "model=mozart", "reason=inconclusive")
	// Where nobody has, it does.
	b.document("mozart", "1:a 2:b", "", `"rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 10, "max_time": "5m"}], "on_inconclusive": "rollback"}`)
	b.settle()
	b.answering("1=90a 2=10b")
	b.after(6 * time.Minute)
	b.settle()
	b.answering("1=100a 2=0-")
	b.wantsState(configs.PhaseRolledBack, 0)
	b.wantsMetric("1", "segue_rollbacks_total", "model=mozart", "reason=inconclusive")
	if d := b.state().Decision; d.Digest != b.contents.digestOf("b") || d.Guard != "" || len(d.Evidence) != 2 {
		t.Errorf("decision %+v", d)
	}
}

func TestARollbackIsMadeOnWhatSomebodyElseDecidedMeanwhile(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	// Another gateway goes on to the second step at the same moment.
	item := b.store.Item("overrides/mozart")
	o, _ := configs.ParseOverride(configs.Entry{Name: "mozart", Value: item.Value})
	doc, _, _ := configs.Parse(configs.Entry{Name: "mozart", Value: b.store.Item("models/mozart").Value})
	next, err := doc.Decide(o, configs.Decision{Event: configs.DecideStep, By: "gateway other", Reason: "evidence", At: b.now.UTC()})
	if err != nil {
		t.Fatal(err)
	}
	b.set("overrides/mozart", string(configs.CanonicalOverride(next)))
	b.fails()
	b.answering("1=100a 2=0-")
	b.wantsState(configs.PhaseStep, 1)
	b.wantsMetric("1", "segue_consul_writes_total", "kind=overrides", "outcome=conflict")
	b.settle()
	b.wantsState(configs.PhaseRolledBack, 1)
	b.answering("1=100a 2=0-")
}

func TestNoStepIsTakenDuringAFreezeAndARollbackIs(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	b.set("settings", `{"schema": 1, "freeze": true}`)
	b.settle()
	b.requests(4000, 0, false)
	b.requests(444, 0, true)
	b.after(time.Minute)
	b.settle()
	b.wantsState(configs.PhaseStep, 0)
	b.requests(0, 60, true)
	b.pass()
	b.answering("1=100a 2=0-")
	b.wantsState(configs.PhaseRolledBack, 0)
}

func TestATripOfTheCanarysBreakerAloneStopsTheRollout(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	breaker := func(version string) *breaker { return b.r.router.load().models["mozart"].versions[version].breaker }
	breaker("1").trip()
	breaker("2").trip()
	b.pass()
	b.wantsState(configs.PhaseStep, 0) // what breaks both is not the canary's fault
	b = newBench(t)
	b.rollsOut()
	b.settle()
	b.r.router.load().models["mozart"].versions["2"].breaker.trip()
	b.pass()
	b.wantsState(configs.PhaseRolledBack, 0)
	b.answering("1=100a 2=0-")
	b.wantsMetric("1", "segue_rollbacks_total", "model=mozart", "reason=breaker")
	if reason := b.state().Decision.Reason; !strings.HasPrefix(reason, "breaker: ") {
		t.Errorf("reason %q", reason)
	}
}

func TestARestartResumesStepAndEvidence(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	b.requests(4000, 0, false)
	b.requests(200, 0, true)
	b.r.exchange.round(context.Background())
	first := b.r.exchange.epoch
	b.now = b.now.Add(time.Second)
	b.restart()
	b.settle()
	if b.r.exchange.epoch == first {
		t.Fatal("the new process writes where the old one did")
	}
	b.answering("1=90a 2=10b")
	b.r.exchange.round(context.Background())
	b.pass()
	if got := b.r.models["mozart"].live.verdict.Requests; got != 200 {
		t.Errorf("%d requests of the canary are known, want 200", got)
	}
	b.requests(400, 0, false)
	b.requests(244, 0, true)
	for range 3 { // nothing counts twice
		b.r.exchange.round(context.Background())
	}
	b.pass()
	if got := b.r.models["mozart"].live.verdict.Requests; got != 444 {
		t.Errorf("%d requests of the canary are known, want 444", got)
	}
	b.settle()
	b.wantsState(configs.PhaseStep, 1)
}

func TestGatewaysDecideOnWhatAllOfThemHaveSeen(t *testing.T) {
	one := newBench(t)
	one.rollsOut()
	one.settle()
	fleet := []*bench{one}
	for n := 1; n < 10; n++ {
		other := newBenchOf(t, t.TempDir(), one.contents)
		other.store, other.now = one.store, one.now.Add(time.Duration(n))
		other.start()
		other.settle()
		fleet = append(fleet, other)
	}
	everybody := func(f func(*bench)) {
		for _, b := range fleet {
			f(b)
		}
	}
	everybody(func(b *bench) { b.requests(400, 0, false); b.requests(45, 0, true) })
	everybody(func(b *bench) { b.after(time.Second) })
	one.wantsState(configs.PhaseStep, 0) // 45 requests prove nothing
	everybody(func(b *bench) { b.r.exchange.round(t.Context()) })
	everybody(func(b *bench) { b.r.exchange.round(t.Context()) })
	before := one.store.Index()
	everybody(func(b *bench) { b.pass() })
	one.wantsState(configs.PhaseStep, 1)
	steps := 0
	records, err := configs.ListAudit(t.Context(), one.store, "mozart")
	for _, r := range records {
		if r.Index > before && r.Event == string(configs.DecideStep) {
			steps++
		}
	}
	if err != nil || steps != 1 {
		t.Errorf("%d steps were taken, want 1 (%v)", steps, err)
	}
	everybody(func(b *bench) { b.settle(); b.answering("1=50a 2=50b") })
}

func TestAHoldSuspendsARolloutAndItGoesOnAfterwards(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	state := b.state()
	doc, _, _ := configs.Parse(configs.Entry{Name: "mozart", Value: b.store.Item("models/mozart").Value})
	o, _ := configs.ParseOverride(configs.Entry{Name: "mozart", Value: b.store.Item("overrides/mozart").Value})
	hold := o.WithHold(doc, configs.Override{Weights: map[string]float64{"1": 50, "2": 50}, By: "ada", Reason: "look", At: b.now, Until: b.now.Add(time.Hour)})
	b.set("overrides/mozart", string(configs.CanonicalOverride(hold)))
	b.settle()
	b.answering("1=50a 2=50b")
	if b.r.router.load().models["mozart"].rollout != nil {
		t.Error("requests under a hold count as evidence")
	}
	b.after(time.Hour)
	b.settle()
	b.answering("1=90a 2=10b")
	if s := b.state(); s == nil || s.ID() != state.ID() {
		t.Errorf("state %+v, want %s", s, state.ID())
	}
	b.wantsMetric("1", "segue_override_active", "model=mozart", "kind=rollout")
	b.wantsMetric("0", "segue_override_active", "model=mozart", "kind=hold")
}

func TestWhatWasDecidedOnAnotherRolloutIsDeleted(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	b.document("mozart", "1:a 2:b", "1=60 2=40")
	b.settle()
	b.answering("1=60a 2=40b")
	if b.state() != nil {
		t.Error("the override is still there")
	}
}

func TestARefusedVersionIsNotHeldBack(t *testing.T) {
	b := newBench(t)
	b.rollsOut()
	b.settle()
	b.fails()
	b.settle()
	doc, _, _ := configs.Parse(configs.Entry{Name: "mozart", Value: b.store.Item("models/mozart").Value})
	o, _ := configs.ParseOverride(configs.Entry{Name: "mozart", Value: b.store.Item("overrides/mozart").Value})
	hold := o.WithHold(doc, configs.Override{Weights: map[string]float64{"2": 100}, By: "ada", Reason: "look", At: b.now, Until: b.now.Add(time.Hour)})
	b.set("overrides/mozart", string(configs.CanonicalOverride(hold)))
	b.settle()
	b.answering("1=100a 2=0-")
	b.waitsFor("mozart", "taken version")
}

func TestAssignmentsCountOnlyWhereTheyShould(t *testing.T) {
	recorder := rollout.NewRecorder("r", "w")
	recorder.Begin(0, 0)
	m := &modelRoute{rollout: &rolloutRoute{recorder: recorder, stable: "1", canary: "2", seed: 7, judge: func() {}}}
	plan, err := rollout.Compile("r", (&configs.Rollout{Stable: "1", Canary: "2", Steps: []configs.Step{{Weight: 50}}}).WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	count := func() string {
		total := plan.Merge(0, recorder.Snapshot())
		v := plan.Decide(rollout.State{}, total, time.Time{})
		return fmt.Sprint(total.Requests(true), " ", v.Judgements[0].Events, " ", v.Judgements[1].Events)
	}
	canary := m.assign("2", nil)
	for ended, want := range map[outcome]string{outcomeClientError: "0 0 0", outcomeShed: "0 0 0", outcomeCancelled: "0 0 0", outcomeBreakerOpen: "0 0 0"} {
		if canary.record(ended, -1, 0); count() != want {
			t.Errorf("outcome %s: %s", outcomeNames[ended], count())
		}
	}
	other := m.assign("3", nil)
	other.record(outcomeModelError, -1, 0)
	for _, step := range []struct {
		ended outcome
		want  string
	}{{outcomeOK, "1 0 0"}, {outcomeModelError, "2 1 0"}, {outcomeTimeout, "3 2 0"}, {outcomeNonFinite, "4 2 1"}} {
		if canary.record(step.ended, -1, time.Millisecond); count() != step.want {
			t.Errorf("outcome %s: %s, want %s", outcomeNames[step.ended], count(), step.want)
		}
	}
	if a, b := m.assign("2", []byte("ada")), m.assign("2", []byte("bob")); a.unit == 0 || a.unit == b.unit {
		t.Errorf("units %d and %d", a.unit, b.unit)
	}
}
