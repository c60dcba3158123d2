package monitor

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/runtime"
)

// collector is a monitor as a registry asks it.
type collector struct{ *Monitor }

func (collector) Describe(to chan<- *prometheus.Desc) { Describe(to) }

// exported counts the series by name.
func (n *node) exported(t *testing.T) map[string]int {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{n.Monitor})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, f := range families {
		series[f.GetName()] = len(f.Metric)
	}
	return series
}

func TestSeriesAreBoundedWhateverTheProfileHas(t *testing.T) {
	const columns = 60
	wide := &runtime.Signature{
		Inputs:  []runtime.TensorSpec{{Name: "x", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, columns}}},
		Outputs: []runtime.TensorSpec{{Name: "p", Type: runtime.FP32, Shape: []int64{runtime.Dynamic, 1}}},
	}
	b, err := drift.NewBuilder(wide, drift.Options{})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	row := func() []runtime.Tensor {
		values := make([]float64, columns)
		for i := range values {
			values[i] = random.NormFloat64()
		}
		return []runtime.Tensor{floats("x", columns, values...)}
	}
	for range 2000 {
		if err := b.Add(drift.Rows{Inputs: row()}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := b.Profile()
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	v := versionOfProfile("1", body)
	v.Signature = wide
	store, at := configstest.NewStore(), newClock()
	n := newNode(t, store, at, "a")
	d := configs.Drift{Compare: []string{"training"}, Window: configs.DriftWindow{Samples: 300}}
	n.follow(modelOf(d, v))
	n.pass()
	for range 300 {
		n.Target("m", "1").add(&sample{of: n.Target("m", "1"), inputs: row()}, n.opts.Log)
	}
	n.write()
	at.at = at.at.Add(time.Minute)
	n.pass()
	got := n.exported(t)
	if got["segue_drift_score"] != mostFeatures || got["segue_drift_threshold"] != mostFeatures || got["segue_drift_alarm"] != 1 || got["segue_drift_window_samples"] != 1 {
		t.Errorf("%v", got)
	}
	if got["segue_drift_features_dropped"] != 1 || got["segue_drift_bin_samples_total"] != 0 {
		t.Errorf("%v", got)
	}
	n.follow()
	if got := n.exported(t); len(got) != 0 {
		t.Errorf("counts that nobody asked for, of a version that has left: %v", got)
	}
	d.ExportBins = true
	n.follow(modelOf(d, v))
	if got := n.exported(t); got["segue_drift_bin_samples_total"] != 10*mostFeatures || got["segue_drift_bin_reference_ratio"] != 10*mostFeatures {
		t.Errorf("%v", got)
	}
	// A version that has left keeps its counters until it is forgotten.
	n.follow()
	if got := n.exported(t); got["segue_drift_bin_samples_total"] == 0 || got["segue_drift_score"] != 0 {
		t.Errorf("%v", got)
	}
	n.Forget("m", "1")
	if got := n.exported(t); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestAReportFitsWhateverTheProfileHas(t *testing.T) {
	bars := make([]drift.Bar, 100)
	for i := range bars {
		bars[i] = drift.Bar{Bin: strings.Repeat("b", 40), Reference: 0.01, Window: 0.01}
	}
	result := drift.Report{}
	for i := range 512 {
		result.Features = append(result.Features, drift.FeatureReport{Name: strings.Repeat("f", 200), Kind: drift.Numeric, Side: drift.Input, Position: i, Histogram: bars})
	}
	n := newNode(t, configstest.NewStore(), newClock(), "a")
	report := &configs.DriftReport{Model: "m", At: time.Now(), Windows: map[string]configs.DriftWindowAt{}}
	for _, reference := range references {
		text, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		report.Comparisons = append(report.Comparisons, configs.DriftComparison{Version: "1", Reference: reference, Result: text, Day: text})
	}
	shorten(report)
	if _, err := configs.PutDriftReport(t.Context(), n.opts.Store, report); err != nil {
		t.Fatal(err)
	}
	var kept drift.Report
	if err := json.Unmarshal(report.Comparisons[0].Result, &kept); err != nil || len(kept.Features) < 10 {
		t.Errorf("%d features are left, %v", len(kept.Features), err)
	}
}
