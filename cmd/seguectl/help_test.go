package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs/configstest"
)

// verbs are all verbs by name, and the tool itself under "".
func verbs() map[string]*cobra.Command {
	root := newRun(configstest.NewStore()).cli.root()
	all := map[string]*cobra.Command{"": root}
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			all[cmd.Name()] = cmd
		}
	}
	return all
}

func TestHelpIsThatOfTheGoldenFiles(t *testing.T) {
	t.Parallel()
	for name := range verbs() {
		r := newRun(configstest.NewStore())
		args := []string{"--help"}
		if name != "" {
			args = []string{name, "--help"}
		}
		if code := r.code(t, args...); code != exitDone || r.stderr.Len() > 0 {
			t.Errorf("%q --help: exit code %d, %s", name, code, &r.stderr)
		}
		golden := filepath.Join("testdata", "help", name+".txt")
		if name == "" {
			golden = filepath.Join("testdata", "help", "seguectl.txt")
		}
		if *update {
			if err := os.WriteFile(golden, r.stdout.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.stdout.Bytes(), want) {
			t.Errorf("%q --help differs from %s (go test -update writes it anew):\n%s", name, golden, &r.stdout)
		}
		if !strings.Contains(r.stdout.String(), "Examples:\n  ") {
			t.Errorf("%q --help shows no example", name)
		}
	}
}

func TestTheVerbsAreThese(t *testing.T) {
	t.Parallel()
	var names []string
	for name := range verbs() {
		names = append(names, name)
	}
	slices.Sort(names)
	want := strings.Fields("artifacts check completion delete drift freeze get history init ls pack pause plan profile promote pull push put release resume retry revert rollback sign status unfreeze verify version watch weights")
	if !slices.Equal(names[1:], want) {
		t.Errorf("verbs are %q, want %q", names[1:], want)
	}
}

func TestWritingVerbsTakeTheSameFlags(t *testing.T) {
	t.Parallel()
	writers := strings.Fields("init put delete weights release promote rollback pause resume retry freeze unfreeze revert")
	for name, cmd := range verbs() {
		for _, flag := range []string{"dry-run", "reason", "yes"} {
			if got := cmd.Flags().Lookup(flag) != nil; got != slices.Contains(writers, name) {
				t.Errorf("%s: --%s is there: %v", name, flag, got)
			}
		}
		if cmd.InheritedFlags().Lookup("json") == nil && name != "" {
			t.Errorf("%s takes no --json", name)
		}
	}
}

func TestExamplesAreCommandLinesThatParse(t *testing.T) {
	t.Parallel()
	for name, cmd := range verbs() {
		shown := name == ""
		for line := range strings.Lines(cmd.Example) {
			_, words, found := strings.Cut(strings.TrimSpace(line), "seguectl ")
			words, _, _ = strings.Cut(words, " > ")
			words = strings.TrimSuffix(words, ")")
			if !found {
				continue
			}
			r := newRun(configstest.NewStore())
			root := r.cli.root()
			target, rest, err := root.Find(split(words))
			if err == nil {
				err = target.ParseFlags(rest)
			}
			if err == nil {
				err = target.ValidateArgs(target.Flags().Args())
			}
			if err == nil {
				err = target.ValidateRequiredFlags()
			}
			if err != nil {
				t.Errorf("%s: the example %q: %v", name, words, err)
			}
			shown = shown || target.Name() == name
		}
		if !shown {
			t.Errorf("%s: no example shows it", name)
		}
	}
}

// split takes a command line apart; double quotes hold words together.
func split(line string) []string {
	var words []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}
