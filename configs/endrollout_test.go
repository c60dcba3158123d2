package configs

import (
	"strings"
	"testing"
)

func TestEndedRolloutLeavesTheRestAsItWasWritten(t *testing.T) {
	promoted := map[string]float64{"2": 100}
	for _, c := range []struct{ name, text, want string }{
		{"a block", `# composer
model: mozart # the model
versions:
  "1": {uri: "file:1"}
  "2": {uri: "file:2"}

# careful
rollout: # since May
  stable: "1"
  canary: "2"
  steps:
  - {weight: 5} # first
  # between
  - weight: 50
    pause: true

# per process
limits: {rate: 7}
`, `# composer
model: mozart # the model
versions:
  "1": {uri: "file:1"}
  "2": {uri: "file:2"}

# careful

# per process
limits: {rate: 7}
traffic: {"weights": {"2": 100}}
`},
		{"the last block, and a shadow", `model: mozart
versions: {"1": {uri: "file:1"}, "2": {uri: "file:2"}, "3": {uri: "file:3"}}
traffic:
  shadow: # copies
    "2": 20
    "3": 5 # others
  sticky: {header: X-User}
rollout:
  stable: "1"
  canary: "2"
  guards:
    shadow: {max_disagreement: 0.1}
  steps: [{weight: 5}]
# end`, `model: mozart
versions: {"1": {uri: "file:1"}, "2": {uri: "file:2"}, "3": {uri: "file:3"}}
traffic:
  weights: {"2": 100}
  shadow: # copies
    "3": 5 # others
  sticky: {header: X-User}
# end`},
		{"the only shadow", `model: mozart
versions: {"1": {uri: "file:1"}, "2": {uri: "file:2"}}
traffic:
  shadow:
    "2": 20
  # who
  sticky: {header: X-User}
rollout: {stable: "1", canary: "2",
  steps: [{weight: 5}]}
`, `model: mozart
versions: {"1": {uri: "file:1"}, "2": {uri: "file:2"}}
traffic:
  # who
  weights: {"2": 100}
  sticky: {header: X-User}
`},
		{"nothing else in traffic", `model: mozart
versions: {"1": {uri: "file:1"}, "2": {uri: "file:2"}}
traffic: {shadow: {"2": 20}} # gone
rollout: {stable: "1", canary: "2", steps: [{weight: 5}]}
`, `model: mozart
versions: {"1": {uri: "file:1"}, "2": {uri: "file:2"}}
traffic: {"weights": {"2": 100}}
`},
		{"JSON", `{
  "model": "mozart",
  "rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 5}]},
  "traffic": {"sticky": {"header": "a}b"}, "shadow": {"2": 20}},
  "versions": {"1": {"uri": "file:1"}, "2": {"uri": "file:}"}}
}
`, `{
  "model": "mozart",
  "traffic": {"weights": {"2": 100}, "sticky": {"header": "a}b"}},
  "versions": {"1": {"uri": "file:1"}, "2": {"uri": "file:}"}}
}
`},
		{"the last of JSON", `{"model": "mozart", "versions": {"1": {"uri": "file:1"}, "2": {"uri": "file:2"}},
 "rollout": {"stable": "1", "canary": "2", "steps": [{"weight": 5}, {"weight": 9}]}
}`, `{"traffic": {"weights": {"2": 100}}, "model": "mozart", "versions": {"1": {"uri": "file:1"}, "2": {"uri": "file:2"}}}`},
	} {
		text := strings.ReplaceAll(c.text, `"a}b"`, `"X-User"`)
		got, err := EndRollout(Entry{Name: "mozart", Value: []byte(text), Base: "/"}, promoted)
		if want := strings.ReplaceAll(c.want, `"a}b"`, `"X-User"`); err != nil || string(got) != want {
			t.Errorf("%s: got %v\n%s\nwant\n%s", c.name, err, got, want)
		}
	}
}

func TestEndedRolloutIsWrittenAnewWhereItMustBe(t *testing.T) {
	const text = "# yaml\n{model: mozart, versions: {1: {uri: 'file:1'}, 2: {uri: 'file:{'}}, ? rollout\n : {stable: '1', canary: '2', steps: [{weight: 5}]}}"
	e := Entry{Name: "mozart", Value: []byte(text), Base: "/"}
	got, err := EndRollout(e, map[string]float64{"1": 100})
	if err != nil {
		t.Fatal(err)
	}
	d := mustParse(t, string(got))
	if d.Rollout != nil || d.Share("1") != 1 || len(d.Versions) != 2 {
		t.Errorf("got\n%s", got)
	}
	if _, err := EndRollout(e, map[string]float64{"9": 100}); err == nil {
		t.Error("weight for a version that is not there")
	}
	if _, err := EndRollout(Entry{Value: []byte("{")}, map[string]float64{"1": 100}); err == nil {
		t.Error("a document that is none")
	}
}
