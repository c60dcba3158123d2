package configs

import (
	"fmt"
	"reflect"
	"testing"
	"time"
)

const oneVersion = "model: mozart\nversions: {1: {uri: 'file:a', digest: '" + sumA + "'}}\n"

func TestDriftIsOffUnlessTheDocumentSaysSo(t *testing.T) {
	d := mustParse(t, oneVersion)
	if d.Drift != nil || d.UnitHeader() != "" {
		t.Errorf("got %+v, unit %q", d.Drift, d.UnitHeader())
	}
}

func TestDriftDefaults(t *testing.T) {
	effect := 0.02
	want := &Drift{Sample: 50, Window: DriftWindow{1000, Duration(time.Hour)}, Compare: []string{CompareTraining, CompareControl}, FalseAlarmsPerMonth: 1, Effect: &effect}
	if got := mustParse(t, oneVersion+"drift: {}").Drift.WithDefaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// What is written stays, an effect of 0 too: it is not the same as none.
	effect = 0
	want = &Drift{Sample: 7, Window: DriftWindow{300, Duration(time.Minute)}, Compare: []string{CompareLastWeek}, FalseAlarmsPerMonth: 0.25, Effect: &effect}
	got := mustParse(t, oneVersion+"drift: {sample: 7, window: {samples: 300, time: 1m}, compare: [last_week], false_alarms_per_month: 0.25, effect: 0}").Drift.WithDefaults()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWindowsWithTooFewSamplesAreInsufficient(t *testing.T) {
	for samples, want := range map[int]int{50: 50, 400: 50, 1000: 100, 1_000_000: 100_000} {
		if got := (DriftWindow{Samples: samples}).Least(); got != want {
			t.Errorf("%d samples: at least %d, want %d", samples, got, want)
		}
	}
}

func TestTheUnitIsTheStickyHeaderUnlessNamed(t *testing.T) {
	sticky := "traffic: {sticky: {header: X-User-Id}}\n"
	for text, want := range map[string]string{
		"drift: {}":                   "",
		sticky + "drift: {}":          "X-User-Id",
		sticky + "drift: {unit: X-A}": "X-A",
		"drift: {unit: X-A}":          "X-A",
		sticky:                        "",
	} {
		if got := mustParse(t, oneVersion+text).UnitHeader(); got != want {
			t.Errorf("got %q, want %q in %s", got, want, text)
		}
	}
}

func TestDriftWarnings(t *testing.T) {
	f := func(drift, want string) {
		t.Helper()
		_, warnings, err := Parse(Entry{Name: "mozart", Value: []byte(oneVersion + "drift: " + drift), Base: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(warnings); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f("{}", "[]")
	f("{sample: 0.001}", "[line 3, column 8: drift.window: one gateway takes at most 4 samples in 1h0m0s, too few to judge: the least is 100]")
	f("{compare: [control, training]}", "[line 3, column 19: drift.compare[0]: has no effect without a rollout: there is no canary]")
	f("{alarms: {webhook: 'https://10.0.0.1/hook'}}", "[]")
	f("{alarms: {webhook: 'http://10.0.0.1/hook'}}", "[line 3, column 27: drift.alarms.webhook: is sent in the clear, and only to a host that gateways were started with leave for (--artifact-hosts)]")
}
