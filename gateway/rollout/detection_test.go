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

// defaults are the guards of a document that names none.
var defaults = configs.Guards{Errors: ratioGuard(1), NonFinite: ratioGuard(1)}

// answers is how many requests the canary of one recorder answers until the
// action is wanted; at most limit. outcome draws what becomes of a request.
func answers(plan *Plan, seed uint64, want Action, limit int, outcome func(r *Recorder, o *Observation, random *rand.Rand)) int {
	random := generator(seed)
	r := NewRecorder(plan.ID, "w")
	r.Begin(0, 0)
	n := 0
	for n < limit {
		o := Observation{Canary: random.Float64() < plan.Share(0), Judged: Of(Errors, NonFinite)}
		outcome(r, &o, random)
		r.Record(o)
		if !o.Canary {
			continue
		}
		n++
		// A rollback can only follow a bad event; a promotion is looked for
		// every ten of the canary's requests.
		if want == Rollback && o.Bad == 0 && !o.Judged.Has(Classes) || want != Rollback && n%10 != 0 {
			continue
		}
		if plan.Decide(State{Since: begin}, plan.Merge(0, r.Snapshot()), begin).Action == want {
			return n
		}
	}
	return limit
}

func median(n int, f func(seed uint64) int) int {
	all := make([]int, n)
	for i := range all {
		all[i] = f(uint64(i))
	}
	slices.Sort(all)
	return all[n/2]
}

func TestWorseCanariesAreTakenBackInTime(t *testing.T) {
	const base = 0.01
	plan := mustCompile(t, document([]float64{5}, defaults))
	for _, c := range []struct {
		times  float64
		within int
	}{{math.Inf(1), 5}, {20, 60}, {5, 600}} {
		t.Run(fmt.Sprint(c.times, " times"), func(t *testing.T) {
			t.Parallel()
			got := median(counts(31, 1001), func(seed uint64) int {
				return answers(plan, seed, Rollback, 10*c.within, func(_ *Recorder, o *Observation, random *rand.Rand) {
					rate := base
					if o.Canary {
						rate = min(1, rate*c.times)
					}
					if random.Float64() < rate {
						o.Bad = Of(Errors)
					}
				})
			})
			t.Logf("median %d of the canary's requests", got)
			if got > c.within {
				t.Errorf("taken back after %d of its requests in the median, want at most %d", got, c.within)
			}
		})
	}
}

func TestSlowCanariesAreTakenBackAndOthersAreNot(t *testing.T) {
	guards := defaults
	guards.Slow = ratioGuard(2)
	plan := mustCompile(t, document([]float64{5}, guards))
	for _, c := range []struct {
		sigma, factor float64
		within        int // 0: never
	}{{0.3, 1.5, 100}, {1, 1.5, 20_000}, {0.3, 1, 0}, {1, 1, 0}} {
		t.Run(fmt.Sprintf("sigma %v, %v times", c.sigma, c.factor), func(t *testing.T) {
			t.Parallel()
			n, limit := counts(9, 301), 2*c.within
			if c.within == 0 {
				n, limit = counts(10, 1000), 1000
			}
			back := 0
			got := median(n, func(seed uint64) int {
				seconds := func(random *rand.Rand, factor float64) float64 {
					return 0.01 * factor * math.Exp(c.sigma*random.NormFloat64())
				}
				needed := answers(plan, seed, Rollback, limit, func(r *Recorder, o *Observation, random *rand.Rand) {
					if _, known := r.Reference(); !known {
						for range 2000 {
							r.Run(false, seconds(random, 1))
						}
						p99, ok := plan.Merge(0, r.Snapshot()).SlowReference()
						if exact := 0.01 * math.Exp(2.326*c.sigma); !ok || math.Abs(p99/exact-1) > 0.5*c.sigma {
							t.Errorf("the reference is %v of %v s", p99, exact)
						}
						r.SetReference(p99)
					}
					factor := 1.0
					if o.Canary {
						factor = c.factor
					}
					if judged, slow := r.Run(o.Canary, seconds(random, factor)); judged {
						o.Judged = o.Judged.With(Slow)
						if slow {
							o.Bad = Of(Slow)
						}
					}
				})
				if needed < limit {
					back++
				}
				return needed
			})
			t.Logf("median %d of the canary's requests, %d of %d taken back", got, back, n)
			if c.within > 0 && got > c.within {
				t.Errorf("taken back after %d of its requests in the median, want at most %d", got, c.within)
			}
			if c.within == 0 && back > max(1, n/100) {
				t.Errorf("%d of %d as fast as stable were taken back", back, n)
			}
		})
	}
}

func TestAnotherMixOfClassesIsTakenBack(t *testing.T) {
	guards := defaults
	guards.Classes = &configs.ClassGuard{MaxRatio: 3}
	plan := mustCompile(t, document([]float64{5}, guards))
	for _, c := range []struct {
		name   string
		class  func(random *rand.Rand) int
		within int
	}{
		{"always the same", func(*rand.Rand) int { return 9 }, 40},
		{"one that stable never says", func(random *rand.Rand) int { return 10 * (random.IntN(2)) }, 30},
		{"never one of five", func(random *rand.Rand) int { return random.IntN(8) }, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := median(counts(15, 301), func(seed uint64) int {
				return answers(plan, seed, Rollback, 10*c.within, func(_ *Recorder, o *Observation, random *rand.Rand) {
					o.Judged = o.Judged.With(Classes)
					if o.Class = random.IntN(10); o.Canary {
						o.Class = c.class(random)
					}
				})
			})
			t.Logf("median %d of the canary's requests", got)
			if got > c.within {
				t.Errorf("taken back after %d of its requests in the median, want at most %d", got, c.within)
			}
		})
	}
}

func TestPromotionTakesTheTrafficThatTheForecastSays(t *testing.T) {
	for _, c := range []struct {
		bad float64
		// least is what no test could do without: ln(1/alpha)/max_rate.
		least int
	}{{0, 300}, {0.001, 300}, {0.01, 300}} {
		t.Run(fmt.Sprint("rate ", c.bad), func(t *testing.T) {
			t.Parallel()
			plan := mustCompile(t, document([]float64{10}, configs.Guards{Errors: ratioGuard(1)}))
			forecast := plan.Forecast(Traffic{Rate: 100, Bad: c.bad})[0]
			got := median(counts(15, 301), func(seed uint64) int {
				return answers(plan, seed, Promote, 20_000, func(_ *Recorder, o *Observation, random *rand.Rand) {
					if random.Float64() < c.bad {
						o.Bad = Of(Errors)
					}
				})
			})
			t.Logf("stated %d, median %d, without a bad event %d", forecast.Typical, got, forecast.Clean)
			if r := float64(got) / float64(forecast.Typical); r > 1.3 || r < 1/1.3 {
				t.Errorf("promoted after %d of the canary's requests in the median, the forecast says %d", got, forecast.Typical)
			}
			if forecast.Clean < c.least || float64(forecast.Clean) > 1.3*float64(c.least) {
				t.Errorf("without a bad event it takes %d, want %d to 1.3 times that", forecast.Clean, c.least)
			}
			if want := time.Duration(float64(forecast.Typical) / 10 * float64(time.Second)); (forecast.Time - want).Abs() > time.Second {
				t.Errorf("stated time %s, want %s at 10 of the canary's requests a second", forecast.Time, want)
			}
		})
	}
}

func TestACanaryThatIsWorseIsSeldomPromoted(t *testing.T) {
	plan := mustCompile(t, document([]float64{20}, configs.Guards{Errors: ratioGuard(1)}))
	// Twice stable's rate, and over max_rate: bad by both measures, so at most
	// promote_alpha of them may pass.
	n, passed := counts(100, 2000), 0
	for seed := range n {
		if answers(plan, uint64(seed), Promote, 1500, func(_ *Recorder, o *Observation, random *rand.Rand) {
			rate := 0.01
			if o.Canary {
				rate = 0.02
			}
			if random.Float64() < rate {
				o.Bad = Of(Errors)
			}
		}) < 1500 {
			passed++
		}
	}
	low, high := clopperPearson(passed, n)
	t.Logf("%d of %d passed (95 %%: %.2f to %.2f %%)", passed, n, 100*low, 100*high)
	if low > plan.PromoteAlpha {
		t.Errorf("%d of %d canaries twice as bad were promoted", passed, n)
	}
}
