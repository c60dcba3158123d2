package drift

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// oracle are the values that testdata/oracle.py computes with SciPy and
// Evidently.
type oracle struct {
	Tables []struct {
		Reference, Window, Edges []float64
		verdictByOracle
		Distances
	}
	Rates []struct {
		K, M, X, N, Bound float64
		LnE               float64 `json:"ln_e"`
	}
	P, Q     []float64
	Features []struct {
		Reference, Window, Edges []float64
		Counts                   []uint64
		Below, Above             uint64
		WassersteinOfValues      float64 `json:"wasserstein_of_values"`
		verdictByOracle
		Distances
	}
	Summaries []struct {
		Shape                                                      []int64
		Row                                                        []float64
		Mean, Std, Min, Max, Skewness, Kurtosis, Energy, Roughness float64
		ZeroShare                                                  float64 `json:"zero_share"`
		Centroids                                                  []float64
	}
}

type verdictByOracle struct {
	Statistic float64
	Freedom   int
	P         float64
	LogP      float64 `json:"log_p"`
}

func readOracle(t *testing.T) oracle {
	t.Helper()
	text, err := os.ReadFile("testdata/oracle.json")
	if err != nil {
		t.Fatal(err)
	}
	var o oracle
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	if len(o.Tables)*len(o.Rates)*len(o.Q)*len(o.Features)*len(o.Summaries) == 0 {
		t.Fatal("a part of the oracle is empty")
	}
	return o
}

// near is the tolerance of 1e-9, relative to numbers over 1.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*max(1, math.Abs(want))) {
		t.Errorf("%s is %.17g, the oracle says %.17g", what, got, want)
	}
}

func nearAll(t *testing.T, what string, got, want Distances) {
	t.Helper()
	near(t, what+" psi", got.PSI, want.PSI)
	near(t, what+" jensen shannon", got.JensenShannon, want.JensenShannon)
	near(t, what+" l infinity", got.LInfinity, want.LInfinity)
	near(t, what+" kolmogorov smirnov", got.KolmogorovSmirnov, want.KolmogorovSmirnov)
	near(t, what+" wasserstein", got.Wasserstein, want.Wasserstein)
}

func TestTestsAndDistancesAreWhatTheOracleSays(t *testing.T) {
	o := readOracle(t)
	for i, c := range o.Tables {
		what := fmt.Sprint("table ", i)
		statistic, freedom := cells{c.Reference, c.Window}.powerDivergence()
		near(t, what+" statistic", statistic, c.Statistic)
		if freedom != c.Freedom {
			t.Errorf("%s: %d degrees of freedom, the oracle says %d", what, freedom, c.Freedom)
		}
		near(t, what+" log p", math.Log(chiSquareTail(statistic, freedom)), c.LogP)
		near(t, what+" critical", chiSquareCritical(c.verdictByOracle.P, freedom), c.Statistic)
		nearAll(t, what, Distance(c.Reference, c.Window, c.Edges), c.Distances)
	}
	for i, q := range falseDiscovery(o.P) {
		near(t, fmt.Sprint("q ", i), q, o.Q[i])
	}
}

func TestRatesAreWhatTheOracleSays(t *testing.T) {
	for i, c := range readOracle(t).Rates {
		bound := rateBound(c.K, c.M)
		near(t, fmt.Sprint("bound ", i), bound, c.Bound)
		near(t, fmt.Sprint("evidence ", i), math.Log(rateEvidence(c.X, c.N, bound)), c.LnE)
	}
}

// From the values themselves to the report, by the public way.
func TestReportsAreWhatTheOracleSays(t *testing.T) {
	for i, c := range readOracle(t).Features {
		what := fmt.Sprint("feature ", i)
		p := profiled(t, columns(1), Options{}, []runtime.Tensor{floats32("x", 1, c.Reference...)})
		if got := p.Features[0].Series[0].Edges; !slices.Equal(got, c.Edges) {
			t.Errorf("%s: edges %v, the oracle says %v", what, got, c.Edges)
		}
		w := windowOf(t, p, floats32("x", 1, c.Window...))
		counts := w.Counts(0, 0)
		if counts.Below != c.Below || counts.Above != c.Above {
			t.Errorf("%s: %d below and %d above, the oracle says %d and %d", what, counts.Below, counts.Above, c.Below, c.Above)
		}
		counts.Bins[0] += counts.Below
		counts.Bins[len(counts.Bins)-1] += counts.Above
		if !slices.Equal(counts.Bins, c.Counts) {
			t.Errorf("%s: bins %v, the oracle says %v", what, counts.Bins, c.Counts)
		}
		r, _ := Judge(Comparison{Window: w, Policy: DefaultPolicy()})
		near(t, what+" statistic", r.Features[0].Statistic, c.Statistic)
		near(t, what+" p", r.Features[0].P, c.P)
		nearAll(t, what, r.Features[0].Distances, c.Distances)
	}
}

func TestSummariesAreWhatTheOracleSays(t *testing.T) {
	for i, c := range readOracle(t).Summaries {
		got := new(tensorPlan).summarize(nil, c.Row, c.Shape)
		want := map[string]float64{
			"mean": c.Mean, "std": c.Std, "min": c.Min, "max": c.Max, "skewness": c.Skewness, "kurtosis": c.Kurtosis,
			"zero_share": c.ZeroShare, "energy": c.Energy, "roughness": c.Roughness,
		}
		for j, name := range scalarNames {
			if x, ok := want[name]; ok {
				near(t, fmt.Sprint("summary ", i, " ", name), got[j], x)
			}
		}
		for j, x := range c.Centroids {
			near(t, fmt.Sprint("summary ", i, " centroid ", j), got[len(scalarNames)+j], x)
		}
	}
}
