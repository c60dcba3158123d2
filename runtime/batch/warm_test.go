package batch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

func spec(name string, typ runtime.DataType, shape ...int64) runtime.TensorSpec {
	return runtime.TensorSpec{Name: name, Type: typ, Shape: shape}
}

func TestWarmMeasuresTheCostOfRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		session := runtimetest.NewSession(&runtimetest.Fake{
			Signature: runtime.Signature{
				Inputs:  []runtime.TensorSpec{spec("x", runtime.FP32, -1, 2, -1), spec("s", runtime.BYTES, -1)},
				Outputs: []runtime.TensorSpec{spec("y", runtime.FP32, -1)},
			},
			Func: func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
				runs++
				rows := in[0].Shape[0]
				if got, want := runtime.FormatShape(in[0].Shape), fmt.Sprintf("[%d,2,1]", rows); got != want {
					t.Errorf("input of shape %s, want %s", got, want)
				}
				cost := 2*ms + time.Duration(rows)*ms/2
				if runs == 1 {
					cost = time.Second
				}
				time.Sleep(cost)
				return []runtime.Tensor{runtimetest.FP32("y", []int64{rows}, make([]float32, rows)...)}, nil
			},
		})
		executor := New(Options{Permits: 1})
		defer executor.Close()
		instance := executor.Instance(session, InstanceOptions{MaxBatch: 32})
		report, err := instance.Warm(t.Context(), []int{1, 8, 32})
		if err != nil || len(report.Failures) > 0 {
			t.Fatal(err, report.Failures)
		}
		near := func(got, want time.Duration) bool { return (got - want).Abs() < time.Microsecond }
		if !near(report.Fixed, 2*ms) || !near(report.PerRow, ms/2) {
			t.Errorf("cost is %v + %v a row, want 2ms + 500µs", report.Fixed, report.PerRow)
		}
		want := []WarmRun{{1, 2500 * time.Microsecond}, {8, 6 * ms}, {32, 18 * ms}}
		if fmt.Sprint(report.Runs) != fmt.Sprint(want) {
			t.Errorf("got runs %v, want %v", report.Runs, want)
		}
		if got := instance.Stats().FastestRun; got < ms || got > 6*ms {
			t.Errorf("fastest run is taken for %v, want about 2.5ms", got)
		}
		if got := session.Engine().HeldResults.Load(); got != 0 {
			t.Errorf("%d results are held", got)
		}
		report, err = instance.Warm(t.Context(), nil)
		if err != nil || len(report.Runs) != 2 || report.Runs[0].Rows != 1 || report.Runs[1].Rows != 32 {
			t.Errorf("without sizes: got %+v, %v, want 1 and 32 rows", report, err)
		}
	})
}

func TestWarmReportsFailuresAndVetoesNothing(t *testing.T) {
	session := runtimetest.NewSession(&runtimetest.Fake{
		Signature: runtime.Signature{
			Inputs:  []runtime.TensorSpec{spec("x", runtime.FP32, -1)},
			Outputs: []runtime.TensorSpec{spec("y", runtime.FP32, -1)},
		},
		Func: func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
			switch in[0].Shape[0] {
			case 2:
				return nil, errors.New("zeros are bad")
			case 3:
				panic("boom")
			}
			return in, nil
		},
	})
	executor := New(Options{Permits: 1})
	instance := executor.Instance(session, InstanceOptions{Name: "m", Version: "1"})
	report, err := instance.Warm(context.Background(), []int{1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(report.Failures, "; ")
	if len(report.Failures) != 2 || !strings.Contains(text, "2 rows: zeros are bad") || !strings.Contains(text, "3 rows") || !strings.Contains(text, "boom") {
		t.Errorf("failures are %q", report.Failures)
	}
	if len(report.Runs) != 2 || report.Runs[1].Rows != 4 {
		t.Errorf("runs are %+v, want 1 and 4 rows", report.Runs)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := instance.Warm(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if got := executor.Stats().Busy; got != 0 {
		t.Errorf("%d permits are held", got)
	}
}

func TestWarmRunsWhatDoesNotBatchOnce(t *testing.T) {
	for _, signature := range []runtime.Signature{
		{Outputs: []runtime.TensorSpec{spec("y", runtime.FP32, 3)}},
		{Inputs: []runtime.TensorSpec{spec("x", runtime.INT64), spec("s", runtime.BYTES, 1, 2)}, Outputs: []runtime.TensorSpec{spec("y", runtime.FP32)}},
	} {
		session := runtimetest.NewSession(&runtimetest.Fake{Signature: signature})
		instance := New(Options{}).Instance(session, InstanceOptions{MaxBatch: 8})
		report, err := instance.Warm(context.Background(), []int{1, 2, 4})
		if err != nil || len(report.Runs) != 1 || len(report.Failures) > 0 || report.PerRow != 0 {
			t.Errorf("got %+v, %v, want one run", report, err)
		}
	}
}

func TestTheLineOfCostBeginsAndRisesAtZeroOrAbove(t *testing.T) {
	run := func(rows int, best time.Duration) WarmRun { return WarmRun{Rows: rows, Best: best} }
	for name, c := range map[string]struct {
		runs          []WarmRun
		fixed, perRow time.Duration
	}{
		"none":                  {},
		"one size":              {[]WarmRun{run(1, 5*ms)}, 5 * ms, 0},
		"two sizes":             {[]WarmRun{run(1, 3*ms), run(3, 7*ms)}, ms, 2 * ms},
		"many rows are cheaper": {[]WarmRun{run(1, 5*ms), run(9, 3*ms)}, 4 * ms, 0},
		"many rows are dearer":  {[]WarmRun{run(1, 1*ms), run(2, 8*ms)}, 0, 3400 * time.Microsecond},
	} {
		if fixed, perRow := fit(c.runs); fixed != c.fixed || perRow != c.perRow {
			t.Errorf("%s: got %v and %v a row, want %v and %v", name, fixed, perRow, c.fixed, c.perRow)
		}
	}
}

// TestWhatARunSettlesInIsNotMeasured has a model whose first two runs of each
// size take memory.
func TestWhatARunSettlesInIsNotMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := map[int64]int{}
		session := runtimetest.NewSession(&runtimetest.Fake{
			Signature: runtime.Signature{
				Inputs:  []runtime.TensorSpec{spec("x", runtime.FP32, -1)},
				Outputs: []runtime.TensorSpec{spec("y", runtime.FP32, -1)},
			},
			Func: func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
				rows := in[0].Shape[0]
				cost := time.Duration(rows) * 20 * ms
				if runs[rows]++; runs[rows] <= 2 {
					cost *= 2
				}
				time.Sleep(cost)
				return []runtime.Tensor{runtimetest.FP32("y", []int64{rows}, make([]float32, rows)...)}, nil
			},
		})
		executor := New(Options{Permits: 1})
		defer executor.Close()
		report, err := executor.Instance(session, InstanceOptions{MaxBatch: 8}).Warm(t.Context(), nil)
		want := []WarmRun{{1, 20 * ms}, {8, 160 * ms}}
		if err != nil || fmt.Sprint(report.Runs) != fmt.Sprint(want) || report.PerRow != 20*ms {
			t.Errorf("got %+v, %v, want runs %v", report, err, want)
		}
	})
}

// trimmed is a session that keeps what its largest run took, one byte a row.
type trimmed struct {
	*runtimetest.Session
	holds int64
}

func (s *trimmed) Run(ctx context.Context, inputs []runtime.Tensor, outputs []int) (runtime.Result, error) {
	s.holds = max(s.holds, inputs[0].Shape[0])
	return s.Session.Run(ctx, inputs, outputs)
}

func (s *trimmed) Trim(context.Context, []runtime.Tensor) error {
	s.holds = 0
	return nil
}

func TestWhatLargeRunsOfAWarmUpTookIsKeptOnlyWhereBatchesAreMade(t *testing.T) {
	for name, c := range map[string]struct {
		fixed, perRow time.Duration
		holds         int64
	}{"batches": {ms, 0, 32}, "runs by themselves": {0, ms, 1}} {
		synctest.Test(t, func(t *testing.T) {
			session := &trimmed{Session: runtimetest.NewSession(&runtimetest.Fake{
				Signature: runtime.Signature{Inputs: []runtime.TensorSpec{spec("x", runtime.FP32, -1)}, Outputs: []runtime.TensorSpec{spec("y", runtime.FP32, -1)}},
				Func: func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
					time.Sleep(c.fixed + time.Duration(in[0].Shape[0])*c.perRow)
					return in, nil
				},
			})}
			executor := New(Options{Permits: 1})
			defer executor.Close()
			report, err := executor.Instance(session, InstanceOptions{MaxBatch: 32}).Warm(t.Context(), nil)
			if err != nil || (report.Plan.MaxBatch > 1) != (c.holds > 1) || session.holds != c.holds {
				t.Errorf("%s: the session holds %d after %+v, %v", name, session.holds, report, err)
			}
		})
	}
}
