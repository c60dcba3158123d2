//go:build !race

// Simulations have no goroutines to race, and take ten times as long where races
// are looked for.

package drift

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// counts is how many windows a test simulates: few, or all of them.
func counts(few, all int) int {
	if os.Getenv("SEGUE_SOAK") != "" {
		return all
	}
	return few
}

// population draws rows of k features; each call of the function it returns is
// one row, with the unit that sent it.
type population struct {
	features int64
	draw     func(random *rand.Rand) func(row []float64) (unit uint64)
}

func independent(next func(random *rand.Rand) float64) population {
	return population{10, func(random *rand.Rand) func([]float64) uint64 {
		return func(row []float64) uint64 {
			for i := range row {
				row[i] = next(random)
			}
			return 0
		}
	}}
}

func normal(r *rand.Rand) float64 { return r.NormFloat64() }

// bursts are rows of units that send geometrically many, on average 4, mixed;
// between 0 and 1 is how alike rows of one unit are.
func bursts(correlation float64) population {
	return population{10, func(random *rand.Rand) func([]float64) uint64 {
		type burst struct {
			unit uint64
			mean []float64
		}
		var open []burst
		return func(row []float64) uint64 {
			if len(open) < 20 {
				b := burst{unit: random.Uint64()}
				for range row {
					b.mean = append(b.mean, random.NormFloat64())
				}
				open = append(open, b)
			}
			at := random.IntN(len(open))
			b := open[at]
			for i := range row {
				row[i] = math.Sqrt(correlation)*b.mean[i] + math.Sqrt(1-correlation)*random.NormFloat64()
			}
			if random.Float64() < 0.25 {
				open[at] = open[len(open)-1]
				open = open[:len(open)-1]
			}
			return b.unit
		}
	}}
}

// add puts n rows of a population into whatever takes them.
func (p population) add(t testing.TB, random *rand.Rand, n int, take func(inputs []runtime.Tensor, unit uint64) error) {
	t.Helper()
	next := p.draw(random)
	row := make([]float64, p.features)
	for range n {
		unit := next(row)
		if err := take([]runtime.Tensor{floats32("x", p.features, row...)}, unit); err != nil {
			t.Fatal(err)
		}
	}
}

// outcome of many windows that are as the reference.
type outcome struct{ windows, alarms, features int }

// world is a model that is watched.
type world struct {
	population
	options   Options
	reference int // rows
	window    int // rows
	perModel  int // windows that are compared with one reference
	policy    Policy
	against   bool // another window, not the profile
}

func (w world) simulate(t testing.TB, windows int) outcome {
	t.Helper()
	var out outcome
	for seed := uint64(0); out.windows < windows; seed++ {
		random := generator(seed)
		b, err := NewBuilder(columns(w.features), w.options)
		if err != nil {
			t.Fatal(err)
		}
		w.add(t, random, w.reference, func(in []runtime.Tensor, unit uint64) error { return b.Add(Rows{Inputs: in, Unit: unit}) })
		p, err := b.Profile()
		if err != nil {
			t.Fatal(err)
		}
		var state State
		window, other := p.NewWindow(), p.NewWindow()
		for range w.perModel {
			c := Comparison{Window: window, Policy: w.policy, State: state}
			window.Reset()
			w.add(t, random, w.window, func(in []runtime.Tensor, unit uint64) error { return window.Add(in, nil, unit) })
			if w.against {
				c.Reference = other
				other.Reset()
				w.add(t, random, w.window, func(in []runtime.Tensor, unit uint64) error { return other.Add(in, nil, unit) })
			}
			var r Report
			if r, state = Judge(c); r.Insufficient {
				t.Fatalf("%d rows are not enough: %.0f effective", w.window, r.Effective)
			}
			out.windows++
			out.features = len(r.Features)
			if r.Alarm {
				out.alarms++
			}
		}
	}
	return out
}

// At 30 verdicts an hour with 365.25 false alarms a month a verdict may spend
// 1/60, so that a test that never fires is seen in few windows; as an operator
// would have it, it is 1/731.
func TestCleanWindowsAlarmAsOftenAsConfigured(t *testing.T) {
	often, seldom := DefaultPolicy(), DefaultPolicy()
	often.MinPSI, often.MinRate, seldom.MinPSI, seldom.MinRate = 0, 0, 0, 0
	often.FalseAlarmsPerMonth, often.Elapsed = 36.525, time.Hour
	floored := DefaultPolicy()
	floored.FalseAlarmsPerMonth = 36.525
	half := often
	half.Correlation = 0.5
	base := world{reference: 5000, window: 400, perModel: 20, policy: often}
	for _, c := range []struct {
		name       string
		population population
		change     func(*world)
		// powerful says that at least half of the configured alarms must come.
		powerful bool
		few, all int
	}{
		{"normal, independent", independent(normal), func(*world) {}, true, 1000, 20_000},
		{"normal, independent, 1 a month", independent(normal), func(w *world) { w.policy = seldom }, true, 1000, 100_000},
		{"normal, independent, windows of 5,000 rows", independent(normal), func(w *world) { w.window, w.reference = 5000, 50_000 }, true, 100, 4000},
		{"normal, independent, against another window", independent(normal), func(w *world) { w.against = true }, true, 600, 20_000},
		{"normal, independent, with the effect floor", independent(normal), func(w *world) { w.policy = floored }, false, 600, 20_000},
		{"heavy tails (Cauchy)", independent(func(r *rand.Rand) float64 { return r.NormFloat64() / r.NormFloat64() }), func(*world) {}, true, 600, 20_000},
		{"heavy tails (log-normal, σ = 3)", independent(func(r *rand.Rand) float64 { return math.Exp(3 * r.NormFloat64()) }), func(*world) {}, true, 600, 20_000},
		{"discrete (Poisson, mean 1)", independent(func(r *rand.Rand) float64 {
			n := -1.0
			for at := 0.0; at < 1; n++ {
				at += r.ExpFloat64()
			}
			return n
		}), func(*world) {}, false, 600, 20_000},
		{"discrete (one in 200 is not 0)", independent(func(r *rand.Rand) float64 { return float64(r.IntN(200) / 199) }), func(*world) {}, false, 600, 20_000},
		{"5 % missing", independent(func(r *rand.Rand) float64 {
			if r.Float64() < 0.05 {
				return math.NaN()
			}
			return r.NormFloat64()
		}), func(*world) {}, true, 600, 20_000},
		{"correlated at 0.9", population{10, func(random *rand.Rand) func([]float64) uint64 {
			return func(row []float64) uint64 {
				common := random.NormFloat64()
				for i := range row {
					row[i] = math.Sqrt(0.9)*common + math.Sqrt(0.1)*random.NormFloat64()
				}
				return 0
			}
		}}, func(*world) {}, false, 600, 20_000},
		{"a tensor of 100 values", population{100, independent(normal).draw}, func(*world) {}, false, 100, 2000},
		{"bursts, rows of a unit all alike", bursts(1), func(w *world) { w.window, w.reference = 2000, 20_000 }, false, 200, 10_000},
		{"bursts, correlated at 0.5, as configured", bursts(0.5), func(w *world) { w.window, w.reference, w.policy = 2000, 20_000, half }, false, 200, 10_000},
		{"bursts, one caller with a tenth", func() population {
			return population{10, func(random *rand.Rand) func([]float64) uint64 {
				heavy := draw(10, random.NormFloat64)
				return func(row []float64) uint64 {
					if random.Float64() < 0.1 {
						copy(row, heavy)
						return 1
					}
					for i := range row {
						row[i] = random.NormFloat64()
					}
					return random.Uint64()
				}
			}}
		}(), func(w *world) { w.policy.MinSamples = 30 }, false, 200, 10_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := base
			w.population = c.population
			c.change(&w)
			out := w.simulate(t, counts(c.few, c.all))
			configured := w.policy.alpha() * float64(out.windows)
			per := float64(out.alarms) / configured
			t.Logf("%s: %d features, %d windows of %d rows against %d: %d false alarms, %.1f configured: %.2f times (95 %%: %.2f to %.2f)",
				c.name, out.features, out.windows, w.window, w.reference, out.alarms, configured, per,
				poissonBound(out.alarms, false)/configured, poissonBound(out.alarms, true)/configured)
			if low := poissonBound(out.alarms, false); low > 1.5*configured || counts(0, 1) == 1 && per > 1.5 {
				t.Errorf("%d false alarms in %d windows, %.1f are configured", out.alarms, out.windows, configured)
			}
			if high := poissonBound(out.alarms, true); c.powerful && (high < 0.5*configured || counts(0, 1) == 1 && per < 0.5) {
				t.Errorf("%d false alarms in %d windows, %.1f are configured: a test that hardly fires", out.alarms, out.windows, configured)
			}
		})
	}
}

// poissonBound is Garwood's limit (1936) at 95 % for the mean of which n were
// seen.
func poissonBound(n int, upper bool) float64 {
	switch {
	case upper:
		return chiSquareCritical(0.025, 2*n+2) / 2
	case n == 0:
		return 0
	}
	return chiSquareCritical(0.975, 2*n) / 2
}
