package configs

import (
	"strings"
	"testing"
)

func TestSetWeightsChangesNothingElse(t *testing.T) {
	f := func(name, text string, weights map[string]float64, want string) {
		t.Helper()
		got, err := SetWeights(Entry{Name: "mozart", Value: []byte(text)}, weights)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if string(got) != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	head := "# Wolfgang Amadé\nmodel: mozart\nversions:   # all of them\n  1: {uri: \"file:a\"}\n  \"2\": {uri: \"file:b\"}\n  c: {uri: \"file:c\"}\n"
	f("block", head+"traffic:\n  weights:\n    1: 90   # stable\n    \"2\": 1e1 # canary\n  # end\n", map[string]float64{"1": 50, "c": 50},
		head+"traffic:\n  weights:\n    1: 50   # stable\n    \"2\": 0 # canary\n    \"c\": 50\n  # end\n")
	f("flow", head+"traffic: {weights: {1: 90, \"2\": 10}, names: {1: a}}\n", map[string]float64{"1": 33.5, "2": 66.5},
		head+"traffic: {weights: {1: 33.5, \"2\": 66.5}, names: {1: a}}\n")
	f("flow, one more", head+"traffic: {names: {1: old}, weights: {1: 100}} # é\n", map[string]float64{"1": 1, "2": 2, "c": 3},
		head+"traffic: {names: {1: old}, weights: {1: 1, \"2\": 2, \"c\": 3}} # é\n")
	f("flow over lines", head+"traffic: {weights: {\n    1: 100, # é\n    \"2\": 0 # b\n}}\n", map[string]float64{"c": 3},
		head+"traffic: {weights: {\n    1: 0, # é\n    \"2\": 0,\n    \"c\": 3 # b\n}}\n")
	one := "model: mozart\nversions:\n  \"1\":\n    uri: file:a\n"
	f("no weights yet", one+"traffic:\n  # who stays\n  sticky:\n    header: X-User\n", map[string]float64{"1": 100},
		one+"traffic:\n  # who stays\n  weights: {\"1\": 100}\n  sticky:\n    header: X-User\n")
	f("no weights yet, flow", one+"traffic: {sticky: {header: X-User}}\n", map[string]float64{"1": 100},
		one+"traffic: {\"weights\": {\"1\": 100}, sticky: {header: X-User}}\n")
	f("no traffic yet", one+"# the end", map[string]float64{"1": 1}, one+"# the end\ntraffic: {\"weights\": {\"1\": 1}}\n")
	f("empty traffic", one+"traffic: {}\n", map[string]float64{"1": 1}, one+"traffic: {\"weights\": {\"1\": 1}}\n")
	f("line ends of Windows", strings.ReplaceAll(one+"traffic:\n  weights:\n    1: 5 # c\n", "\n", "\r\n"), map[string]float64{"1": 7},
		strings.ReplaceAll(one+"traffic:\n  weights:\n    1: 7 # c\n", "\n", "\r\n"))

	json := "{\n  \"model\": \"mozart\",\n  \"versions\": {\"1\": {\"uri\": \"file:ä\"}, \"2\": {\"uri\": \"file:b\"}},\n"
	f("JSON", json+"  \"traffic\": {\"weights\": {\n      \"1\": 100\n  }}\n}\n", map[string]float64{"1": 1.5, "2": 98.5},
		json+"  \"traffic\": {\"weights\": {\n      \"1\": 1.5,\n      \"2\": 98.5\n  }}\n}\n")
	f("JSON without traffic", "{\n  \"model\": \"mozart\", \"versions\": {\"1\": {\"uri\": \"file:a\"}}\n}\n", map[string]float64{"1": 1},
		"{\n  \"traffic\": {\"weights\": {\"1\": 1}},\n  \"model\": \"mozart\", \"versions\": {\"1\": {\"uri\": \"file:a\"}}\n}\n")
	// A document that ends in ... has no place after its last line.
	f("canonical where it must be", "---\n"+one+"...\n", map[string]float64{"1": 1},
		"{\n  \"model\": \"mozart\",\n  \"versions\": {\n    \"1\": {\n      \"uri\": \"file:a\"\n    }\n  },\n  \"traffic\": {\n    \"weights\": {\n      \"1\": 1\n    }\n  }\n}\n")
}

func TestSetWeightsRefusesBadWeights(t *testing.T) {
	f := func(weights map[string]float64, want string) {
		t.Helper()
		_, err := SetWeights(Entry{Name: "mozart", Value: []byte(fullYAML)}, weights)
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(nil, "traffic.weights: empty: name at least one version")
	f(map[string]float64{"1": 0}, "traffic.weights: all are 0: give at least one version a share")
	f(map[string]float64{"1": -1, "5": 2}, `traffic.weights."1": must not be negative, found -1; traffic.weights."5": there is no version "5", only 1, 2, v3-rc.1`)
	zero := 0.0
	f(map[string]float64{"1": 0 / zero}, `traffic.weights."1": must be a finite number, found NaN`)
	f(map[string]float64{"1": 1 / zero}, `traffic.weights."1": must be a finite number, found +Inf`)
	if _, err := SetWeights(Entry{Name: "bach", Value: []byte(fullYAML)}, map[string]float64{"1": 1}); err == nil {
		t.Error("a document that does not parse was edited")
	}
}
