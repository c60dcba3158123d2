package configs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const sumA = "sha256:00000000000000000000000000000000000000000000000000000000000000aa"

const fullYAML = `# a model
model: mozart
versions:
  1:                                  # an unquoted integer is its digits
    uri: file:models/mozart/1
    digest: ` + sumA + `
  "2":
    uri: 'file:///srv/mozart/2'
    runtime: {threads: 2}
  v3-rc.1: {uri: "file:../mozart 3"}
traffic:
  weights: {1: 90, "2": 1e1, v3-rc.1: 0.0}
  sticky: {header: X-User-Id, salt: exp-12, required: true}
  names: {1: stable, "2": canary}
runtime: {device: "cuda:1", threads: 4, instances: 3, max_batch_size: 16, max_queue_delay: 2ms, max_dimension: 512, idle_unload: 10m, memory_limit: 2GiB}
limits: {rate: 2000, burst: 200, queue: 64, queue_time: 0.25s, timeout: 1s500ms}
nonfinite: literal
`

const fullJSON = `{
  "limits": {"timeout": "1.5s", "queue_time": "250ms", "queue": 64, "burst": 200, "rate": 2e3},
  "nonfinite": "literal",
  "runtime": {"device": "cuda:1", "threads": 4, "instances": 3, "max_batch_size": 16, "max_queue_delay": "2000us", "max_dimension": 512, "idle_unload": "600s", "memory_limit": "2048MiB"},
  "traffic": {
    "names": {"2": "canary", "1": "stable"},
    "sticky": {"header": "X-User-Id", "salt": "exp\u002d12", "required": true},
    "weights": {"v3-rc.1": 0, "2": 10.0, "1": 90}
  },
  "versions": {
    "v3-rc.1": {"uri": "file:../mozart 3"},
    "2": {"uri": "file:///srv/mozart/2", "runtime": {"threads": 2}},
    "1": {"uri": "file:models/mozart/1", "digest": "` + sumA + `"}
  },
  "model": "mozart"
}`

func mustParse(t *testing.T, text string) *Document {
	t.Helper()
	d, _, err := Parse(Entry{Name: "mozart", Value: []byte(text), Base: "models"})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return d
}

func TestJSONAndYAMLOfTheSameContentAreTheSameDocument(t *testing.T) {
	want := &Document{
		Model: "mozart",
		Versions: map[string]Version{
			"1":       {URI: "file:models/mozart/1", Digest: sumA},
			"2":       {URI: "file:///srv/mozart/2", Runtime: Runtime{Threads: 2}},
			"v3-rc.1": {URI: "file:../mozart 3"},
		},
		Traffic: Traffic{
			Weights: map[string]float64{"1": 90, "2": 10, "v3-rc.1": 0},
			Sticky:  Sticky{Header: "X-User-Id", Salt: "exp-12", Required: true},
			Names:   map[string]string{"1": "stable", "2": "canary"},
		},
		Runtime:   Runtime{Device: "cuda:1", Threads: 4, Instances: 3, MaxBatchSize: 16, MaxQueueDelay: Duration(2 * time.Millisecond), MaxDimension: 512, IdleUnload: Duration(10 * time.Minute), MemoryLimit: 2 * GiB},
		Limits:    Limits{Rate: 2000, Burst: 200, Queue: 64, QueueTime: Duration(250 * time.Millisecond), Timeout: Duration(1500 * time.Millisecond)},
		NonFinite: "literal",
	}
	for _, text := range []string{fullYAML, fullJSON, "---\n" + fullYAML + "...\n", strings.ReplaceAll(fullYAML, "\n", "\r\n"), string(Canonical(want))} {
		got := mustParse(t, text)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v\nwant %+v\nfrom\n%s", got, want, text)
		}
		if got.Basis() != want.Basis() {
			t.Errorf("another basis from\n%s", text)
		}
	}
}

func TestWarnings(t *testing.T) {
	f := func(text, base, want string) {
		t.Helper()
		_, warnings, err := Parse(Entry{Name: "m", Value: []byte(text), Base: base})
		if err != nil {
			t.Errorf("%v in %s", err, text)
		}
		if got := fmt.Sprint(warnings); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	digest := `, digest: "` + sumA + `"`
	version := `{model: m, versions: {a: {uri: "file:a"` + digest + `}}`
	two := `{model: m, versions: {a: {uri: "file:a"` + digest + `}, b: {uri: "file:b"` + digest + `}}, `
	f("# yaml\n"+version+"}", "/", "[]")
	f("# yaml\n"+version+"}", "", `[line 2, column 32: versions."a".uri: a relative path, and the document lies in no folder: it counts from the gateway's working directory]`)
	f("# yaml\n{model: m, versions: {a: {uri: \"file:/a\"}}}", "", `[line 2, column 23: versions."a": no digest: the first artifact seen is pinned]`)
	f("# yaml\n"+two+"}", "/", `[line 2, column 1: traffic.weights: missing: of a, b the version that the gateway's MODEL_VERSION names answers, by default the latest, b]`)
	f("# yaml\n"+two+"traffic: {weights: {a: 1, b: 2}}}", "/", `[line 2, column 249: traffic.weights: add up to 3 instead of 100: a gets 33.33 %, b gets 66.67 %]`)
	f("# yaml\n"+two+"traffic: {weights: {a: 50, b: 50}, names: {a: x, b: x}}}", "/", `[line 2, column 279: traffic.names."b": the same name as version "a" has: answers cannot be told apart by it]`)
	f("# yaml\n"+version+", traffic: {sticky: {salt: s}}, limits: {burst: 3}}", "/", `[line 2, column 145: traffic.sticky: has no effect without a header line 2, column 173: limits.burst: has no effect without a rate]`)
	f("# yaml\n"+version+", limits: {timeout: 1s, queue_time: 1s}}", "/", `[line 2, column 161: limits.queue_time: limits.timeout ends the wait before]`)
	f("# yaml\n"+version+", limits: {queue_time: 29s}}", "/", "[]")
}

func TestSettings(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		s, warnings, err := ParseSettings(Entry{Value: []byte(text)})
		if err != nil {
			t.Errorf("%v in %s", err, text)
			return
		}
		again, _, err := ParseSettings(Entry{Value: CanonicalSettings(s)})
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("did not survive the canonical form: %v, %+v", err, again)
		}
		if got := fmt.Sprint(s.Grace(), s.Limits.WithDefaults(), s.Freeze, warnings); got != want {
			t.Errorf("got %s, want %s from %s", got, want, text)
		}
	}
	f("schema: 1", "1m0s {64MiB 1024} false []")
	f(`{"schema": 1, "freeze": true, "delete_grace": "5m", "limits": {"max_body": "512KiB", "max_in_flight": 7}}`, "5m0s {512KiB 7} true []")
	key := `{"schema": 1, "keys": [{"name": "a", "sha256": "` + strings.TrimPrefix(sumA, "sha256:") + `", "permissions": ["predict"], `
	f(key+`"rate": 0.5}]}`, "1m0s {64MiB 1024} false []")
	f(key+`"burst": 3}]}`, "1m0s {64MiB 1024} false [line 1, column 153: keys[0].burst: has no effect without a rate]")
	f("schema: 1\ndelete_grace: 0s\npublic: [health]", "0s {64MiB 1024} false "+
		"[line 2, column 15: delete_grace: 0s switches the guards against mass deletion off too line 3, column 9: public: has no effect without keys: everything is open]")
}

func TestNoSettingsHaveDefaultGrace(t *testing.T) {
	if got := (*Settings)(nil).Grace(); got != time.Minute {
		t.Errorf("grace %s", got)
	}
}

func TestOverrideChoosesAmongTheDocumentsVersions(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	want := &Override{Kind: OverrideHold, Basis: sumA, Weights: map[string]float64{"1": 1, "4": 2}, By: "ann", Reason: "incident", At: at, Until: at.Add(MaxHold)}
	got, err := ParseOverride(Entry{Name: "mozart", Value: CanonicalOverride(want)})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	d := mustParse(t, fullYAML)
	if err := got.Check(d); err == nil || err.Error() != `weights."4": there is no version "4", only 1, 2, v3-rc.1` {
		t.Errorf("got %v", err)
	}
	delete(got.Weights, "4")
	if err := got.Check(d); err != nil {
		t.Error(err)
	}
}

func TestDeletionByNameHasNoWeights(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	want := &Override{Kind: OverrideDelete, By: "ann", At: at, Until: at.Add(time.Hour)}
	got, err := ParseOverride(Entry{Value: CanonicalOverride(want)})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEntryThatCouldNotBeReadIsRefusedWithItsReason(t *testing.T) {
	_, _, err := Parse(Entry{Name: "m", Where: "models/m.yaml", Problem: "permission denied"})
	if err == nil || err.Error() != "models/m.yaml: permission denied" {
		t.Errorf("got %v", err)
	}
}

func TestLongAndRepetitiveDocumentsAreRefusedSoon(t *testing.T) {
	f := func(name, text, want string) {
		t.Helper()
		start := time.Now()
		_, _, err := Parse(Entry{Value: []byte(text)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %.200v, want %s", name, err, want)
		}
		// Generous: the race detector and a busy machine are in it.
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
	fill := func(head, part, tail string) string {
		return head + strings.Repeat(part, (maxDocument-len(head)-len(tail))/len(part)) + tail
	}
	f("too long", fill("model: m # ", "x", "")+"y\n", "the most is 1048576 (1MiB)")
	f("brackets", fill("a: ", "[", ""), "exceeded max depth")
	f("JSON brackets", fill(`{"a": `, "[", ""), "exceeded max depth")
	f("comments", fill("model: 7\n", "#\n", ""), "model: expected text")
	f("dashes", fill("a:\n", "- ", ""), "exceeded max depth")
	f("unknown fields", fill("{", `"x": 1,`, `"y": 2}`), "and 149")
	f("colons", fill("a", ": ", ""), "not YAML")
	f("anchors", fill("model: [", "&a *a,", "]"), "")
}

func TestProblemsAreFoundByErrorsAs(t *testing.T) {
	_, _, err := Parse(Entry{Name: "m", Value: []byte("model: m\nversion: {}\n")})
	var problems *Problems
	if !errors.As(err, &problems) || len(problems.List) != 2 {
		t.Fatalf("got %v", err)
	}
	if want := (Problem{"version", "unknown field: did you mean versions?", 2, 1}); problems.List[1] != want {
		t.Errorf("got %+v", problems.List[1])
	}
}

func TestFilesOfVersionsLieWhereTheirURISays(t *testing.T) {
	f := func(uri, base, want string) {
		t.Helper()
		if got := (Version{URI: uri}).filePath(base); got != want {
			t.Errorf("%s from %q: got %s, want %s", uri, base, got, want)
		}
	}
	f("file:models/mozart/1", "/srv", "/srv/models/mozart/1")
	f("file:./models/../x%20y", "", "x%20y")
	f("file:/srv/mozart/", "/other", "/srv/mozart")
	f("file:///srv/mozart", "/other", "/srv/mozart")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(fullYAML))
	f.Add([]byte(fullJSON))
	f.Add([]byte("model: mozart\nversions: {1: {uri: 'file:a'}, b: {uri: 'file:b'}}\ntraffic:\n  weights:\n    1: 5 # five\n    b: 0\n"))
	f.Add([]byte("%YAML 1.2\n---\nmodel: &a !!str mozart\nversions: {<<: *a, ? [1] : |\n x\n}\n"))
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/bad/*.json", "examples/*.yaml", "examples/settings/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatalf("no seeds at %s: %v", pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	text, err := os.ReadFile("schema/document.schema.json")
	if err != nil {
		f.Fatal(err)
	}
	schema := compile(f, text)
	f.Fuzz(func(t *testing.T, text []byte) {
		e := Entry{Value: text, Base: "/models"}
		_, _, _ = ParseSettings(e)
		_, _ = ParseOverride(e)
		d, _, err := Parse(e)
		if err != nil {
			return
		}
		checkSurvives(t, d)
		if v, ok := generic(t, Canonical(d)); !ok || schema.Validate(v) != nil {
			t.Fatalf("not valid by the schema:\n%s", Canonical(d))
		}
		weights := map[string]float64{}
		for name := range d.Versions {
			weights[name] = float64(len(weights)) + 0.5
		}
		if d.Follow != nil {
			checkFollows(t, d)
			return
		}
		edited, err := SetWeights(e, weights)
		if d.Rollout != nil || len(d.Traffic.Shadow) > 0 {
			var problems *Problems
			if err != nil && !errors.As(err, &problems) {
				t.Fatalf("set weights: %v", err)
			}
			if d.Rollout != nil && err == nil {
				t.Fatal("set weights beside a rollout")
			}
			if d.Rollout != nil {
				checkEnds(t, e, d)
			}
			return
		}
		if err != nil {
			t.Fatalf("set weights: %v", err)
		}
		after, _, err := Parse(Entry{Value: edited, Base: "/models"})
		if err != nil {
			t.Fatalf("%v in\n%s", err, edited)
		}
		want := *d
		want.Traffic.Weights = weights
		if !reflect.DeepEqual(after, &want) {
			t.Fatalf("got %+v\nwant %+v", after, want)
		}
	})
}

// checkFollows requires that a document which follows a registry can be resolved
// with what its policy may bring, or refused, and is whole then.
func checkFollows(t *testing.T, d *Document) {
	t.Helper()
	s := &Resolution{From: d.Follow.From, Policy: d.Follow.Policy, Versions: map[string]ResolvedVersion{}, Aliases: map[string]string{}}
	for _, name := range append([]string{"1", "2"}, d.Follow.Policy.Versions...) {
		s.Versions[name] = ResolvedVersion{URI: "mlflow:models/m/1"}
	}
	for i, alias := range d.Follow.Policy.Aliases {
		s.Aliases[alias] = []string{"1", "2"}[i%2]
	}
	full, err := d.Resolve(s)
	var problems *Problems
	if err != nil && !errors.As(err, &problems) {
		t.Fatalf("resolve: %v", err)
	}
	if err != nil {
		return
	}
	for version := range full.WeightsOr(LatestVersion) {
		if _, ok := full.Versions[version]; !ok {
			t.Fatalf("resolved to weight for %q, of %v", version, full.Versions)
		}
	}
	if _, _, err := Parse(Entry{Value: Canonical(full), Base: "/models"}); err != nil && !strings.Contains(err.Error(), "not offered by this version") {
		t.Fatalf("resolved to what is no document: %v\n%s", err, Canonical(full))
	}
}

// checkEnds requires that the document of an ended rollout is the same but for
// the traffic.
func checkEnds(t *testing.T, e Entry, d *Document) {
	t.Helper()
	weights := map[string]float64{d.Rollout.Canary: 100}
	text, err := EndRollout(e, weights)
	if err != nil {
		t.Fatalf("end the rollout: %v", err)
	}
	after, _, err := Parse(Entry{Value: text, Base: "/models"})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if _, copied := after.Traffic.Shadow[d.Rollout.Canary]; copied || !reflect.DeepEqual(after.Traffic.Weights, weights) {
		t.Fatalf("traffic is %+v", after.Traffic)
	}
	want := *d
	want.Rollout, want.Traffic.Weights, want.Traffic.Shadow = nil, weights, after.Traffic.Shadow
	if !reflect.DeepEqual(after, &want) {
		t.Fatalf("got %+v\nwant %+v", after, want)
	}
}

func FuzzParseOverride(f *testing.F) {
	paths, err := filepath.Glob("testdata/bad/override-*.json")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	d, _, err := Parse(Entry{Name: "mozart", Value: []byte(rolloutYAML), Base: "/"})
	if err != nil {
		f.Fatal(err)
	}
	decision := Decision{Event: DecideStart, By: "ann", Reason: "why", At: noon}
	o, err := d.Decide(nil, decision)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(CanonicalOverride(o))
	f.Add(CanonicalOverride(o.WithHold(d, hold(map[string]float64{"1": 1, "2": 0}))))
	decision.Event = DecideRollback
	if o, err = d.Decide(o, decision); err != nil {
		f.Fatal(err)
	}
	f.Add(CanonicalOverride(o))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := ParseOverride(Entry{Name: "mozart", Value: text})
		if err != nil {
			return
		}
		again, err := ParseOverride(Entry{Value: CanonicalOverride(o)})
		if err != nil || !bytes.Equal(CanonicalOverride(again), CanonicalOverride(o)) {
			t.Fatalf("%v: got %+v\nwant %+v", err, again, o)
		}
		for _, event := range []DecisionEvent{"", DecideStart, DecideStep, DecidePromote, DecideRollback, DecidePause, DecideResume, DecideRetry} {
			next := o
			if event != "" {
				if next, err = d.Decide(o, Decision{Event: event, By: "ann", At: noon}); err != nil {
					continue
				}
				if _, err := ParseOverride(Entry{Value: CanonicalOverride(next)}); err != nil {
					t.Fatalf("%s: %v", event, err)
				}
				_ = next.Rollout.Outcome(d.Rollout)
			}
			for version, weight := range d.Steer(next, LatestVersion, noon).Weights {
				if _, known := d.Versions[version]; !known || weight < 0 {
					t.Fatalf("%s: %q has weight %v", event, version, weight)
				}
			}
		}
	})
}

// checkSurvives requires that the canonical form is read back as the same
// document and has the same canonical form.
func checkSurvives(t *testing.T, d *Document) {
	t.Helper()
	text := Canonical(d)
	again, _, err := Parse(Entry{Name: d.Model, Value: text, Base: "/"})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if !reflect.DeepEqual(again, d) || again.Basis() != d.Basis() || !bytes.Equal(Canonical(again), text) {
		t.Fatalf("got %+v\nwant %+v", again, d)
	}
}
