//go:build realdata

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// driftRequest is one request that the pipelines have written, and what it was made
// from: windows of one piece of music are alike, and count as one caller's.
type driftRequest struct {
	body []byte
	unit string
}

// askedOf are the requests of a model in one of the pipelines' kinds.
func askedOf(t *testing.T, model, kind string) []driftRequest {
	t.Helper()
	dir := os.Getenv("SEGUE_DRIFT_DATA")
	if dir == "" {
		t.Fatal("SEGUE_DRIFT_DATA names no folder: run `make drift`")
	}
	file, err := os.Open(filepath.Join(dir, model+"-"+kind+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all []driftRequest
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var request struct{ ID string }
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			t.Fatal(err)
		}
		unit := request.ID
		if piece, _, found := strings.Cut(unit, "#"); found && model == "mozart" {
			unit = piece
		}
		all = append(all, driftRequest{slices.Clone(lines.Bytes()), unit})
	}
	if lines.Err() != nil || len(all) == 0 {
		t.Fatalf("%s: %d requests, %v", file.Name(), len(all), lines.Err())
	}
	return all
}

// tensorsOf reads the tensors of a request or an answer.
func tensorsOf(t *testing.T, body []byte, field string) (tensors []runtime.Tensor) {
	t.Helper()
	var message map[string]json.RawMessage
	if err := json.Unmarshal(body, &message); err != nil {
		t.Fatal(err)
	}
	var written []artifact.TensorData
	if err := json.Unmarshal(message[field], &written); err != nil {
		t.Fatal(err)
	}
	for i := range written {
		tensor, err := written[i].Tensor()
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, tensor)
	}
	return tensors
}

// referenceOf is the profile of a version on the requests that its reference is
// made of, answered by the version itself.
func referenceOf(t *testing.T, gw *seguetest.Gateway, model, version string) *drift.Profile {
	t.Helper()
	manifest, err := artifact.Parse(manifestOf(t, model, version))
	if err != nil {
		t.Fatal(err)
	}
	b, err := drift.NewBuilder(manifest.Signature, drift.Options{Source: "windows that the version learnt from"})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range askedOf(t, model, "seen") {
		answer := gw.Infer(t, model+"/versions/"+version, a.body, nil)
		if answer.Code != http.StatusOK {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
		err := b.Add(drift.Rows{Inputs: tensorsOf(t, a.body, "inputs"), Outputs: tensorsOf(t, answer.Body, "outputs"),
			Unit: max(1, xxhash.Sum64String(a.unit))})
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := b.Profile()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// judgedModel is a model of its own for each kind of request, so that no window
// holds two kinds.
type judgedModel struct {
	name     string
	requests []driftRequest
	// drifted names the feature that must alarm, empty where none may.
	drifted string
}

// TestDriftOnRealData: works that the model has not seen raise no alarm in two
// windows, and each drift one within two, with the feature that drifted.
//
// Windows last some ten seconds here and stand for an hour each: 200 false
// alarms a month are as many for a window as 0.5 are in windows of an hour.
func TestDriftOnRealData(t *testing.T) {
	const windowsOfClean, windowsOfDrift = 2, 2
	for model, kinds := range map[string]map[string]string{
		"mozart": {"none": "", "octave": "roll", "stretch": "roll", "folk": "roll"},
		"wine":   {"none": "", "alcohol": "features[0]", "proline": "features[12]"},
	} {
		t.Run(model, func(t *testing.T) {
			plain := seguetest.Start(t, seguetest.Config{Source: "file:" + quickstart})
			profile := referenceOf(t, plain, model, "1")
			plain.Stop(t)
			dir, digest := withProfile(t, filepath.Join(quickstart, "models", model, "1"), profile)
			folder := t.TempDir()
			var models []judgedModel
			for kind, drifted := range kinds {
				m := judgedModel{model + "-" + kind, askedOf(t, model, kind), drifted}
				models = append(models, m)
				document := fmt.Sprintf(`{"model": %q, "versions": {"1": {"uri": "file:%s", "digest": %q}},
					"drift": {"sample": 1000, "window": {"samples": 400, "time": "5m"}, "compare": ["training"], "false_alarms_per_month": 200, "unit": "X-Piece"}}`,
					m.name, dir, digest)
				if err := os.WriteFile(filepath.Join(folder, m.name+".json"), []byte(document), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			gw := seguetest.Start(t, seguetest.Config{Source: "file:" + folder})
			var wg sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			for _, m := range models {
				wg.Go(func() { m.ask(ctx, t, gw) })
			}
			t.Cleanup(func() { cancel(); wg.Wait() })
			for _, m := range models {
				if m.drifted != "" {
					m.wantAlarm(t, gw, windowsOfDrift)
				}
			}
			for _, m := range models {
				if m.drifted == "" {
					m.wantQuiet(t, gw, windowsOfClean)
				}
			}
		})
	}
}

// ask sends the requests again and again, until ctx ends.
func (m judgedModel) ask(ctx context.Context, t *testing.T, gw *seguetest.Gateway) {
	for {
		for _, a := range m.requests {
			if ctx.Err() != nil {
				return
			}
			answer, err := seguetest.Do(http.MethodPost, gw.URL+"/v2/models/"+m.name+"/infer", a.body, map[string]string{"X-Piece": a.unit})
			if err != nil || answer.Code != http.StatusOK {
				t.Errorf("%s: %v %d %.200s", m.name, err, answer.Code, answer.Body)
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// newest is the newest judgement of the model, and how many windows there were.
func (m judgedModel) newest(gw *seguetest.Gateway) (c configs.DriftComparison, result drift.Report, windows uint64, err error) {
	a, err := seguetest.Do(http.MethodGet, gw.AdminURL+"/drift/"+m.name, nil, nil)
	if err != nil {
		return c, result, 0, err
	}
	var shown struct {
		Versions json.RawMessage
		Report   *configs.DriftReport
	}
	if err := json.Unmarshal(a.Body, &shown); err != nil || shown.Report == nil || len(shown.Report.Comparisons) == 0 {
		return c, result, 0, fmt.Errorf("not judged yet: %v %s", err, shown.Versions)
	}
	c = shown.Report.Comparisons[0]
	if c.Result != nil {
		err = json.Unmarshal(c.Result, &result)
	}
	return c, result, shown.Report.Windows["version/1"].Number - 1, err
}

func (m judgedModel) wantQuiet(t *testing.T, gw *seguetest.Gateway, windows uint64) {
	seguetest.Eventually(t, 5*time.Minute, fmt.Sprintf("%d windows of %s are judged", windows, m.name), func() error {
		c, result, n, err := m.newest(gw)
		if err == nil && c.Alarm != nil {
			t.Fatalf("%s alarms: %+v after %d windows", m.name, c.Alarm, n)
		}
		if err != nil || n < windows || c.Insufficient != "" {
			return fmt.Errorf("%d windows, %s %w", n, c.Insufficient, err)
		}
		t.Logf("%s: no alarm in %d windows; %d samples worth %.0f, p %.3g at the least", m.name, n, c.Samples, result.Effective, result.Features[0].P)
		return nil
	})
}

func (m judgedModel) wantAlarm(t *testing.T, gw *seguetest.Gateway, windows uint64) {
	seguetest.Eventually(t, 5*time.Minute, m.name+" alarms", func() error {
		c, result, n, err := m.newest(gw)
		if err != nil {
			return err
		}
		if c.Alarm == nil {
			if n >= windows {
				t.Fatalf("%s: no alarm in %d windows; %s; first %+v", m.name, n, c.Insufficient, result.Features[:min(1, len(result.Features))])
			}
			return fmt.Errorf("%d windows", n)
		}
		f := result.Features[0]
		if !slices.Contains(c.Alarm.Features, m.drifted) {
			t.Errorf("%s: %v alarm, want %s among them", m.name, c.Alarm.Features, m.drifted)
		}
		t.Logf("%s: %v alarm in window %d; %d samples worth %.0f; %s %s of %s: p %.2g, PSI %.2f", m.name, c.Alarm.Features, n, c.Samples, result.Effective,
			f.Series, f.Direction, f.Name, f.P, f.PSI)
		return nil
	})
}
