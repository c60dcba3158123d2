package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

// A real gateway under load gets all tricks with external data as versions of
// one model, packed and bare in turn. It refuses each for its own reason, goes
// on answering, and is the process that it was.
func TestExternalDataTricksHarmNobody(t *testing.T) {
	dir := copyQuickstart(t)
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + dir})
	body := seguetest.Goldens(t, manifestOf(t, "mozart", "1"))[0].Request(t)
	load := seguetest.StartLoad(gw.URL+"/v2/models/mozart/infer", body, 50, func(a seguetest.Answer) error {
		if a.Code != http.StatusOK {
			return fmt.Errorf("%d %s", a.Code, a.Body)
		}
		return nil
	})
	document := configs.Document{Model: "tricks", Versions: map[string]configs.Version{}, Traffic: configs.Traffic{Weights: map[string]float64{}}}
	want := map[string]string{}
	for _, place := range []string{"dense", "sparse", "constant", "subgraph", "function"} {
		for _, trick := range artifacttest.Tricks() {
			version := fmt.Sprint(len(want) + 1)
			folder := trick.Play(t, artifacttest.Places()[place], len(want)%2 == 0)
			document.Versions[version] = configs.Version{URI: "file:" + folder}
			document.Traffic.Weights[version] = 1
			want[version] = trick.Want
		}
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := os.WriteFile(filepath.Join(dir, "tricks.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	seguetest.Eventually(t, time.Minute, "every trick is refused for its own reason", func() error {
		versions := gw.Status(t).Models["tricks"].Versions
		for version, reason := range want {
			if v := versions[version]; v.State == configs.VersionReady || !strings.Contains(v.Reason, reason) {
				return fmt.Errorf("version %s is %s: %s, want %s", version, v.State, v.Reason, reason)
			}
		}
		return nil
	})
	t.Logf("%d tricks were refused after %v", len(want), time.Since(began).Round(10*time.Millisecond))
	load.Stop(t)
	if a := gw.Get(t, "/v2/models/tricks/ready"); a.Code != http.StatusServiceUnavailable {
		t.Errorf("the model of tricks answers %d %s", a.Code, a.Body)
	}
	if a := gw.Infer(t, "mozart", body, nil); a.Code != http.StatusOK {
		t.Errorf("the gateway that was started answers %d %s", a.Code, a.Body)
	}
}
