package rollout

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/segue-serving/segue/configs"
)

// oracle are the values that testdata/oracle.py computes from the formulas.
type oracle struct {
	Ratios []struct {
		Cells    [][3]float64
		R0       float64
		Worse    float64
		NotWorse float64 `json:"not_worse"`
	}
	Rates      []struct{ N, Bad, Q, Below, Above float64 }
	Mismatches []struct {
		W, Canary, Stable float64
		LnE               float64 `json:"ln_e"`
	}
	Shares []struct {
		N, Good          uint64
		Alpha, Low, High float64
	}
	Bounded []struct {
		Values           []float64
		Alpha, Low, High float64
	}
	Fleets []struct {
		Requests [][5]any // step, gateway, user, canary, bad
		Results  []struct {
			LnE                float64 `json:"ln_e"`
			Promote, Threshold float64
			Units, Events      int
		}
	}
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
	if len(o.Ratios)*len(o.Rates)*len(o.Mismatches)*len(o.Shares)*len(o.Bounded)*len(o.Fleets) == 0 {
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

func TestProcessesAreWhatTheOracleSays(t *testing.T) {
	o := readOracle(t)
	for i, c := range o.Ratios {
		var cells []cell
		for _, x := range c.Cells {
			cells = append(cells, cell{x[0], x[1], x[2]})
		}
		near(t, fmt.Sprint("worse ", i), lnWorse(cells, c.R0), c.Worse)
		near(t, fmt.Sprint("not worse ", i), lnNotWorse(cells, 2*c.R0), c.NotWorse)
	}
	for i, c := range o.Rates {
		near(t, fmt.Sprint("below ", i), lnBelow(c.N, c.Bad, c.Q), c.Below)
		near(t, fmt.Sprint("above ", i), lnAbove(c.N, c.Bad, c.Q), c.Above)
	}
	for i, c := range o.Mismatches {
		near(t, fmt.Sprint("mismatch ", i), lnMismatch(c.W, c.Canary, c.Stable), c.LnE)
	}
}

func TestIntervalsAreWhatTheOracleSays(t *testing.T) {
	o := readOracle(t)
	for i, c := range o.Shares {
		got := Mean{N: c.N, Sum: float64(c.Good)}.Share(c.Alpha)
		near(t, fmt.Sprint("low end of share ", i), got.Low, c.Low)
		near(t, fmt.Sprint("high end of share ", i), got.High, c.High)
	}
	for i, c := range o.Bounded {
		var m Mean
		for _, x := range c.Values {
			m.Add(x)
		}
		got := m.Bounded(c.Alpha)
		near(t, fmt.Sprint("low end of mean ", i), got.Low, c.Low)
		near(t, fmt.Sprint("high end of mean ", i), got.High, c.High)
	}
}

func TestEvidenceOfAFleetIsWhatTheOracleSays(t *testing.T) {
	guard := &configs.RatioGuard{MaxRatio: 1.5, PromoteRatio: 3, MaxRate: 0.3}
	d := document([]float64{5, 20, 50}, configs.Guards{Errors: guard})
	d.Alpha = 0.02
	plan := mustCompile(t, d)
	for i, f := range readOracle(t).Fleets {
		recorders := []*Recorder{NewRecorder(plan.ID, "a"), NewRecorder(plan.ID, "b")}
		for step, want := range f.Results {
			for _, r := range recorders {
				r.Begin(step, 0)
			}
			for _, q := range f.Requests {
				if int(q[0].(float64)) != step {
					continue
				}
				o := request(step, q[3].(bool), q[4].(bool))
				if user := int(q[2].(float64)); user >= 0 {
					o.Unit = unitOf(user)
				}
				recorders[int(q[1].(float64))].Record(o)
			}
			got := plan.judge(Errors, plan.Merge(step, recorders[0].Snapshot(), recorders[1].Snapshot()))
			name := fmt.Sprintf("fleet %d, step %d: ", i, step)
			near(t, name+"ln E", got.LnE, want.LnE)
			near(t, name+"ln E of the promotion", got.PromoteLnE, want.Promote)
			near(t, name+"threshold", got.Threshold, want.Threshold)
			if got.Units != want.Units || got.Events != want.Events {
				t.Errorf("%s%d of %d bad, the oracle says %d of %d", name, got.Events, got.Units, want.Events, want.Units)
			}
		}
	}
}
