package main

import (
	"reflect"
	"testing"

	"github.com/segue-serving/segue/configs"
)

func TestFreezeChangesOneFieldAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		freeze     bool
		want       string
	}{
		{"yaml", "schema: 1\nfreeze: false  # Fridays\n", true, "schema: 1\nfreeze: true  # Fridays\n"},
		{"yaml without the field", "# ours\nschema: 1", true, "# ours\nschema: 1\nfreeze: true\n"},
		{"a comment that looks like it", "# freeze: false\nschema: 1\nfreeze: false\n", true, "# freeze: false\nschema: 1\nfreeze: true\n"},
		{"quoted", "\"freeze\": true\nschema: 1\n", false, "\"freeze\": false\nschema: 1\n"},
		{"json", `{"schema": 1, "freeze": true}`, false, `{"schema": 1, "freeze": false}`},
		{"json without the field", `{"schema": 1}`, true, `{"freeze": true, "schema": 1}`},
		{"no settings", "", true, "{\n  \"schema\": 1,\n  \"freeze\": true\n}\n"},
		{"out of reach of an edit", "schema: 1\n? freeze\n: false\n", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			settings := &configs.Settings{Schema: 1}
			if c.text != "" {
				read, _, err := configs.ParseSettings(configs.Entry{Value: []byte(c.text)})
				if err != nil {
					t.Fatal(err)
				}
				settings = read
			}
			got := setFreeze([]byte(c.text), settings, c.freeze)
			if c.want != "" && string(got) != c.want {
				t.Errorf("settings are %q, want %q", got, c.want)
			}
			after, _, err := configs.ParseSettings(configs.Entry{Value: got})
			if err != nil || after.Freeze != c.freeze {
				t.Errorf("%q: freeze is not %v: %v", got, c.freeze, err)
			}
		})
	}
}

func FuzzFreezeChangesNothingElse(f *testing.F) {
	for _, seed := range []string{"schema: 1\n", `{"schema": 1}`, "freeze: true # freeze: false\nschema: 1", "{schema: 1, freeze: false}",
		"schema: 1\nready_requires: [\"freeze: false\"]\n", "schema: 1\nkeys:\n  - name: freeze\n"} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, freeze bool) {
		before, _, err := configs.ParseSettings(configs.Entry{Value: text})
		if err != nil {
			return
		}
		after, _, err := configs.ParseSettings(configs.Entry{Value: setFreeze(text, before, freeze)})
		if err != nil {
			t.Fatalf("%q with freeze %v is refused: %v", text, freeze, err)
		}
		want := *before
		want.Freeze = freeze
		if !reflect.DeepEqual(after, &want) {
			t.Errorf("%q with freeze %v reads as %+v, want %+v", text, freeze, after, &want)
		}
	})
}
