package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/segue-serving/segue/bench/measure"
	"github.com/segue-serving/segue/bench/models"
	"github.com/segue-serving/segue/bench/report"
	"github.com/segue-serving/segue/bench/scenario"
	"github.com/segue-serving/segue/bench/server"
)

// run measures what one command line asks for. Results go to stdout and the
// folder, progress to stderr.
func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(arguments, stderr)
	if err != nil {
		return err
	}
	if o.write != "" {
		return models.Write(o.write)
	}
	chosen, err := choose(o, scenarios)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range chosen {
			fmt.Fprintf(stdout, "%-14s %s\n", s.Name, s.Title)
		}
		return nil
	}
	if _, err := os.Stat(o.binary); err != nil {
		return fmt.Errorf("the gateway, which make build builds and --binary names: %w", err)
	}
	for _, s := range chosen {
		if err := mayWrite(o, s.Name, stderr); err != nil {
			return err
		}
	}
	// Read once: what is measured was there before, whatever is written meanwhile.
	measured := commit(ctx, ".", o.out)
	dir, err := os.MkdirTemp("", "segue-bench-models")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	generate := func(model string) (string, error) { return filepath.Join(dir, "models"), models.Write(dir, model) }
	var results []*report.Result
	for _, s := range chosen {
		result, err := measureOne(ctx, o, s, measured, generate, arguments, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		results = append(results, result)
		if err := write(o, result, stderr); err != nil {
			return err
		}
	}
	if err := summarise(o, stderr); err != nil {
		return err
	}
	if err := show(stdout, o, results); err != nil {
		return err
	}
	return verdict(results)
}

// verdict is an error where any promise was broken, or a round could not be
// measured. Results are written and shown all the same: they tell what happened.
func verdict(results []*report.Result) error {
	var broken []error
	for _, r := range results {
		for _, f := range slices.Concat(r.Failures, r.Missing) {
			broken = append(broken, fmt.Errorf("%s: %s", r.Scenario, f))
		}
	}
	return errors.Join(broken...)
}

// measureOne measures one scenario of a commit and notes what it ran on.
func measureOne(ctx context.Context, o options, s *scenario.Scenario, measured string, generate func(model string) (string, error), arguments []string, stderr io.Writer) (*report.Result, error) {
	setup, err := describe(measured)
	if err != nil {
		return nil, err
	}
	result, err := measure.Run(ctx, s, measure.Parts{
		Gateway: o.binary, Models: o.models, Generate: generate, Peers: o.folder, Progress: stderr,
		Python: func(peer string) (string, error) {
			if o.python != "" {
				return o.python, nil
			}
			return server.PeerPython(o.folder, peer, os.Getenv)
		},
		Consul: func() (string, error) { return server.ConsulBinary(os.Getenv) },
	})
	if err != nil {
		return nil, err
	}
	setup.Versions = append(result.Setup.Versions, setup.Versions...)
	setup.Command = strings.Join(append([]string{"go run ./bench"}, arguments...), " ")
	setup.Rounds = s.Rounds
	setup.RoundSeconds = time.Duration(s.Round).Seconds()
	setup.WarmupSeconds = time.Duration(s.Warmup).Seconds()
	setup.TookSeconds = time.Since(setup.Started).Round(time.Second).Seconds()
	result.Setup = setup
	return result, nil
}

// show prints the results for people, or as one JSON list for programs.
func show(stdout io.Writer, o options, results []*report.Result) error {
	if o.json {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(results)
	}
	for _, r := range results {
		if _, err := fmt.Fprintf(stdout, "%s\n", report.Markdown(r)); err != nil {
			return err
		}
	}
	return nil
}
