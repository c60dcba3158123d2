package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func mustParse(t *testing.T, name, text string) *document {
	t.Helper()
	if text == "" {
		return nil
	}
	doc, err := parse(name, name+".yaml", "/", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestADifferenceIsWhatGatewaysWillSee(t *testing.T) {
	t.Parallel()
	const base = "model: mozart\nversions:\n  \"1\": {uri: \"file:/m/1\"}\n  \"2\": {uri: \"file:/m/2\", runtime: {threads: 2}}\ntraffic: {weights: {\"1\": 3, \"2\": 1}}\n"
	for _, c := range []struct {
		name, before, after string
		want                difference
		text                string
	}{
		{"nothing", base, base, difference{Change: "none"}, ""},
		{"comments", base, "# new\n" + base, difference{Change: "text"}, "only comments or layout"},
		{"the same in JSON", base, `{"model": "mozart", "versions": {"1": {"uri": "file:/m/1"}, "2": {"uri": "file:/m/2", "runtime": {"threads": 2}}}, "traffic": {"weights": {"1": 3, "2": 1}}}`,
			difference{Change: "text"}, ""},
		{"new", "", base, difference{Change: "create",
			Versions: versionsDiff{Added: []string{"1", "2"}},
			Weights:  []weightChange{{"1", 0, 75}, {"2", 0, 25}}}, "+ version 1"},
		{"gone", base, "", difference{Change: "delete",
			Versions: versionsDiff{Removed: []string{"1", "2"}},
			Weights:  []weightChange{{"1", 75, 0}, {"2", 25, 0}}}, "- version 2"},
		{"other weights of the same shares", base, strings.Replace(base, `"1": 3, "2": 1`, `"1": 75, "2": 25`, 1),
			difference{Change: "text"}, ""},
		{"weights", base, strings.Replace(base, `"1": 3, "2": 1`, `"1": 1, "2": 1`, 1),
			difference{Change: "update", Weights: []weightChange{{"1", 75, 50}, {"2", 25, 50}}}, "~ weight of 1: 75% → 50%"},
		{"a version and its settings", base, strings.Replace(strings.Replace(base, "/m/2", "/m/2b", 1), "threads: 2", "threads: 4", 1),
			difference{Change: "update", Versions: versionsDiff{Changed: []string{"2"}}, Fields: []fieldChange{
				{"versions.2.runtime.threads", json.Number("2"), json.Number("4")},
				{"versions.2.uri", "file:/m/2", "file:/m/2b"}}}, "~ versions.2.runtime.threads: 2 → 4"},
		{"limits", base, base + "limits: {rate: 5, timeout: 2s}\n",
			difference{Change: "update", Fields: []fieldChange{
				{"limits.rate", nil, json.Number("5")}, {"limits.timeout", nil, "2s"}}}, "~ limits.timeout: - → \"2s\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := compare(mustParse(t, "mozart", c.before), mustParse(t, "mozart", c.after))
			if (got.Text == "") != (c.before == c.after) {
				t.Errorf("the text's difference is %q", got.Text)
			}
			got.Text = ""
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("difference is\n%+v\nwant\n%+v", got, c.want)
			}
			var text bytes.Buffer
			got.writeText(&text)
			if !strings.Contains(text.String(), c.text) {
				t.Errorf("text is %q, want %q in it", &text, c.text)
			}
		})
	}
}

func TestADocumentThatIsRefusedTodayHasNoContentToCompare(t *testing.T) {
	t.Parallel()
	before := &document{name: "mozart", from: "models/mozart", value: []byte("no document")}
	got := compare(before, mustParse(t, "mozart", mozart(`{"1": 100}`)))
	if got.Change != "update" || !reflect.DeepEqual(got.Versions.Added, []string{"1", "2"}) || !strings.Contains(got.Text, "-no document") {
		t.Errorf("difference is %+v", got)
	}
}

func TestSettingsAreComparedFieldByField(t *testing.T) {
	t.Parallel()
	got := compare(mustParse(t, settingsName, "schema: 1\n"), mustParse(t, settingsName, "schema: 1\nfreeze: true\nready_requires: [a, b]\n"))
	want := []fieldChange{{"freeze", nil, true}, {"ready_requires", nil, []any{"a", "b"}}}
	if got.Change != "update" || !reflect.DeepEqual(got.Fields, want) {
		t.Errorf("difference is %+v, want fields %+v", got, want)
	}
}

func TestTheUnifiedDifferenceNeedsNoLastNewline(t *testing.T) {
	t.Parallel()
	got := unified("a", []byte("x\ny"), "b", []byte("x\nz\n"))
	if want := "--- a\n+++ b\n@@ -1,2 +1,2 @@\n x\n-y\n+z\n"; got != want {
		t.Errorf("difference is %q, want %q", got, want)
	}
}
