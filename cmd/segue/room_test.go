package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

const mebibyte = 1 << 20

// weighty writes the artifact of a model with so many bytes of weights, of
// which it answers one for each input, and returns its folder.
func weighty(t testing.TB, bytes int) string {
	t.Helper()
	cast := artifacttest.Varint(artifacttest.Varint(artifacttest.Message(nil, 1, []byte("to")), 3, onnxInt64), 20, 2)
	weights := onnxConstant("w", onnxFloat, []uint64{uint64(bytes / 4)}, make([]byte, bytes))
	model := onnxModel([]int64{-1, 2}, [][]byte{
		onnxNode("Cast", []string{"x"}, []string{"i"}, cast), onnxNode("Gather", []string{"w", "i"}, []string{"y"}),
	}, [][]byte{weights})
	return artifacttest.Folder(t, map[string][]byte{artifact.ModelFile: model})
}

// weightyDocument is a document of the model weighty whose versions lie in the
// folders, from 1 on.
func weightyDocument(folders []string, rest string) string {
	var versions []string
	for i, folder := range folders {
		versions = append(versions, fmt.Sprintf(`"%d": {"uri": "file:%s"}`, i+1, folder))
	}
	return fmt.Sprintf(`{"model": "weighty", "versions": {%s}, %s}`, strings.Join(versions, ", "), rest)
}

// weightyFolder is a configuration folder with that one document, and put
// writes another.
func weightyFolder(t testing.TB, document string) (dir string, put func(document string)) {
	t.Helper()
	dir = t.TempDir()
	put = func(document string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "weighty.json"), []byte(document), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(document)
	return dir, put
}

var weightyBody = []byte(`{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0, 1]}]}`)

// wantWeighty waits until a version is in a state for a reason.
func wantWeighty(t testing.TB, gw *seguetest.Gateway, version, state, reason string) {
	t.Helper()
	seguetest.Eventually(t, 60*time.Second, "version "+version+" is "+state, func() error {
		v := gw.Status(t).Models["weighty"].Versions[version]
		if v.State != state || !strings.Contains(v.Reason, reason) {
			return fmt.Errorf("%+v", v)
		}
		return nil
	})
}

func TestASwapThatDoesNotFitIsRefusedAndWhatServesServes(t *testing.T) {
	folders := []string{weighty(t, 32*mebibyte), weighty(t, 160*mebibyte)}
	dir, put := weightyFolder(t, weightyDocument(folders, `"traffic": {"weights": {"1": 100, "2": 0}}`))
	// What they take is measured once, and kept.
	first := seguetest.Start(t, seguetest.Config{Source: "file:" + dir})
	wantWeighty(t, first, "2", "Ready", "")
	cost := first.Status(t).Models["weighty"].Versions["2"].Memory
	if cost == nil || cost.Held < 160*mebibyte || cost.Peak < cost.Held || cost.Peak > 3*160*mebibyte {
		t.Fatalf("version 2 is said to cost %+v", cost)
	}
	both := first.ResidentBytes(t)
	t.Logf("160 MiB of weights cost %d MiB at most and %d MiB in the end; the process has %d MiB", cost.Peak/mebibyte, cost.Held/mebibyte, both/mebibyte)
	first.Stop(t)

	put(weightyDocument(folders[:1], `"traffic": {"weights": {"1": 100}}`))
	limit := both - cost.Held + cost.Peak/2
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + dir, StateDir: first.StateDir, Args: []string{"--memory-limit", fmt.Sprintf("%dMiB", limit/mebibyte)}})
	put(weightyDocument(folders, `"traffic": {"weights": {"1": 0, "2": 100}}`))
	wantWeighty(t, gw, "2", "Failed", fmt.Sprintf("needs %d MiB, ", (cost.Peak+mebibyte-1)/mebibyte))
	s := gw.Status(t).Models["weighty"]
	if want := fmt.Sprintf(" MiB are left of %d MiB: it is tried again when there is room", limit/mebibyte); !strings.HasSuffix(s.Versions["2"].Reason, want) {
		t.Errorf("refused for %s", s.Versions["2"].Reason)
	}
	t.Log(s.Versions["2"].Reason)
	if a := gw.Infer(t, "weighty", weightyBody, nil); a.Code != http.StatusOK || a.Version() != "1" {
		t.Errorf("version %s answers %d %s", a.Version(), a.Code, a.Body)
	}
	if got, _ := gw.Metric(t, "segue_memory_limit_bytes"); got != strconv.FormatFloat(float64(limit/mebibyte*mebibyte), 'g', -1, 64) {
		t.Errorf("the limit is said to be %s, want %d", got, limit/mebibyte*mebibyte)
	}
}

func TestAnIdleVersionLeavesMemoryAndComesBackWhenItIsAskedFor(t *testing.T) {
	folders := []string{weighty(t, mebibyte), weighty(t, 160*mebibyte)}
	dir, _ := weightyFolder(t, weightyDocument(folders, `"traffic": {"weights": {"1": 100, "2": 0}}, "runtime": {"idle_unload": "3s"}`))
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + dir})
	wantWeighty(t, gw, "2", "Ready", "")
	with := gw.ResidentBytes(t)
	wantWeighty(t, gw, "2", "Evicted", "")
	seguetest.Eventually(t, 20*time.Second, "its memory is given back", func() error {
		if now := gw.ResidentBytes(t); now > with-140*mebibyte {
			return fmt.Errorf("%d MiB, and %d MiB before", now/mebibyte, with/mebibyte)
		}
		return nil
	})
	a := gw.Infer(t, "weighty/versions/2", weightyBody, nil)
	if want := `version \"2\" of model \"weighty\" was unloaded because nobody used it, and is being loaded again`; a.Code != http.StatusServiceUnavailable ||
		!strings.Contains(string(a.Body), want) || a.Header.Get("Retry-After") == "" {
		t.Errorf("got %d %s %v, want 503 with %s", a.Code, a.Body, a.Header, want)
	}
	began := time.Now()
	seguetest.Eventually(t, 20*time.Second, "it answers again", func() error {
		if a := gw.Infer(t, "weighty/versions/2", weightyBody, nil); a.Code != http.StatusOK || a.Version() != "2" {
			return fmt.Errorf("%d %s", a.Code, a.Body)
		}
		return nil
	})
	t.Logf("back after %v", time.Since(began).Round(time.Millisecond))
	if n, _ := gw.Metric(t, `segue_model_evictions_total{reason="idle"}`); n != "1" {
		t.Errorf("%s evictions are counted", n)
	}
	wantWeighty(t, gw, "1", "Ready", "")
}

// groupOf makes a control group with a limit of memory, of either version, and
// returns a program that starts segue in it, and what sets the limit.
func groupOf(t testing.TB, bytes int64) (binary string, limit func(bytes int64), err error) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", nil, err
	}
	folder, file := "", ""
	for line := range strings.Lines(string(own)) {
		switch parts := strings.SplitN(strings.TrimSpace(line), ":", 3); {
		case len(parts) == 3 && parts[1] == "memory":
			folder, file = filepath.Join("/sys/fs/cgroup/memory", parts[2]), "memory.limit_in_bytes"
		case len(parts) == 3 && parts[1] == "" && folder == "":
			folder, file = filepath.Join("/sys/fs/cgroup", parts[2]), "memory.max"
		}
	}
	if folder == "" {
		return "", nil, errors.New("this process is in no control group")
	}
	group := filepath.Join(folder, fmt.Sprintf("segue-test-%d", os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		return "", nil, err
	}
	// The group can go once its last process has.
	t.Cleanup(func() {
		seguetest.Eventually(t, 10*time.Second, "the control group is empty", func() error { return os.Remove(group) })
	})
	set := func(bytes int64) error {
		return os.WriteFile(filepath.Join(group, file), []byte(strconv.FormatInt(bytes, 10)), 0o644)
	}
	if err := set(bytes); err != nil {
		return "", nil, err
	}
	binary = filepath.Join(t.TempDir(), "segue-in-group")
	script := fmt.Sprintf("#!/bin/sh\necho $$ >%s/cgroup.procs && exec %s \"$@\"\n", group, seguetest.Binary(t, "segue"))
	if err := os.WriteFile(binary, []byte(script), 0o755); err != nil {
		return "", nil, err
	}
	return binary, func(bytes int64) {
		t.Helper()
		if err := set(bytes); err != nil {
			t.Fatal(err)
		}
	}, nil
}

// What a kernel would end the process for is not begun, and done when it may be.
func TestTheLimitOfTheControlGroupHolds(t *testing.T) {
	const tight, wide = 300 * mebibyte, 2048 * mebibyte
	binary, limit, err := groupOf(t, tight)
	if err != nil {
		t.Logf("no control group can be made here, so an operator's limit stands for it: %v", err)
		dir, _ := weightyFolder(t, weightyDocument([]string{weighty(t, 320*mebibyte)}, `"traffic": {"weights": {"1": 100}}`))
		gw := seguetest.Start(t, seguetest.Config{Source: "file:" + dir, NotReady: true, Args: []string{"--memory-limit", "300MiB"}})
		wantWeighty(t, gw, "1", "Failed", "of 300 MiB")
		return
	}
	folders := []string{weighty(t, 16*mebibyte), weighty(t, 320*mebibyte)}
	dir, put := weightyFolder(t, weightyDocument(folders[:1], `"traffic": {"weights": {"1": 100}}`))
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + dir, Binary: binary})
	load := seguetest.StartLoad(gw.URL+"/v2/models/weighty/infer", weightyBody, 50, func(a seguetest.Answer) error {
		if a.Code != http.StatusOK {
			return fmt.Errorf("%d %s", a.Code, a.Body)
		}
		return nil
	})
	put(weightyDocument(folders, `"traffic": {"weights": {"2": 100}}`))
	wantWeighty(t, gw, "2", "Failed", " MiB of memory that are left to try it, of 300 MiB: it is tried again when there is room")
	t.Log(gw.Status(t).Models["weighty"].Versions["2"].Reason)
	limit(wide)
	wantWeighty(t, gw, "2", "Ready", "")
	seguetest.Eventually(t, 10*time.Second, "version 2 answers", func() error {
		if a := gw.Infer(t, "weighty", weightyBody, nil); a.Version() != "2" {
			return fmt.Errorf("%s: %d %s", a.Version(), a.Code, a.Body)
		}
		return nil
	})
	load.Stop(t)
}
