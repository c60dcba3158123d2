package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
)

func TestMain(m *testing.M) {
	asProgram()
	code := m.Run()
	seguetest.Cleanup()
	os.Exit(code)
}

const quickstart = "../../configs/examples/quickstart"

// copyQuickstart copies the example folder, so that a test can change it.
func copyQuickstart(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "quickstart")
	if err := os.CopyFS(dir, os.DirFS(quickstart)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func manifestOf(t testing.TB, model, version string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(quickstart, "models", model, version, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tolerance is what the examples' manifests allow.
const tolerance = 1e-4

func TestEveryExampleVersionAnswersItsGoldens(t *testing.T) {
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + quickstart})
	manifests, err := filepath.Glob(filepath.Join(quickstart, "models", "*", "*", "manifest.json"))
	if err != nil || len(manifests) < 5 {
		t.Fatalf("manifests: %v %v", manifests, err)
	}
	for _, path := range manifests {
		version := filepath.Base(filepath.Dir(path))
		model := filepath.Base(filepath.Dir(filepath.Dir(path)))
		// The gateway is ready when every model serves; a version without weight
		// may come later.
		seguetest.Eventually(t, 30*time.Second, model+" "+version+" is ready", func() error {
			if a := gw.Get(t, "/v2/models/"+model+"/versions/"+version+"/ready"); a.Code != http.StatusOK {
				return fmt.Errorf("%d %s", a.Code, a.Body)
			}
			return nil
		})
		for _, golden := range seguetest.Goldens(t, manifestOf(t, model, version)) {
			a := gw.Infer(t, model+"/versions/"+version, golden.Request(t), nil)
			if a.Code != http.StatusOK || a.Version() != version {
				t.Errorf("%s %s, %s: %d from version %q: %s", model, version, golden.Name, a.Code, a.Version(), a.Body)
				continue
			}
			if err := golden.Check(a.Body, tolerance); err != nil {
				t.Errorf("%s %s, %s: %v", model, version, golden.Name, err)
			}
		}
	}
}

func TestTheGatewayEndsCleanlyOnSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		gw := seguetest.Start(t, seguetest.Config{Source: "file:" + quickstart})
		gw.Signal(t, sig)
		if code := gw.Wait(t, 10*time.Second); code != 0 {
			t.Errorf("%s: exit code %d, want 0\n%s", sig, code, gw.Log())
		}
	}
}

func TestWhileShuttingDownTheGatewayIsNotReadyButAnswers(t *testing.T) {
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + quickstart, Args: []string{"--shutdown-delay", "2s"}})
	body := seguetest.Goldens(t, manifestOf(t, "wine", "1"))[0].Request(t)
	gw.Signal(t, syscall.SIGTERM)
	seguetest.Eventually(t, time.Second, "ready answers 503", func() error {
		a, err := seguetest.Do(http.MethodGet, gw.MetricsURL+"/readyz", nil, nil)
		if err == nil && a.Code != http.StatusServiceUnavailable {
			err = fmt.Errorf("%d", a.Code)
		}
		return err
	})
	seguetest.Eventually(t, time.Second, "the status is not ready either", func() error {
		if gw.Status(t).Ready {
			return errors.New("it is")
		}
		return nil
	})
	if a := gw.Infer(t, "wine", body, nil); a.Code != http.StatusOK {
		t.Errorf("during the shutdown delay: %d %s", a.Code, a.Body)
	}
	gw.Signal(t, syscall.SIGTERM)
	if code := gw.Wait(t, 5*time.Second); code != 1 {
		t.Errorf("second signal: exit code %d, want 1", code)
	}
}

func TestARequestThatDoesNotEndIsCutOffAfterTheShutdownTimeout(t *testing.T) {
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + quickstart, Args: []string{"--shutdown-timeout", "1s"}})
	conn, err := net.Dial("tcp", strings.TrimPrefix(gw.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v2/models/wine/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	gw.Signal(t, syscall.SIGTERM)
	if code := gw.Wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, gw.Log())
	}
}

func TestAnEditedDocumentTakesEffectAndABadOneChangesNothing(t *testing.T) {
	dir := copyQuickstart(t)
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + dir})
	path := filepath.Join(dir, "mozart.yaml")
	body := seguetest.Goldens(t, manifestOf(t, "mozart", "2"))[0].Request(t)
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".tmp", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".tmp", path); err != nil {
			t.Fatal(err)
		}
	}
	weights := func(v1, v2 string) string {
		s := strings.Replace(string(original), `{"1": 90, "2": 10}`, fmt.Sprintf(`{"1": %s, "2": %s}`, v1, v2), 1)
		if s == string(original) {
			t.Fatalf("the example's weights are not where this test expects them:\n%s", original)
		}
		return s
	}
	answers := func(version string) func() error {
		return func() error {
			for range 5 {
				if a := gw.Infer(t, "mozart", body, nil); a.Version() != version {
					return fmt.Errorf("%d from version %q", a.Code, a.Version())
				}
			}
			return nil
		}
	}
	write(weights("0", "100"))
	seguetest.Eventually(t, 5*time.Second, "all traffic is on 2", answers("2"))

	write(weights("100", `"many"`))
	seguetest.Eventually(t, 5*time.Second, "the status names the problem", func() error {
		m := gw.Status(t).Models["mozart"]
		if len(m.Rejected) != 1 || !strings.Contains(m.Rejected[0], "traffic.weights") {
			return fmt.Errorf("rejected: %q", m.Rejected)
		}
		return nil
	})
	if err := answers("2")(); err != nil {
		t.Errorf("after a bad document: %v", err)
	}
	if v, _ := gw.Metric(t, `segue_config_last_reload_successful{model="mozart"}`); v != "0" {
		t.Errorf("segue_config_last_reload_successful is %q, want 0", v)
	}
	write(weights("0", "100"))
	seguetest.Eventually(t, 5*time.Second, "the same good document clears the alarm", func() error {
		if m := gw.Status(t).Models["mozart"]; len(m.Rejected) > 0 || m.Digest != m.WantedDigest {
			return fmt.Errorf("rejected %q, in force %s, wanted %s", m.Rejected, m.Digest, m.WantedDigest)
		}
		return nil
	})
}

func TestAVersionThatDoesNotLoadLeavesTheOldOneServing(t *testing.T) {
	dir := copyQuickstart(t)
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + dir})
	body := seguetest.Goldens(t, manifestOf(t, "wine", "1"))[0].Request(t)
	broken := map[string]func(model string) error{
		"missing":   os.RemoveAll,
		"truncated": func(m string) error { return os.Truncate(filepath.Join(m, "model.onnx"), 100) },
		"corrupt": func(m string) error {
			return os.WriteFile(filepath.Join(m, "model.onnx"), []byte("not a model"), 0o644)
		},
		"unreadable manifest": func(m string) error {
			return os.WriteFile(filepath.Join(m, "manifest.json"), []byte(`{"schema": 1,`), 0o644)
		},
		"refused by ONNX Runtime": func(m string) error {
			return errors.Join(os.Remove(filepath.Join(m, "manifest.json")), os.WriteFile(filepath.Join(m, "model.onnx"), []byte{8, 8, 58, 0}, 0o644))
		},
	}
	for name, spoil := range broken {
		t.Run(name, func(t *testing.T) {
			artifact := filepath.Join(dir, "models", "wine", strings.ReplaceAll(name, " ", "-"))
			if err := os.CopyFS(artifact, os.DirFS(filepath.Join(quickstart, "models", "wine", "1"))); err != nil {
				t.Fatal(err)
			}
			if err := spoil(artifact); err != nil {
				t.Fatal(err)
			}
			document := fmt.Sprintf("model: wine\nversions:\n  \"1\": {uri: \"file:models/wine/1\"}\n  bad: {uri: \"file:models/wine/%s\"}\ntraffic:\n  weights: {\"1\": 50, bad: 50}\n",
				filepath.Base(artifact))
			if err := os.WriteFile(filepath.Join(dir, "wine.yaml"), []byte(document), 0o644); err != nil {
				t.Fatal(err)
			}
			seguetest.Eventually(t, 20*time.Second, "the status says why version bad failed", func() error {
				m := gw.Status(t).Models["wine"]
				if v := m.Versions["bad"]; v.State != "Failed" || v.Reason == "" || m.Waiting == "" {
					return fmt.Errorf("%+v", m)
				}
				return nil
			})
			t.Logf("%s", gw.Status(t).Models["wine"].Waiting)
			for range 20 {
				if a := gw.Infer(t, "wine", body, nil); a.Code != http.StatusOK || a.Version() == "bad" {
					t.Fatalf("%d from %q: %s", a.Code, a.Version(), a.Body)
				}
			}
			if a := gw.Infer(t, "mozart", seguetest.Goldens(t, manifestOf(t, "mozart", "1"))[0].Request(t), nil); a.Code != http.StatusOK {
				t.Errorf("another model: %d %s", a.Code, a.Body)
			}
		})
	}
}

func TestCheckPrintsEverySettingAndItsOrigin(t *testing.T) {
	settings := newSettings(func(string) string { return "" })
	cmd := serveCommand(nil)
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--check", "--config", "file:" + quickstart, "--batch-size", "8"})
	t.Setenv("API_PORT", "9000")
	t.Setenv("SEGUE_LOG_LEVEL", "debug")
	t.Setenv("MLFLOW_TRACKING_URI", "http://mlflow.test:5000")
	t.Setenv("MLFLOW_TRACKING_PASSWORD", "very secret")
	t.Setenv("CONSUL_HTTP_TOKEN", "very secret")
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, s := range settings.list {
		if !strings.Contains(out.String(), s.flag) {
			t.Errorf("%s is not printed", s.flag)
		}
	}
	if strings.Contains(out.String(), "very secret") {
		t.Error("the token is printed")
	}
	for _, want := range []string{"batch-size 8 --batch-size", "http-addr :9000 API_PORT", "log-level debug SEGUE_LOG_LEVEL", "shutdown-delay 5s default", "cache-size 10GiB default",
		"CONSUL_HTTP_TOKEN ******** environment", "MLFLOW_TRACKING_URI http://mlflow.test:5000 environment",
		"MLFLOW_TRACKING_PASSWORD ******** environment"} {
		found := false
		for line := range strings.Lines(out.String()) {
			found = found || strings.Join(strings.Fields(line), " ") == want
		}
		if !found {
			t.Errorf("no line %q in\n%s", want, out.String())
		}
	}
}

func TestWrongSettingsAreAllNamed(t *testing.T) {
	signals := make(chan os.Signal)
	for _, v := range []string{"API_PORT", "LOG_LEVEL", "APP_ENV", "BATCH_SIZE", "SEGUE_CACHE_SIZE", "SEGUE_MEMORY_LIMIT"} {
		t.Setenv(v, "nonsense")
	}
	t.Setenv("SEGUE_ARTIFACT_HOSTS", "http://nonsense")
	s := newSettings(os.Getenv)
	cmd := serveCommand(signals)
	s.resolve(cmd.Flags(), os.Getenv)
	_, err := s.check("host")
	for _, want := range []string{"config", "http-addr", "log-level", "app-env", "batch-size", "cache-size", "memory-limit", "artifact-hosts"} {
		if err == nil || !strings.Contains(err.Error(), want+" is ") {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
	if code := run([]string{"serve", "--config", "nonsense"}, signals); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
}

func TestStatusIsJSONOnTheAdminListenerOnly(t *testing.T) {
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + quickstart})
	s := gw.Status(t)
	if !s.Ready || s.Models["mozart"].Weights["1"] != 0.9 {
		encoded, _ := json.Marshal(s)
		t.Errorf("%s", encoded)
	}
	for _, root := range []string{gw.URL, gw.MetricsURL} {
		for _, path := range []string{"/status", "/debug/pprof/", "/log-level", "/openapi.json"} {
			if a, err := seguetest.Do(http.MethodGet, root+path, nil, nil); err != nil || a.Code != http.StatusNotFound {
				t.Errorf("%s%s answers %d %v, want 404", root, path, a.Code, err)
			}
		}
	}
}

// TestTheStatusShowsHowVersionsAreRun has a model of microseconds and one of
// milliseconds whose rows cannot share a run.
func TestTheStatusShowsHowVersionsAreRun(t *testing.T) {
	for _, c := range []struct {
		source, model string
		want          configs.ExecutionStatus
		least         time.Duration
	}{
		{quickstart, "wine", configs.ExecutionStatus{Mode: "inline", MaxBatch: 1, Batching: "off: "}, time.Nanosecond},
		{longModel(t, "{queue: 77}"), "long", configs.ExecutionStatus{Mode: "worker", MaxBatch: 1, Queue: 77,
			Batching: "off: an input or output has no dynamic first size"}, time.Millisecond},
	} {
		gw := seguetest.Start(t, seguetest.Config{Source: "file:" + c.source})
		got := gw.Status(t).Models[c.model].Versions["1"].Execution
		switch {
		case got == nil:
			t.Errorf("%s: no execution", c.model)
		case got.Mode != c.want.Mode || got.MaxBatch != c.want.MaxBatch || !strings.HasPrefix(got.Batching, c.want.Batching) ||
			got.Instances != 1 || got.Workers < 1 || c.want.Queue > 0 && got.Queue != c.want.Queue:
			t.Errorf("%s: got %+v, want %+v", c.model, got, c.want)
		case time.Duration(got.FixedNS+got.PerRowNS) < c.least || got.FixedNS+got.PerRowNS > time.Second.Nanoseconds():
			t.Errorf("%s: a run is said to take %v", c.model, time.Duration(got.FixedNS+got.PerRowNS))
		}
	}
}
