package configs

import (
	"reflect"
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
	f("1", Runtime{}, Runtime{"cuda:1", 4, 3, 16, Duration(2 * time.Millisecond), 512, Duration(10 * time.Minute), 2 * GiB})
	f("2", Runtime{Device: "cpu", Threads: 9, MemoryLimit: GiB}, Runtime{"cuda:1", 2, 3, 16, Duration(2 * time.Millisecond), 512, Duration(10 * time.Minute), 2 * GiB})
	d = mustParse(t, "model: mozart\nversions: {1: {uri: 'file:a', runtime: {max_dimension: 7}}}\n")
	f("1", Runtime{}, Runtime{"cpu", 1, 1, 32, 0, 7, 0, 0})
	f("1", Runtime{MaxBatchSize: 8, MaxDimension: 9}, Runtime{"cpu", 1, 1, 8, 0, 7, 0, 0})
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

func TestRolloutsHaveDefaults(t *testing.T) {
	d := mustParse(t, rolloutYAML)
	full := d.Rollout.WithDefaults()
	ratio := &RatioGuard{1, 2, 0.01}
	want := &Rollout{Stable: "1", Canary: "2", Steps: []Step{{Weight: 5}, {Weight: 50, Pause: true}, {Weight: 90}},
		Guards: Guards{Errors: ratio, NonFinite: ratio}, Alpha: 0.01, PromoteAlpha: 0.05, OnInconclusive: InconclusiveHold}
	if !reflect.DeepEqual(full, want) {
		t.Errorf("got %+v, want %+v", full, want)
	}
	if !reflect.DeepEqual(d, mustParse(t, rolloutYAML)) {
		t.Error("the document was changed")
	}
	given := Rollout{Alpha: 0.1, PromoteAlpha: 0.2, OnInconclusive: InconclusiveRollback, Guards: Guards{
		Slow: &RatioGuard{MaxRate: 0.5}, Errors: &RatioGuard{MaxRatio: 3}, Classes: &ClassGuard{Output: "y"}, Shadow: &ShadowGuard{MaxDisagreement: 0.1}, Feedback: &FeedbackGuard{Kind: FeedbackReward, Threshold: 2},
	}}
	want = &Rollout{Alpha: 0.1, PromoteAlpha: 0.2, OnInconclusive: InconclusiveRollback, Guards: Guards{
		Slow: &RatioGuard{2, 4, 0.5}, Errors: &RatioGuard{3, 6, 0.01}, Classes: &ClassGuard{"y", 3}, Shadow: &ShadowGuard{0.1, 1e-3, 100}, Feedback: &FeedbackGuard{FeedbackReward, 2, *ratio},
	}}
	if got := given.WithDefaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := d.Feedback.WithDefaults(); got.Expires != Duration(24*time.Hour) {
		t.Errorf("feedback expires after %s", got.Expires)
	}
	if got := d.WeightsOr("3"); got["1"] != 100 || got["2"] != 0 || d.Share("1") != 1 {
		t.Errorf("before the first step the weights are %v", got)
	}
}

func TestBasisOfARolloutIsTheRolloutsAlone(t *testing.T) {
	base := mustParse(t, rolloutYAML).Basis()
	f := func(change func(*Document), same bool) {
		t.Helper()
		d := mustParse(t, rolloutYAML)
		change(d)
		if got := d.Basis(); (got == base) != same {
			t.Errorf("basis %s against %s, same should be %v", got, base, same)
		}
	}
	f(func(d *Document) { d.Limits.Rate = 7; d.Runtime.Threads = 2; d.Feedback.Expires = 1 }, true)
	f(func(d *Document) { d.Traffic.Sticky.Header, d.Traffic.Testers.Header = "a", "b" }, true)
	f(func(d *Document) { d.Versions["3"] = Version{URI: "file:else"} }, true)
	f(func(d *Document) { d.Versions["2"] = Version{URI: "file:moved", Digest: d.Versions["2"].Digest} }, true)
	f(func(d *Document) { d.Rollout.Attempt = 1; d.Rollout.Attempt = 0 }, true) // restored
	f(func(d *Document) { d.Rollout.Attempt = 1 }, false)
	f(func(d *Document) { d.Rollout.Steps[0].Weight = 6 }, false)
	f(func(d *Document) { d.Rollout.Guards.Slow = &RatioGuard{} }, false)
	f(func(d *Document) { d.Rollout.Canary = "3" }, false)
	f(func(d *Document) { d.Versions["2"] = Version{URI: "file:2", Digest: sumA} }, false)
	f(func(d *Document) { d.Versions["1"] = Version{URI: "file:1"} }, false)
	f(func(d *Document) { d.Rollout = nil }, false)
	// Frozen: what stores hold names it, over updates of the program.
	if want := "sha256:5522c3841e44503e6259b5e9e8560da13e034515585f4fc249e6c26b10007fab"; base != want {
		t.Errorf("got %s, want %s", base, want)
	}
}

func TestBasisOfTrafficHoldsItsShadows(t *testing.T) {
	d := mustParse(t, fullYAML)
	base := d.Basis()
	d.Traffic.Shadow = map[string]float64{"v3-rc.1": 0}
	if d.Basis() != base {
		t.Error("a shadow of 0 percent changed the basis")
	}
	d.Traffic.Shadow["v3-rc.1"] = 5
	shadowed := d.Basis()
	d.Versions["v3-rc.1"] = Version{URI: "file:else"}
	if shadowed == base || d.Basis() == shadowed {
		t.Error("a shadow, or its artifact, is not in the basis")
	}
	// Frozen, too: a document without weights.
	if got, want := mustParse(t, "model: mozart\nversions: {1: {uri: 'file:a'}}\n").Basis(), "sha256:0d8c153abee9234c140264122167bb9d5a5f56d926e6067bbfb028094fb18719"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
