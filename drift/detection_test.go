//go:build !race

package drift

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// changes are what becomes of one of ten normal features.
type change struct {
	name  string
	sizes []float64
	draw  func(r *rand.Rand, size float64) float64
}

var (
	shift = change{"mean moved by, in deviations", []float64{0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1}, func(r *rand.Rand, size float64) float64 {
		return r.NormFloat64() + size
	}}
	spread = change{"deviation times", []float64{1.1, 1.25, 1.5, 2}, func(r *rand.Rand, size float64) float64 {
		return r.NormFloat64() * size
	}}
	lost = change{"share that is missing", []float64{0.003, 0.01, 0.02, 0.05, 0.2}, func(r *rand.Rand, size float64) float64 {
		if r.Float64() < size {
			return math.NaN()
		}
		return r.NormFloat64()
	}}
)

// longest is how many windows of an hour a change is waited for: a week.
const longest = 168

// The ways to alarm that are compared.
const (
	ours        = iota
	byEvidently // its default for more than 1,000 reference rows: Wasserstein distance over the deviation, from 0.1
	byPSI       // over 0.2, in the same ten bins
	ways
)

var wayNames = [ways]string{"Judge, 1 false alarm a month", "Evidently's default", "PSI > 0.2"}

// delays are after how many windows of n rows each way first alarms about the
// changed feature, longest+1 where it does not.
func delays(t testing.TB, c change, size float64, n int, seed uint64) [ways]int {
	t.Helper()
	random := generator(seed)
	const k, reference = 10, 20_000
	rows := draw(k*reference, random.NormFloat64)
	p := profiled(t, columns(k), Options{}, []runtime.Tensor{floats32("x", k, rows...)})
	sorted := make([]float64, reference)
	for i := range sorted {
		sorted[i] = rows[i*k]
	}
	slices.Sort(sorted)
	out := [ways]int{longest + 1, longest + 1, longest + 1}
	var state State
	values := make([]float64, k*n)
	for w := 1; w <= longest && slices.Max(out[:]) > longest; w++ {
		var first []float64
		for i := range values {
			values[i] = random.NormFloat64()
			if i%k == 0 {
				values[i] = c.draw(random, size)
				if !math.IsNaN(values[i]) {
					first = append(first, values[i])
				}
			}
		}
		var r Report
		r, state = Judge(Comparison{Window: windowOf(t, p, floats32("x", k, values...)), Policy: DefaultPolicy(), State: state})
		f := r.Features[slices.IndexFunc(r.Features, func(f FeatureReport) bool { return f.Name == "x[0]" })]
		alarms := [ways]bool{f.Alarm, normedWasserstein(sorted, first) >= 0.1, f.PSI > 0.2}
		for way, alarm := range alarms {
			if alarm {
				out[way] = min(out[way], w)
			}
		}
	}
	return out
}

// normedWasserstein is Evidently's: of the values themselves, over the
// deviation of the reference, which is sorted.
func normedWasserstein(reference, window []float64) float64 {
	slices.Sort(window)
	var sum, squares, distance, last float64
	for _, x := range reference {
		sum += x
		squares += x * x
	}
	mean := sum / float64(len(reference))
	for i, j := 0, 0; i < len(reference) || j < len(window); {
		before := math.Abs(float64(i)/float64(len(reference)) - float64(j)/float64(len(window)))
		var x float64
		if j == len(window) || i < len(reference) && reference[i] <= window[j] {
			x = reference[i]
			i++
		} else {
			x = window[j]
			j++
		}
		if before > 0 {
			distance += before * (x - last)
		}
		last = x
	}
	return distance / math.Sqrt(squares/float64(len(reference))-mean*mean)
}

// series is the median delays of one change at each size.
type delaySeries struct {
	rows    int
	medians [][ways]int
}

func measure(t testing.TB, c change, rows, runs int) delaySeries {
	out := delaySeries{rows: rows}
	for _, size := range c.sizes {
		var all [ways][]int
		for seed := range runs {
			for way, d := range delays(t, c, size, rows, uint64(seed)) {
				all[way] = append(all[way], d)
			}
		}
		var medians [ways]int
		line := fmt.Sprintf("windows of %d rows, %s %v:", rows, c.name, size)
		for way := range ways {
			slices.Sort(all[way])
			medians[way] = all[way][runs/2]
			line += fmt.Sprintf("  %s %s", wayNames[way], hours(medians[way]))
		}
		t.Log(line)
		out.medians = append(out.medians, medians)
	}
	return out
}

func hours(windows int) string {
	if windows > longest {
		return "never"
	}
	return fmt.Sprintf("%d h", windows)
}

// With windows of an hour. Set DRIFT_PLOT to a path to have it drawn; few counts
// give the same picture with few points.
func TestLargeChangesAreFoundInTheFirstWindow(t *testing.T) {
	runs := counts(3, 31)
	short := change{shift.name, []float64{0.3, 1}, shift.draw}
	if counts(0, 1) == 1 {
		short = shift
		for _, c := range []change{spread, lost} {
			for _, rows := range []int{200, 2000} {
				measure(t, c, rows, runs)
			}
		}
	}
	var all []delaySeries
	for _, rows := range []int{200, 2000} {
		s := measure(t, short, rows, runs)
		all = append(all, s)
		// Half a deviation is large: found at once, also in 200 rows.
		if last := s.medians[len(s.medians)-1]; last[ours] > 1 {
			t.Errorf("windows of %d rows: a deviation takes %s to be found", rows, hours(last[ours]))
		}
	}
	if s := all[1]; s.medians[len(s.medians)-2][ours] > 1 {
		t.Errorf("windows of 2,000 rows: %s for %v deviations", hours(s.medians[len(s.medians)-2][ours]), short.sizes[len(short.sizes)-2])
	}
	if path := os.Getenv("DRIFT_PLOT"); path != "" {
		plotDelays(t, path, short, all)
	}
}

// What each way alarms about that is nothing, in months of windows of an hour.
func TestRulesOfThumbHaveNoRateOfFalseAlarms(t *testing.T) {
	for _, rows := range []int{200, 500, 2000} {
		months := counts(1, 20)
		const k, reference = 10, 20_000
		windows := months * int(Month/time.Hour)
		if counts(0, 1) == 0 {
			windows = 100
		}
		var alarms [ways]int
		random := generator(uint64(rows))
		values := draw(k*reference, random.NormFloat64)
		p := profiled(t, columns(k), Options{}, []runtime.Tensor{floats32("x", k, values...)})
		sorted := make([][]float64, k)
		for i, x := range values {
			sorted[i%k] = append(sorted[i%k], x)
		}
		for _, s := range sorted {
			slices.Sort(s)
		}
		var state State
		for range windows {
			values := draw(k*rows, random.NormFloat64)
			var r Report
			r, state = Judge(Comparison{Window: windowOf(t, p, floats32("x", k, values...)), Policy: DefaultPolicy(), State: state})
			var any [ways]bool
			any[ours] = r.Alarm
			for _, f := range r.Features {
				any[byPSI] = any[byPSI] || f.PSI > 0.2
				column := make([]float64, 0, rows)
				for i := f.Position; i < len(values); i += k {
					column = append(column, values[i])
				}
				any[byEvidently] = any[byEvidently] || normedWasserstein(sorted[f.Position], column) >= 0.1
			}
			for way := range ways {
				if any[way] {
					alarms[way]++
				}
			}
		}
		perMonth := func(way int) float64 { return float64(alarms[way]) * float64(Month/time.Hour) / float64(windows) }
		t.Logf("windows of %d rows, 10 features, nothing changes: false alarms a month in %d windows: %s %.2f, %s %.2f, %s %.2f",
			rows, windows, wayNames[ours], perMonth(ours), wayNames[byEvidently], perMonth(byEvidently), wayNames[byPSI], perMonth(byPSI))
		if low := poissonBound(alarms[ours], false); low > 1.5*float64(windows)/float64(Month/time.Hour) {
			t.Errorf("%d false alarms in %d hours", alarms[ours], windows)
		}
	}
}

func TestTheRuleThatIsCalledEvidentlysIsEvidentlys(t *testing.T) {
	for i, c := range readOracle(t).Features {
		slices.Sort(c.Reference)
		near(t, fmt.Sprint("wasserstein of values ", i), normedWasserstein(c.Reference, c.Window), c.WassersteinOfValues)
	}
}
