package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
)

// BenchmarkShadow is what copies cost those who wait for answers: the latency
// of mozart 2 at 100 requests a second, without copies and with one of every
// request to version 3. The two take turns, so that what else the machine does
// falls on both.
func BenchmarkShadow(b *testing.B) {
	body := seguetest.Goldens(b, manifestOf(b, "mozart", "2"))[0].Request(b)
	gateways := map[string]*seguetest.Gateway{}
	for name, shadow := range map[string]string{"without": "", "with": `, "shadow": {"3": 100}`} {
		dir := b.TempDir()
		var versions []string
		for _, v := range []string{"2", "3"} {
			path, err := filepath.Abs(filepath.Join(quickstart, "models", "mozart", v))
			if err != nil {
				b.Fatal(err)
			}
			versions = append(versions, fmt.Sprintf(`%q: {"uri": "file:%s"}`, v, path))
		}
		document := fmt.Sprintf(`{"model": "mozart", "versions": {%s}, "traffic": {"weights": {"2": 100}%s}}`, strings.Join(versions, ", "), shadow)
		if err := os.WriteFile(filepath.Join(dir, "mozart.json"), []byte(document), 0o644); err != nil {
			b.Fatal(err)
		}
		gateways[name] = seguetest.Start(b, seguetest.Config{Source: "file:" + dir})
	}
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, name := range []string{"without", "with"} {
			load := seguetest.StartLoad(gateways[name].URL+"/v2/models/mozart/infer", body, 100, func(a seguetest.Answer) error {
				if a.Code != http.StatusOK {
					return fmt.Errorf("%d %.200s", a.Code, a.Body)
				}
				return nil
			})
			time.Sleep(4 * time.Second)
			load.Stop(b)
			took[name] = append(took[name], load.Percentiles(0.5, 0.99)...)
		}
	}
	for name, all := range took {
		half, tail := time.Duration(0), time.Duration(0)
		for i := 0; i < len(all); i += 2 {
			half, tail = half+all[i], tail+all[i+1]
		}
		rounds := time.Duration(len(all) / 2)
		b.ReportMetric(float64((half / rounds).Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64((tail / rounds).Microseconds()), name+"-p99-µs")
	}
	agreed, _ := gateways["with"].Metric(b, `segue_shadow_requests_total{model="mozart",outcome="disagreed",version="3"}`)
	dropped, _ := gateways["with"].Metric(b, `segue_shadow_requests_total{model="mozart",outcome="dropped",version="3"}`)
	b.Logf("copies compared %s, dropped %s", agreed, dropped)
}
