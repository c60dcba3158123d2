package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

// oneNode is the folder of a model y = op(x) of FP32 vectors. Reshape makes
// three numbers of x, and fails on any other number of them.
func oneNode(t testing.TB, op string) string {
	t.Helper()
	m := artifacttest.Model{
		Inputs:  []artifacttest.Value{{Name: "x", ElemType: 1, Shape: []int64{-1}}},
		Outputs: []artifacttest.Value{{Name: "y", ElemType: 1, Shape: []int64{-1}}},
	}
	node := artifacttest.Message(nil, 1, []byte("x"))
	if op == "Reshape" {
		node = artifacttest.Message(node, 1, []byte("three"))
		shape := artifacttest.Varint(artifacttest.Varint(nil, 1, 1), 2, 7) // one INT64
		shape = artifacttest.Message(shape, 8, []byte("three"))
		m.Initializers = [][]byte{artifacttest.Message(shape, 9, []byte{3, 0, 0, 0, 0, 0, 0, 0})}
	}
	node = artifacttest.Message(node, 2, []byte("y"))
	m.Nodes = [][]byte{artifacttest.Message(node, 4, []byte(op))}
	opset := artifacttest.Varint(artifacttest.Message(nil, 1, nil), 2, 17)
	return artifacttest.Folder(t, map[string][]byte{"model.onnx": artifacttest.Message(m.Bytes(), 8, opset)})
}

// rolling is one gateway that rolls the model numbers out, from a folder.
type rolling struct {
	*seguetest.Gateway
	t   testing.TB
	dir string
}

// startRolling starts a gateway that rolls a model of one node out over one
// that answers what it was asked.
func startRolling(t testing.TB, op, rollout string) rolling {
	t.Helper()
	dir := t.TempDir()
	document := fmt.Sprintf(`{"model": "numbers", "versions": {"1": {"uri": "file:%s"}, "2": {"uri": "file:%s"}}, "limits": {"timeout": "10s"},
		"rollout": {"stable": "1", "canary": "2", %s}}`, oneNode(t, "Identity"), oneNode(t, op), rollout)
	if err := os.WriteFile(filepath.Join(dir, "numbers.json"), []byte(document), 0o644); err != nil {
		t.Fatal(err)
	}
	return rolling{seguetest.Start(t, seguetest.Config{Source: "file:" + dir}), t, dir}
}

// rollout waits until the rollout is as f wants it.
func (r rolling) rollout(what string, f func(*configs.RolloutStatus) bool) configs.RolloutStatus {
	r.t.Helper()
	var s *configs.RolloutStatus
	seguetest.Eventually(r.t, 30*time.Second, what, func() error {
		if s = r.Status(r.t).Models["numbers"].Rollout; s == nil || !f(s) {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	return *s
}

// inPhase waits until the rollout is in a phase and step.
func (r rolling) inPhase(phase configs.RolloutPhase, step int) configs.RolloutStatus {
	r.t.Helper()
	return r.rollout(fmt.Sprintf("phase %s, step %d", phase, step), func(s *configs.RolloutStatus) bool { return s.Phase == phase && s.Step == step })
}

// askUntilTakenBack sends requests that make the canary fail, each of which must be
// answered, until the rollout is taken back.
func (r rolling) askUntilTakenBack() (asked int, s configs.RolloutStatus) {
	r.t.Helper()
	body := []byte(`{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [-1, -2]}]}`)
	for deadline := time.Now().Add(30 * time.Second); ; asked++ {
		if s := r.Status(r.t).Models["numbers"].Rollout; asked%10 == 0 && s != nil && s.Phase == configs.PhaseRolledBack {
			return asked, *s
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not taken back after %d requests\n%s", asked, r.Log())
		}
		if a := r.Infer(r.t, "numbers", body, nil); a.Code != http.StatusOK || !strings.Contains(string(a.Body), "[-1.0,-2.0]") {
			r.t.Fatalf("request %d: %d %s", asked, a.Code, a.Body)
		}
	}
}

// seguectl runs the operator's tool on the gateway's folder.
func (r rolling) seguectl(args ...string) {
	r.t.Helper()
	cmd := exec.Command(seguetest.Binary(r.t, "seguectl"), append(args, "--config", "file:"+r.dir, "--state-dir", r.StateDir)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("seguectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestACanaryThatGoesWrongIsTakenBackAndNobodySeesIt(t *testing.T) {
	for name, c := range map[string]struct{ operator, reason, counted string }{
		"answers that are not finite": {"Log", "guard nonfinite: ", "nonfinite"},
		"a breaker that opens":        {"Reshape", "breaker: half or more of at least 20 runs of version 2 failed", "breaker"},
	} {
		t.Run(name, func(t *testing.T) {
			r := startRolling(t, c.operator, `"steps": [{"weight": 50, "min_time": "1h"}], "guards": {"nonfinite": {}}`)
			r.inPhase(configs.PhaseStep, 0)
			asked, s := r.askUntilTakenBack()
			if !strings.HasPrefix(s.Reason, c.reason) {
				t.Errorf("taken back because %s", s.Reason)
			}
			if n, _ := r.Metric(t, `segue_rollbacks_total{model="numbers",reason="`+c.counted+`"}`); n != "1" {
				t.Errorf("%q rollbacks", n)
			}
			t.Logf("after %d requests: %s", asked, s.Reason)
		})
	}
}

func TestAPersonPausesResumesPromotesTakesBackAndRetries(t *testing.T) {
	r := startRolling(t, "Identity", `"steps": [{"weight": 10, "pause": true}, {"weight": 50, "min_time": "1h"}]`)
	first := r.inPhase(configs.PhaseStep, 0)
	r.seguectl("pause", "numbers", "--reason", "incident elsewhere", "--yes")
	r.rollout("paused", func(s *configs.RolloutStatus) bool { return s.Waits && s.Reason == "incident elsewhere" })
	r.seguectl("resume", "numbers", "--reason", "looks good", "--yes")
	r.rollout("resumed", func(s *configs.RolloutStatus) bool { return !s.Waits && s.Reason == "looks good" })
	r.seguectl("promote", "numbers", "--reason", "business hours", "--yes")
	if s := r.inPhase(configs.PhaseStep, 1); s.Weight != 50 || s.ID != first.ID {
		t.Errorf("after the first promotion %+v", s)
	}
	r.seguectl("promote", "numbers", "--reason", "enough seen", "--yes")
	r.inPhase(configs.PhasePromoted, 1)
	if weights := r.Status(t).Models["numbers"].Weights; weights["2"] != 1 {
		t.Errorf("promoted, the canary has %v", weights)
	}
	r.seguectl("rollback", "numbers", "--reason", "customers complain", "--yes")
	r.inPhase(configs.PhaseRolledBack, 1)
	if a := r.Get(t, "/v2/models/numbers/versions/2/ready"); a.Code != http.StatusServiceUnavailable {
		t.Errorf("the refused version answers %d %s", a.Code, a.Body)
	}
	r.seguectl("retry", "numbers", "--reason", "it was the network", "--yes")
	if s := r.inPhase(configs.PhaseStep, 0); s.ID == first.ID {
		t.Error("the second run goes on with the evidence of the first")
	}
}
