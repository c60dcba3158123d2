package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs/consul/consultest"
	"github.com/segue-serving/segue/deploy/parts"
	"github.com/segue-serving/segue/drift"
)

// prometheusProgram is one of Prometheus's programs, which make parts has left
// in the cache.
func prometheusProgram(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(parts.At(t, "PROMETHEUS_DIR", "prometheus-2.42.0"), name)
}

const rulesFolder = "../../deploy/prometheus"

func TestPrometheusTakesTheRules(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "drift-rules.yml"}, {"test", "rules", "drift-rules-test.yml"}} {
		cmd := exec.Command(prometheusProgram(t, "promtool"), args...)
		cmd.Dir = rulesFolder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// startPrometheus runs a server that scrapes gateways by the rules, and returns
// its address.
func startPrometheus(t *testing.T, fleet []*seguetest.Gateway) string {
	t.Helper()
	rules, err := filepath.Abs(filepath.Join(rulesFolder, "drift-rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, gw := range fleet {
		targets = append(targets, strconv.Quote(strings.TrimPrefix(gw.MetricsURL, "http://")))
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n- job_name: segue\n  static_configs: [{targets: [%s]}]\n",
		rules, strings.Join(targets, ", "))
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", seguetest.FreePort(t))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(prometheusProgram(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("Prometheus said\n%s", said)
		}
	})
	return "http://" + address
}

// query is the value of an instant query by the label feature.
func query(server, expression string) (map[string]float64, error) {
	a, err := seguetest.Do(http.MethodGet, server+"/api/v1/query?query="+url.QueryEscape(expression), nil, nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric struct{ Feature string }
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal(a.Body, &answer); err != nil {
		return nil, fmt.Errorf("%d %s: %w", a.Code, a.Body, err)
	}
	values := map[string]float64{}
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		if values[r.Metric.Feature], err = strconv.ParseFloat(text, 64); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// All that the fleet counts is counted in its first window, so that both must
// come to the same.
func TestPrometheusComputesTheFleetsPSI(t *testing.T) {
	t.Parallel() // it mostly waits
	const enough = 600
	dir, digest := watchedWine(t)
	agent := consultest.Start(t, consultest.Options{})
	document := func(more string) string {
		return fmt.Sprintf(`{"model": "wine", "versions": {"1": {"uri": "file:%s", "digest": %q}}%s}`, dir, digest, more)
	}
	agent.Put(prefix+"settings", `{"schema": 1}`)
	agent.Put(prefix+"models/wine", document(""))
	fleet := startGateways(t, agent, 2)
	server := startPrometheus(t, fleet)
	// The window lasts for longer than it takes to fill it, and ends by its time.
	agent.Put(prefix+"models/wine", document(`, "drift": {"sample": 10000, "window": {"samples": 5000, "time": "40s"}, "compare": ["training"], "export_bins": true}`))
	counted := func() (sum uint64) {
		for _, gw := range fleet {
			a, err := seguetest.Do(http.MethodGet, gw.AdminURL+"/drift/wine", nil, nil)
			var shown struct {
				Versions map[string]struct{ Samples uint64 }
			}
			if err == nil && json.Unmarshal(a.Body, &shown) == nil {
				sum += shown.Versions["1"].Samples
			}
		}
		return sum
	}
	random := rand.New(rand.NewPCG(3, 3))
	for i := 0; i%50 != 0 || counted() < enough; i++ {
		row, _ := json.Marshal(wineOf(random, 0.3))
		body := fmt.Appendf(nil, `{"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 13], "data": %s}]}`, row)
		if a := fleet[i%2].Infer(t, "wine", body, nil); a.Code != http.StatusOK {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
	}
	reported := map[string]float64{}
	seguetest.Eventually(t, 90*time.Second, "the window is judged", func() error {
		r := driftReport(t, agent)
		if r == nil || len(r.Comparisons) == 0 || r.Comparisons[0].Result == nil {
			return fmt.Errorf("no judgement yet")
		}
		var result drift.Report
		if err := json.Unmarshal(r.Comparisons[0].Result, &result); err != nil {
			return err
		}
		if all := counted(); r.Comparisons[0].Samples != all || all < enough {
			return fmt.Errorf("a window of %d samples, and %d were counted", r.Comparisons[0].Samples, all)
		}
		for _, f := range result.Features {
			reported[f.Name] = f.PSI
		}
		return nil
	})
	seguetest.Eventually(t, 60*time.Second, "Prometheus comes to the same", func() error {
		computed, err := query(server, "model_version_feature:segue_drift_psi:1h")
		if err != nil || len(computed) != len(measurements) {
			return fmt.Errorf("%d features, %w", len(computed), err)
		}
		for name, psi := range computed {
			if of := reported[name]; math.Abs(psi-of) > 1e-12 || of == 0 {
				return fmt.Errorf("%s: Prometheus says %v, the report %v", name, psi, of)
			}
		}
		return nil
	})
}
