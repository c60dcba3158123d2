//go:build !race

// Simulations have no goroutines to race, and take ten times as long where races
// are looked for.

package rollout

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// world is a fleet with traffic, simulated request by request against the
// package itself.
type world struct {
	plan     *Plan
	gateways int
	rate     float64       // requests a second, in the mean
	swing    bool          // rates of requests and of bad events go up and down
	stay     time.Duration // in each step, whatever the verdict
	follow   bool          // leave a step as soon as the verdict says so
	look     time.Duration
	// bad is stable's rate of bad events by guard, times the canary's rate over
	// stable's. Slow is judged as its rate says.
	bad   map[Guard]float64
	times float64
	// classes is how often each class is predicted by stable, and by the canary.
	classes [2][]float64
	// users is how many callers there are with sticky routing, else 0. They
	// differ in how often they come and in how often they meet a bad event.
	users int
	// own makes every gateway decide on what it knows itself: its own newest
	// evidence and what the others published up to publish ago.
	own     bool
	publish time.Duration
}

// run is what became of one simulated rollout.
type run struct {
	verdict  Verdict
	step     int
	canary   int // its judged requests up to then
	duration time.Duration
	looks    int
}

// user is a caller with sticky routing.
type user struct {
	unit    uint64
	key     []byte
	trouble float64 // times the rate of bad events
}

// simulate runs a rollout until a verdict ends it or its steps are over.
func (w world) simulate(t testing.TB, seed uint64) run {
	t.Helper()
	random := generator(seed)
	salt := fmt.Sprint("rollout-", seed)
	recorders := make([]*Recorder, w.gateways)
	for i := range recorders {
		recorders[i] = NewRecorder(w.plan.ID, fmt.Sprint("gateway-", i))
	}
	published := make([]*Evidence, w.gateways)
	users, pick := w.crowd(salt, random)
	var out run
	phase := random.Float64() * 2 * math.Pi
	for step := range w.plan.Steps {
		split, err := w.plan.Split(step, salt)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recorders {
			r.Begin(step, 0)
		}
		since := begin.Add(out.duration)
		for elapsed, on := time.Duration(0), false; elapsed < w.stay && !on; elapsed += w.look {
			tide := 1.0
			if w.swing {
				tide = 1 + 0.8*math.Sin(phase+2*math.Pi*out.duration.Hours())
			}
			for range poisson(random, w.rate*tide*w.look.Seconds()) {
				o := Observation{Step: step}
				trouble := 2 - tide // worst when there is little traffic
				if w.users > 0 {
					u := users[pick()]
					o.Unit, o.Canary = u.unit, split.Choose(u.key) == w.plan.Canary
					trouble *= u.trouble
				} else {
					o.Canary = split.ChooseRandom(random.Float64()) == w.plan.Canary
				}
				w.outcome(&o, trouble, random)
				recorders[random.IntN(w.gateways)].Record(o)
				if o.Canary {
					out.canary++
				}
			}
			out.duration += w.look
			out.looks++
			out.step = step
			for _, evidence := range w.views(recorders, published, out.looks) {
				out.verdict = w.plan.Decide(State{Step: step, Since: since}, w.plan.Merge(step, evidence...), begin.Add(out.duration))
				if out.verdict.Action == Rollback {
					return out
				}
			}
			on = w.follow && out.verdict.Action == Advance
		}
	}
	return out
}

// views is what verdicts are made on: that of the whole fleet, or what each
// gateway knows, which publish in turn.
func (w world) views(recorders []*Recorder, published []*Evidence, look int) [][]*Evidence {
	var fleet []*Evidence
	for _, r := range recorders {
		fleet = append(fleet, r.Snapshot())
	}
	if !w.own {
		return [][]*Evidence{fleet}
	}
	var views [][]*Evidence
	every := int(w.publish / w.look)
	for i := range recorders {
		if (look+i)%every == 0 {
			published[i] = fleet[i]
		}
	}
	for i := range recorders {
		view := slices.Clone(published)
		view[i] = fleet[i]
		views = append(views, view)
	}
	return views
}

// crowd is the callers, and a function that picks the next one's index.
func (w world) crowd(salt string, random *rand.Rand) ([]user, func() int) {
	if w.users == 0 {
		return nil, nil
	}
	users := make([]user, w.users)
	upTo := make([]float64, w.users)
	sum, trouble := 0.0, 0.0
	for i := range users {
		activity := math.Exp(random.NormFloat64())
		// One in ten has nine parts of all the trouble.
		users[i] = user{key: fmt.Appendf(nil, "user-%d", i), trouble: 1.0 / 9}
		if random.Float64() < 0.1 {
			users[i].trouble = 9
		}
		users[i].unit = Unit(salt, users[i].key)
		sum += activity
		trouble += users[i].trouble / float64(w.users)
		upTo[i] = sum
	}
	for i := range users {
		users[i].trouble /= trouble
	}
	return users, func() int {
		u := random.Float64() * sum
		low, high := 0, len(upTo)-1
		for low < high {
			if m := (low + high) / 2; upTo[m] <= u {
				low = m + 1
			} else {
				high = m
			}
		}
		return low
	}
}

// outcome draws what becomes of a request.
func (w world) outcome(o *Observation, trouble float64, random *rand.Rand) {
	o.Judged = Of(Errors)
	for g, rate := range w.bad {
		o.Judged = o.Judged.With(g)
		rate *= trouble
		if o.Canary {
			rate *= w.times
		}
		if random.Float64() < rate {
			o.Bad = o.Bad.With(g)
		}
	}
	if mix := w.classes[arm(o.Canary)]; mix != nil {
		o.Judged = o.Judged.With(Classes)
		u := random.Float64()
		for o.Class = 0; o.Class < len(mix)-1 && u >= mix[o.Class]; o.Class++ {
			u -= mix[o.Class]
		}
	}
}

// poisson draws how many of something happen.
func poisson(random *rand.Rand, mean float64) int {
	n := 0
	for at := random.ExpFloat64(); at < mean; at += random.ExpFloat64() {
		n++
	}
	return n
}

func TestRolloutsOfTheSameVersionAreNotTakenBack(t *testing.T) {
	ramp := []float64{5, 10, 25, 50}
	errors := func(r0 float64) configs.Guards { return configs.Guards{Errors: ratioGuard(r0)} }
	several := configs.Guards{
		Errors: ratioGuard(1), NonFinite: ratioGuard(1), Slow: ratioGuard(2), Classes: &configs.ClassGuard{MaxRatio: 3},
	}
	mix := []float64{0.5, 0.3, 0.15, 0.04, 0.01}
	base := world{gateways: 1, rate: 50, look: 10 * time.Second, stay: time.Hour, bad: map[Guard]float64{Errors: 0.01}, times: 1}
	sticky := func(w *world) {
		w.users, w.stay, w.swing, w.gateways, w.look = 2000, 15*time.Minute, true, 4, time.Minute
	}
	for _, c := range []struct {
		name      string
		weights   []float64
		guards    configs.Guards
		alpha     float64
		few, many int
		change    func(w *world)
	}{
		{"at 5 %", []float64{5}, errors(1), 0.01, 50, 1000, func(*world) {}},
		{"1.5 times as bad, as tolerated", []float64{5}, errors(1.5), 0.01, 25, 1000, func(w *world) { w.times = 1.5 }},
		{"3 times as bad, as tolerated", []float64{5}, errors(3), 0.01, 25, 1000, func(w *world) { w.times = 3 }},
		{"ramping, with a daily swing", ramp, errors(1), 0.01, 25, 1000, func(w *world) { w.stay, w.swing = 15*time.Minute, true }},
		// An alpha that is used up in part shows what one of 1 % would hide.
		{"at an alpha of 30 %", []float64{5}, errors(1), 0.3, 50, 1000, func(*world) {}},
		{"gateways that know of others late, at an alpha of 30 %", []float64{5}, errors(1), 0.3, 6, 1000, func(w *world) {
			w.gateways, w.own, w.publish = 4, true, 40*time.Second
		}},
		{"ramping, several guards and gateways", ramp, several, 0.01, 10, 1000, func(w *world) {
			w.stay, w.swing, w.gateways, w.look = 15*time.Minute, true, 4, 30*time.Second
			w.bad, w.classes = map[Guard]float64{Errors: 0.01, NonFinite: 0.005, Slow: 0.01}, [2][]float64{mix, mix}
		}},
		{"sticky, with callers who differ", []float64{5}, errors(1), 0.01, 10, 1000, func(w *world) { w.users, w.look = 2000, time.Minute }},
		{"sticky, 1.5 times as bad, as tolerated", []float64{5}, errors(1.5), 0.01, 10, 1000, func(w *world) { w.users, w.look, w.times = 2000, time.Minute, 1.5 }},
		{"sticky, ramping, at an alpha of 30 %", ramp, errors(1), 0.3, 10, 1000, sticky},
		// Who advances has had luck with its canary's callers, and keeps them.
		{"sticky, walking as verdicts say, at an alpha of 30 %", ramp, configs.Guards{Errors: &configs.RatioGuard{MaxRatio: 1, MaxRate: 0.3}}, 0.3, 10, 1000, func(w *world) {
			sticky(w)
			w.follow = true
		}},
		{"sticky, more callers than tables hold, at an alpha of 30 %", []float64{20}, errors(1), 0.3, 6, 1000, func(w *world) {
			w.users, w.look, w.bad = 20_000, time.Minute, map[Guard]float64{Errors: 0.1}
		}},
		{"sticky, ramping, several guards and gateways", ramp, several, 0.01, 6, 1000, func(w *world) {
			sticky(w)
			w.bad, w.classes = map[Guard]float64{Errors: 0.01, NonFinite: 0.005, Slow: 0.01}, [2][]float64{mix, mix}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := base
			d := document(c.weights, c.guards)
			d.Alpha = c.alpha
			w.plan = mustCompile(t, d)
			c.change(&w)
			n, back, looks, mismatches := counts(c.few, c.many), 0, 0, 0
			for seed := range n {
				r := w.simulate(t, uint64(seed))
				looks += r.looks
				if r.verdict.Action == Rollback {
					back++
				}
				if r.verdict.Action == Rollback && c.alpha < 0.1 {
					t.Logf("seed %d, step %d after %s: %s", seed, r.step, r.duration, r.verdict.Reason)
				}
				if r.verdict.Mismatch {
					mismatches++
				}
			}
			low, high := clopperPearson(back, n)
			t.Logf("%d of %d taken back falsely: %.2f %% (95 %%: %.2f to %.2f %%), %d looks each; %d with a sample-ratio mismatch", back, n, 100*float64(back)/float64(n), 100*low, 100*high, looks/n, mismatches)
			if allowed := max(1, int(c.alpha*float64(n))); back > allowed {
				t.Errorf("%d of %d identical versions were taken back, alpha allows %d", back, n, allowed)
			}
		})
	}
}

func TestTwentyGatewaysReachAVerdictInATwentiethOfTheTime(t *testing.T) {
	seconds := func(gateways int) int {
		w := world{
			plan: errorsAt5(t), gateways: gateways, rate: 4 * float64(gateways), look: time.Second, stay: 6 * time.Hour,
			bad: map[Guard]float64{Errors: 0.01}, times: 5,
		}
		return median(counts(11, 301), func(seed uint64) int {
			r := w.simulate(t, seed)
			if r.verdict.Action != Rollback {
				t.Errorf("seed %d: %s after %s", seed, r.verdict.Action, r.duration)
			}
			return int(r.duration.Seconds())
		})
	}
	alone, together := seconds(1), seconds(20)
	t.Logf("median %d s alone, %d s together", alone, together)
	// A look comes every second.
	if float64(together) > 1.3*float64(alone)/20+1 {
		t.Errorf("20 gateways take %d s, one of them %d s: want a twentieth", together, alone)
	}
}
