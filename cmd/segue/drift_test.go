package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// measurements of wines: the mean and the spread of each.
var measurements = [13][2]float64{{13, .8}, {2.3, 1.1}, {2.4, .27}, {19.5, 3.3}, {100, 14}, {2.3, .6}, {2, 1}, {.36, .12}, {1.6, .57}, {5, 2.3}, {.96, .23}, {2.6, .7}, {747, 315}}

// wineOf is a row of made-up measurements, the first moved by some spreads.
func wineOf(random *rand.Rand, moved float64) []float64 {
	row := make([]float64, len(measurements))
	for i, m := range measurements {
		row[i] = m[0] + m[1]*random.NormFloat64()
	}
	row[0] += moved * measurements[0][1]
	return row
}

// watchedWine is a copy of the example's artifact with a profile of made-up
// measurements, and its digest.
func watchedWine(t testing.TB) (dir, digest string) {
	t.Helper()
	manifest, err := artifact.Parse(manifestOf(t, "wine", "1"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := drift.NewBuilder(manifest.Signature, drift.Options{Model: "wine", Ignore: []string{"probabilities", "label"}})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		in := runtime.Tensor{Name: "features", Type: runtime.FP32, Shape: []int64{1, int64(len(measurements))}}
		for _, x := range wineOf(random, 0) {
			in.Data = binary.LittleEndian.AppendUint32(in.Data, math.Float32bits(float32(x)))
		}
		if err := b.Add(drift.Rows{Inputs: []runtime.Tensor{in}}); err != nil {
			t.Fatal(err)
		}
	}
	profile, err := b.Profile()
	if err != nil {
		t.Fatal(err)
	}
	return withProfile(t, filepath.Join(quickstart, "models", "wine", "1"), profile)
}

// withProfile is a copy of an artifact with a profile among its files, and its
// digest.
func withProfile(t testing.TB, from string, profile *drift.Profile) (dir, digest string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, artifact.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := artifact.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	body, err := profile.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, artifact.ProfileFile), body, 0o644); err != nil {
		t.Fatal(err)
	}
	made, _, err := artifact.Make(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	packed := *manifest
	packed.Files = made.Files
	if digest, err = artifact.Write(dir, &packed); err != nil {
		t.Fatal(err)
	}
	return dir, digest
}

// tasters send wines to gateways until the test ends.
type tasters struct {
	moved  atomic.Int64 // how many spreads the first measurement is moved
	failed atomic.Pointer[string]
}

func startTasters(t *testing.T, fleet ...*seguetest.Gateway) *tasters {
	s := &tasters{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i, gw := range fleet {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 5))
			for ctx.Err() == nil {
				row, _ := json.Marshal(wineOf(random, float64(s.moved.Load())))
				body := fmt.Appendf(nil, `{"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 13], "data": %s}]}`, row)
				a, err := seguetest.Do(http.MethodPost, gw.URL+"/v2/models/wine/infer", body, nil)
				if err != nil {
					return // it was killed
				}
				if a.Code != http.StatusOK {
					said := fmt.Sprintf("%d %s", a.Code, a.Body)
					s.failed.Store(&said)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		if said := s.failed.Load(); said != nil {
			t.Errorf("a request failed: %s", *said)
		}
	})
	return s
}

// driftReport is what the fleet has found for wine, nil before it has.
func driftReport(t testing.TB, agent *consultest.Agent) *configs.DriftReport {
	t.Helper()
	pair, ok := agent.Get(prefix + "drift/wine/report")
	if !ok {
		return nil
	}
	r := &configs.DriftReport{}
	if err := json.Unmarshal([]byte(pair.Value), r); err != nil {
		t.Fatal(err)
	}
	return r
}

// wantDriftAlarm waits until gateways show an alarm, or none.
func wantDriftAlarm(t *testing.T, within time.Duration, want string, fleet ...*seguetest.Gateway) {
	t.Helper()
	for _, gw := range fleet {
		seguetest.Eventually(t, within, "the alarm is "+want, func() error {
			if got, _ := gw.Metric(t, `segue_drift_alarm{model="wine",version="1"}`); got != want {
				return fmt.Errorf("alarm %q\n%s", got, gw.Log())
			}
			return nil
		})
	}
}

func TestAFleetRaisesOneDriftAlarmWhoeverJudges(t *testing.T) {
	t.Parallel() // it mostly waits
	dir, digest := watchedWine(t)
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	agent.Put(prefix+"models/wine", fmt.Sprintf(`{"model": "wine", "versions": {"1": {"uri": "file:%s", "digest": %q}},
		"drift": {"sample": 1000, "window": {"samples": 400, "time": "5s"}, "compare": ["training"]}}`, dir, digest))
	fleet := startGateways(t, agent, 2)
	load := startTasters(t, fleet...)
	seguetest.Eventually(t, 60*time.Second, "three windows are judged", func() error {
		if r := driftReport(t, agent); r == nil || r.Windows["version/1"].Number < 4 || len(r.Comparisons) != 1 || r.Comparisons[0].Insufficient != "" {
			return fmt.Errorf("report %v", r != nil)
		}
		return nil
	})
	wantDriftAlarm(t, 30*time.Second, "0", fleet...)
	counts := agent.List(prefix + "drift/wine/gw-")
	if len(counts) != 2 {
		t.Errorf("%d gateways have written counts", len(counts))
	}
	for _, pair := range counts {
		if len(pair.Value) > configs.MaxDriftBytes/10 {
			t.Errorf("%s takes %d bytes", pair.Key, len(pair.Value))
		}
	}

	load.moved.Store(1)
	wantDriftAlarm(t, 60*time.Second, "1", fleet...)
	r := driftReport(t, agent)
	alarm := r.Comparisons[0].Alarm
	if alarm == nil || !slices.Equal(alarm.Features, []string{"features[0]"}) || r.Comparisons[0].Samples < 400 {
		t.Fatalf("%d samples, alarm %+v", r.Comparisons[0].Samples, alarm)
	}
	seguetest.Eventually(t, 30*time.Second, "the status says so", func() error {
		if d := fleet[0].Status(t).Models["wine"].Versions["1"].Drift; d == nil || !slices.Equal(d.Alarms, []string{configs.CompareTraining}) {
			return fmt.Errorf("%+v", d)
		}
		return nil
	})

	// Who judged is gone; another one goes on, and the episode is the same.
	gone := slices.IndexFunc([]string{"gw-0", "gw-1"}, func(name string) bool { return name == r.By })
	if gone < 0 {
		t.Fatalf("judged by %q", r.By)
	}
	left := fleet[1-gone]
	fleet[gone].Kill()
	seguetest.Eventually(t, 90*time.Second, "another gateway judges", func() error {
		if now := driftReport(t, agent); now.By == r.By || now.Comparisons[0].Alarm == nil || now.Comparisons[0].Alarm.ID != alarm.ID {
			return fmt.Errorf("by %s, alarm %+v", now.By, now.Comparisons[0].Alarm)
		}
		return nil
	})
	load.moved.Store(0)
	wantDriftAlarm(t, 90*time.Second, "0", left)
	logs := fleet[0].Log() + fleet[1].Log()
	if raised, cleared := strings.Count(logs, "drift alarm raised"), strings.Count(logs, "drift alarm cleared"); raised != 1 || cleared != 1 {
		t.Errorf("raised %d times, cleared %d times\n%s", raised, cleared, logs)
	}
}
