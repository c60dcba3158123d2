package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/gateway/rollout"
)

func (c *cli) planCommand() *cobra.Command {
	var signal bool
	traffic := rollout.Traffic{}
	cmd := &cobra.Command{
		Use:     "plan FILE",
		Aliases: []string{"diff"},
		Short:   "Show what putting a document would change",
		Long: `Show what putting a document would change: versions, percentages, other fields,
and the text. Nothing is written. With --exit-code the exit code is 0 where
nothing would change and 5 where something would.

Of a rollout it shows whether it begins, goes on or ends, and for each step how
many of the canary's requests (callers, where traffic is sticky) it takes until
a verdict: to go on if the canary is as good as stable, and to take it back if it
is worse.`,
		Example: `  seguectl plan mozart.yaml
  seguectl plan mozart.yaml --rate 50 --bad 0.002
  seguectl diff mozart.yaml --exit-code`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			if !(traffic.Rate >= 0 && traffic.Bad >= 0 && traffic.Bad <= 1) {
				return nil, usageError{errors.New("--rate must not be negative, and --bad is from 0 to 1")}
			}
			return c.with(ctx, func(s *source) (report, error) { return c.plan(ctx, s, args[0], signal, traffic) })
		}),
	}
	cmd.Flags().BoolVar(&signal, "exit-code", false, "exit 5 where something would change")
	cmd.Flags().Float64Var(&traffic.Rate, "rate", 0, "how many requests a second reach the fleet, for the times of a rollout")
	cmd.Flags().Float64Var(&traffic.Bad, "bad", 0.01, "the share of stable's requests that go wrong, 0 to 1")
	return cmd
}

type planReport struct {
	Model string `json:"model"`
	// Index is that of the document in the store, 0 where there is none.
	Index uint64 `json:"index"`
	difference
	Warnings []place `json:"warnings,omitempty"`
	// Rollout is what the document's rollout would do, nil where there is none.
	Rollout *rolloutPlan `json:"rollout,omitempty"`
	// StoredProblems are why the document in the store is refused today.
	StoredProblems []place `json:"stored_problems,omitempty"`
}

func (r *planReport) writeText(w io.Writer) {
	switch r.Change {
	case "none":
		fmt.Fprintf(w, "%s: no change (index %d)\n", r.Model, r.Index)
	case "create":
		fmt.Fprintf(w, "%s: create\n", r.Model)
	default:
		fmt.Fprintf(w, "%s: update (index %d)\n", r.Model, r.Index)
	}
	r.difference.writeText(w)
	r.Rollout.writeText(w)
	for _, p := range r.StoredProblems {
		fmt.Fprintf(w, "  the stored document is refused: %s\n", p)
	}
	for _, p := range r.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", p)
	}
	if r.Text != "" {
		fmt.Fprintf(w, "\n%s", r.Text)
	}
}

func (c *cli) plan(ctx context.Context, s *source, file string, signal bool, traffic rollout.Traffic) (report, error) {
	doc, err := c.readFile(file)
	if err != nil {
		return nil, err
	}
	item, before, refused, err := s.stored(ctx, doc.name)
	if err != nil {
		return nil, err
	}
	if err := s.resolve(ctx, doc); err != nil {
		return nil, err
	}
	r := &planReport{Model: doc.name, difference: compare(before, doc), Warnings: doc.warnings, StoredProblems: problemsOf(refused)}
	if item != nil {
		r.Index = item.Index
	}
	if doc.model != nil {
		_, override, err := s.override(ctx, doc.name)
		if err != nil {
			return nil, err
		}
		if r.Rollout, err = planRollout(before.content(), doc.effective(), override, c.now(), traffic); err != nil {
			return nil, err
		}
	}
	if signal && r.Change != "none" {
		return r, errChanges
	}
	return r, nil
}
