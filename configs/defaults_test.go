package configs

import (
	"testing"
	"time"
)

func TestRuntimeIsMergedFieldByField(t *testing.T) {
	d := mustParse(t, fullYAML)
	f := func(version string, process, want Runtime) {
		t.Helper()
		if got := d.RuntimeOf(version, process); got != want {
			t.Errorf("version %s: got %+v, want %+v", version, got, want)
		}
	}
	f("1", Runtime{}, Runtime{"cuda:1", 4, 16, Duration(2 * time.Millisecond), 512})
	f("2", Runtime{Device: "cpu", Threads: 9}, Runtime{"cuda:1", 2, 16, Duration(2 * time.Millisecond), 512})
	d = mustParse(t, "model: mozart\nversions: {1: {uri: 'file:a', runtime: {max_dimension: 7}}}\n")
	f("1", Runtime{}, Runtime{"cpu", 1, 32, 0, 7})
	f("1", Runtime{MaxBatchSize: 8, MaxDimension: 9}, Runtime{"cpu", 1, 8, 0, 7})
}

func TestSharesAddUpToOne(t *testing.T) {
	d := mustParse(t, fullYAML)
	for version, want := range map[string]float64{"1": 0.9, "2": 0.1, "v3-rc.1": 0, "unknown": 0} {
		if got := d.Share(version); got != want {
			t.Errorf("version %s: got %v, want %v", version, got, want)
		}
	}
	unweighted := &Document{Versions: map[string]Version{"9": {}, "10": {}}}
	if a, b := unweighted.Share("10"), unweighted.Share("9"); a != 1 || b != 0 {
		t.Errorf("without weights the latest has %v and the other %v", a, b)
	}
	for policy, want := range map[string]string{LatestVersion: "10", "9": "9", "7": "10"} {
		if got := unweighted.DefaultVersion(policy); got != want {
			t.Errorf("policy %s: version %s answers, want %s", policy, got, want)
		}
	}
}

func TestVariantNamesAndPolicies(t *testing.T) {
	d := mustParse(t, fullYAML)
	if a, b := d.Traffic.VariantName("2"), d.Traffic.VariantName("v3-rc.1"); a != "canary" || b != "vv3-rc.1" {
		t.Errorf("got %s, %s", a, b)
	}
	if a, b := d.NonFinitePolicy(), new(Document).NonFinitePolicy(); a != "literal" || b != "error" {
		t.Errorf("got %s, %s", a, b)
	}
}

func TestLimitsHaveDefaults(t *testing.T) {
	f := func(l, want Limits) {
		t.Helper()
		if got := l.WithDefaults(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	second := Duration(time.Second)
	f(Limits{}, Limits{Queue: 256, Timeout: 30 * second})
	f(Limits{Rate: 0.5, Queue: 1, Timeout: second}, Limits{Rate: 0.5, Burst: 1, Queue: 1, Timeout: second})
	f(Limits{Rate: 2000}, Limits{Rate: 2000, Burst: 2000, Queue: 256, Timeout: 30 * second})
	f(Limits{Rate: 1e300, Burst: 3}, Limits{Rate: 1e300, Burst: 3, Queue: 256, Timeout: 30 * second})
}

func TestBasisChangesWithTheTrafficAlone(t *testing.T) {
	base := mustParse(t, fullYAML).Basis()
	f := func(change func(*Document), same bool) {
		t.Helper()
		d := mustParse(t, fullYAML)
		change(d)
		if got := d.Basis(); (got == base) != same {
			t.Errorf("basis %s against %s, same should be %v", got, base, same)
		}
	}
	f(func(d *Document) { d.Limits = Limits{}; d.Runtime = Runtime{}; d.NonFinite = "" }, true)
	f(func(d *Document) { delete(d.Traffic.Weights, "v3-rc.1") }, true)
	f(func(d *Document) { d.Versions["v3-rc.1"] = Version{URI: "file:elsewhere"} }, true)
	f(func(d *Document) { d.Versions["1"] = Version{URI: "file:moved", Digest: sumA} }, true)
	f(func(d *Document) { d.Versions["1"] = Version{URI: "file:models/mozart/1"} }, false)
	f(func(d *Document) { d.Versions["2"] = Version{URI: "file:elsewhere"} }, false)
	f(func(d *Document) { d.Traffic.Weights["1"] = 91 }, false)
	f(func(d *Document) { d.Traffic.Weights["v3-rc.1"] = 1 }, false)
	f(func(d *Document) { d.Traffic.Sticky.Salt = "exp-13" }, false)
	f(func(d *Document) { d.Traffic.Names["1"] = "old" }, false)
	// Frozen: what stores hold names it, over updates of the program.
	if want := "sha256:48c8f1eafbfc0855152046de798fbe415aeca4cc4a27549c03c9560ecc31bed1"; base != want {
		t.Errorf("got %s, want %s", base, want)
	}
}
