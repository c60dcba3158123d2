package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/segue-serving/segue/bench/scenario"
)

// options are the command line.
type options struct {
	scenarios []string
	rounds    int
	seconds   float64
	out       string
	binary    string
	models    string
	peers     bool
	folder    string
	python    string
	write     string
	json      bool
	overwrite bool
	list      bool
}

func parseOptions(arguments []string, stderr io.Writer) (options, error) {
	var o options
	flags := pflag.NewFlagSet("bench", pflag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.SortFlags = false
	flags.StringSliceVar(&o.scenarios, "scenario", nil, "names of built-in scenarios or paths of .yaml files (default all built-in ones that need no other servers)")
	flags.BoolVar(&o.peers, "peers", false, "without --scenario, those that need other servers instead; deploy/scripts/venv.sh installs them")
	flags.IntVar(&o.rounds, "rounds", 0, "rounds instead of the scenario's; results worth quoting have 4 or more")
	flags.Float64Var(&o.seconds, "seconds", 0, "seconds of one measurement of a round instead of the scenario's")
	flags.StringVar(&o.out, "out", "", "folder for results, as <scenario>.json, .md and .svg (default none is written)")
	flags.BoolVar(&o.overwrite, "overwrite", false, "replace results that are there already")
	flags.BoolVar(&o.json, "json", false, "print the results to standard output as one JSON list instead of Markdown")
	flags.BoolVar(&o.list, "list", false, "list the built-in scenarios and exit")
	flags.StringVar(&o.binary, "binary", "bin/segue", "the gateway to measure, as make build leaves it")
	flags.StringVar(&o.write, "write-models", "", "write the generated models into a folder that segue serve --config file:DIR serves, and exit")
	flags.StringVar(&o.models, "models", "configs/examples/quickstart/models", "folder of the artifacts that are served")
	flags.StringVar(&o.folder, "peers-folder", "bench/peers", "folder of the other servers")
	flags.StringVar(&o.python, "peers-python", "", "Python that runs the other servers instead of each one's own")
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Measures Segue on this machine; run it from the root of the repository.\n\n"+
			"  go run ./bench --out bench/results\n  go run ./bench --scenario swaps --rounds 1 --seconds 2\n\n%s", flags.FlagUsages())
	}
	if err := flags.Parse(arguments); errors.Is(err, pflag.ErrHelp) {
		return o, err
	} else if err != nil {
		return o, usageError{err}
	}
	switch {
	case flags.NArg() > 0:
		return o, usageError{fmt.Errorf("unknown argument %q", flags.Arg(0))}
	case flags.Changed("rounds") && o.rounds < 1:
		return o, usageError{fmt.Errorf("--rounds is %d: want 1 or more", o.rounds)}
	case flags.Changed("seconds") && o.seconds <= 0:
		return o, usageError{fmt.Errorf("--seconds is %v: want more than 0", o.seconds)}
	}
	return o, nil
}

// choose returns the scenarios to measure, shortened or lengthened as asked.
func choose(o options, builtin fs.FS) ([]*scenario.Scenario, error) {
	names, err := fs.Glob(builtin, "scenarios/*.yaml")
	if err != nil {
		return nil, err
	}
	files := o.scenarios
	if len(files) == 0 {
		for _, name := range names {
			files = append(files, strings.TrimSuffix(path.Base(name), ".yaml"))
		}
	}
	var all []*scenario.Scenario
	for _, file := range files {
		s, err := read(builtin, file, names)
		if err != nil {
			return nil, usageError{err}
		}
		if len(o.scenarios) == 0 && !o.list && s.NeedsPeers() != o.peers {
			continue
		}
		if o.rounds > 0 {
			s.Rounds = o.rounds
		}
		if o.seconds > 0 {
			s.Round = scenario.Duration(o.seconds * float64(time.Second))
			s.Warmup = min(s.Warmup, s.Round)
		}
		all = append(all, s)
	}
	return all, nil
}

// read finds one scenario: a path of a .yaml file, or the name of a built-in one.
func read(builtin fs.FS, named string, names []string) (*scenario.Scenario, error) {
	from, file := builtin, "scenarios/"+named+".yaml"
	if strings.HasSuffix(named, ".yaml") {
		from, file = os.DirFS(filepath.Dir(named)), filepath.Base(named)
	} else if !slices.Contains(names, file) {
		return nil, fmt.Errorf("no built-in scenario %q: want %s, or the path of a .yaml file", named, builtinNames(names))
	}
	text, err := fs.ReadFile(from, file)
	if err != nil {
		return nil, err
	}
	s, err := scenario.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

func builtinNames(files []string) string {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	return strings.Join(names, ", ")
}
