package configs

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// parseByName parses a file of the corpus by what its name starts with.
func parseByName(name string, text []byte) (any, []Warning, error) {
	e := Entry{Name: "mozart", Value: text, Base: "models"}
	switch {
	case strings.HasPrefix(name, "settings-"):
		s, w, err := ParseSettings(e)
		return s, w, err
	case strings.HasPrefix(name, "override-"):
		o, err := ParseOverride(e)
		return o, nil, err
	}
	d, w, err := Parse(e)
	return d, w, err
}

func TestEveryBadDocumentDrawsItsComplaint(t *testing.T) {
	entries, err := os.ReadDir("testdata/bad")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, entry := range entries {
		name := entry.Name()
		if filepath.Ext(name) == ".golden" {
			continue
		}
		text, err := os.ReadFile(filepath.Join("testdata/bad", name))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = parseByName(name, text)
		var problems *Problems
		if !errors.As(err, &problems) {
			t.Errorf("%s: was accepted (error %v)", name, err)
			continue
		}
		fmt.Fprintf(&got, "%s\n", name)
		for _, p := range problems.List {
			fmt.Fprintf(&got, "\t%s\n", p)
		}
	}
	if len(entries) < 40 {
		t.Errorf("only %d bad documents", len(entries))
	}
	golden(t, "testdata/bad/complaints.golden", []byte(got.String()))
}

// golden compares with a file, or rewrites it with -update.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) == string(want) {
		return
	}
	wantLines := strings.Split(string(want), "\n")
	for i, line := range strings.Split(string(got), "\n") {
		if i >= len(wantLines) || wantLines[i] != line {
			t.Errorf("%s, line %d: got\n%s\nrun the test with -update and read the difference", path, i+1, line)
			return
		}
	}
	t.Errorf("%s: got fewer lines; run the test with -update and read the difference", path)
}
