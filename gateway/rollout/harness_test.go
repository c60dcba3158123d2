package rollout

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// soak reports that simulations are to run with their full counts.
func soak() bool { return os.Getenv("SEGUE_SOAK") != "" }

// counts is how many simulated rollouts a test runs: few, or all of them.
func counts(few, all int) int {
	if soak() {
		return all
	}
	return few
}

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// document is a rollout with everything filled in.
func document(weights []float64, guards configs.Guards) *configs.Rollout {
	r := &configs.Rollout{
		Stable: "1", Canary: "2", Guards: guards,
		Alpha: 0.01, PromoteAlpha: 0.05, OnInconclusive: "hold",
	}
	for _, w := range weights {
		r.Steps = append(r.Steps, configs.Step{Weight: w})
	}
	return r
}

func ratioGuard(r0 float64) *configs.RatioGuard {
	return &configs.RatioGuard{MaxRatio: r0, PromoteRatio: 2 * r0, MaxRate: 0.01}
}

func mustCompile(t testing.TB, r *configs.Rollout) *Plan {
	t.Helper()
	p, err := Compile("0123456789abcdef", r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// errorsAt5 is one step at 5 % with the guard errors.
func errorsAt5(t testing.TB) *Plan {
	return mustCompile(t, document([]float64{5}, configs.Guards{Errors: ratioGuard(1)}))
}

func request(step int, canary, bad bool) Observation {
	o := Observation{Step: step, Canary: canary, Judged: Of(Errors)}
	if bad {
		o.Bad = Of(Errors)
	}
	return o
}

// clopperPearson is the exact two-sided 95 % interval of a share, found by
// bisection on the binomial distribution.
func clopperPearson(x, n int) (low, high float64) {
	solve := func(tail func(p float64) float64) float64 {
		a, b := 0.0, 1.0
		for range 60 {
			if m := (a + b) / 2; tail(m) < 0.025 {
				a = m
			} else {
				b = m
			}
		}
		return a
	}
	if x > 0 {
		low = solve(func(p float64) float64 { return 1 - binomialCDF(x-1, n, p) })
	}
	high = 1
	if x < n {
		high = 1 - solve(func(q float64) float64 { return binomialCDF(x, n, 1-q) })
	}
	return low, high
}

func binomialCDF(x, n int, p float64) float64 {
	sum := 0.0
	for k := 0; k <= x; k++ {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(k + 1))
		c, _ := math.Lgamma(float64(n - k + 1))
		sum += math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	return sum
}

func generator(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(20260301, seed)) }

func unitOf(i int) uint64 { return Unit("salt", fmt.Appendf(nil, "user-%d", i)) }
