package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

// soak reports that the full counts of the promises are asked for (make soak).
func soak() bool { return os.Getenv("SEGUE_SOAK") == "1" }

// counts returns the full count in a soak, else the reduced one.
func counts(reduced, full int) int {
	if soak() {
		return full
	}
	return reduced
}

// fleet is a gateway that follows a real Consul agent.
type fleet struct {
	*seguetest.Gateway
	agent *consultest.Agent
}

const prefix = "segue/test/"

// startFleet starts an agent with the sentinel and a document for mozart, and
// a gateway that follows it.
func startFleet(t testing.TB, document string) *fleet {
	t.Helper()
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1, "delete_grace": "1s"}`)
	agent.Put(prefix+"models/mozart", document)
	return &fleet{seguetest.Start(t, seguetest.Config{Source: "consul://" + agent.Addr + "/segue/test"}), agent}
}

// mozart writes a document of mozart with the given weights by version.
func mozart(t testing.TB, weights map[string]int) string {
	t.Helper()
	paths := map[string]string{}
	for v := range weights {
		path, err := filepath.Abs(filepath.Join(quickstart, "models", "mozart", v))
		if err != nil {
			t.Fatal(err)
		}
		paths[v] = path
	}
	return documentOf(paths, weights)
}

// documentOf writes a document of the fleet's model, whose versions lie at the
// given paths.
func documentOf(paths map[string]string, weights map[string]int) string {
	var versions, traffic []string
	for v, w := range weights {
		versions = append(versions, fmt.Sprintf(`%q: {"uri": "file:%s"}`, v, paths[v]))
		traffic = append(traffic, fmt.Sprintf(`%q: %d`, v, w))
	}
	return fmt.Sprintf(`{"model": "mozart", "versions": {%s}, "traffic": {"weights": {%s}}}`,
		strings.Join(versions, ", "), strings.Join(traffic, ", "))
}

// change writes a document and returns how long it took until an answer came
// from under it.
func (f *fleet) change(t testing.TB, document string, body []byte) time.Duration {
	t.Helper()
	start := time.Now()
	f.agent.Put(prefix+"models/mozart", document)
	pair, ok := f.agent.Get(prefix + "models/mozart")
	if !ok {
		t.Fatal("the document that was just written is not there")
	}
	for {
		a := f.Infer(t, "mozart", body, nil)
		if index, err := strconv.ParseUint(a.Header.Get("Segue-Config-Index"), 10, 64); err == nil && index >= pair.ModifyIndex {
			return time.Since(start)
		}
		if time.Since(start) > 20*time.Second {
			t.Fatalf("not in force after 20 s: %s", document)
		}
		time.Sleep(time.Millisecond)
	}
}

// checker compares every answer with that of the version which it names.
func (f *fleet) checker(t testing.TB, body []byte) func(seguetest.Answer) error {
	t.Helper()
	want := map[string]string{}
	for _, v := range []string{"1", "2"} {
		f.change(t, mozart(t, map[string]int{"1": 50, "2": 50}), body)
		a := f.Infer(t, "mozart/versions/"+v, body, nil)
		if a.Code != http.StatusOK {
			t.Fatalf("version %s: %d %s", v, a.Code, a.Body)
		}
		for _, golden := range seguetest.Goldens(t, manifestOf(t, "mozart", v)) {
			if string(golden.Request(t)) == string(body) {
				if err := golden.Check(a.Body, tolerance); err != nil {
					t.Fatalf("version %s: %v", v, err)
				}
			}
		}
		want[v] = string(a.Body)
	}
	if want["1"] == want["2"] {
		t.Fatal("both versions answer the same: this test could not tell them apart")
	}
	return func(a seguetest.Answer) error {
		if a.Code != http.StatusOK {
			return fmt.Errorf("%d %s", a.Code, a.Body)
		}
		if string(a.Body) != want[a.Version()] {
			return fmt.Errorf("the answer of version %q is %s, want %s", a.Version(), a.Body, want[a.Version()])
		}
		return nil
	}
}

func TestSwapsAndWeightChangesUnderLoadFailNoRequest(t *testing.T) {
	f := startFleet(t, mozart(t, map[string]int{"1": 100}))
	body := seguetest.Goldens(t, manifestOf(t, "mozart", "1"))[0].Request(t)
	check := f.checker(t, body)
	url := f.URL + "/v2/models/mozart/infer"
	capacity := seguetest.Capacity(t, url, body, 4, 2*time.Second)
	load := seguetest.StartLoad(url, body, 0.6*capacity, check)

	var swaps, weights []time.Duration
	n := counts(20, 200)
	for i := range n {
		version := []string{"1", "2"}[i%2]
		swaps = append(swaps, f.change(t, mozart(t, map[string]int{version: 100}), body))
	}
	f.change(t, mozart(t, map[string]int{"1": 100, "2": 0}), body)
	for i := range n {
		w := i % 101
		weights = append(weights, f.change(t, mozart(t, map[string]int{"1": 100 - w, "2": w}), body))
	}
	answered := load.Stop(t)
	p := load.Percentiles(.5, .99, 1)
	t.Logf("capacity %.0f/s; %d answers at 60 %%: p50 %s, p99 %s, max %s", capacity, answered, p[0], p[1], p[2])
	for what, took := range map[string][]time.Duration{"swap": swaps, "weight change": weights} {
		p := seguetest.Percentiles(took, .5, .99, 1)
		t.Logf("%d times from consul kv put to the first answer after a %s: p50 %s, p99 %s, max %s", len(took), what, p[0], p[1], p[2])
	}
	if answered < n {
		t.Errorf("only %d answers during %d changes: that was no load", answered, 2*n)
	}
}
