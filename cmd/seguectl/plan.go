package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (c *cli) planCommand() *cobra.Command {
	var signal bool
	cmd := &cobra.Command{
		Use:     "plan FILE",
		Aliases: []string{"diff"},
		Short:   "Show what putting a document would change",
		Long: `Show what putting a document would change: versions, percentages, other fields,
and the text. Nothing is written. With --exit-code the exit code is 0 where
nothing would change and 5 where something would.`,
		Example: `  seguectl plan mozart.yaml
  seguectl diff mozart.yaml --exit-code`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			return c.with(ctx, func(s *source) (report, error) { return c.plan(ctx, s, args[0], signal) })
		}),
	}
	cmd.Flags().BoolVar(&signal, "exit-code", false, "exit 5 where something would change")
	return cmd
}

type planReport struct {
	Model string `json:"model"`
	// Index is that of the document in the store, 0 where there is none.
	Index uint64 `json:"index"`
	difference
	Warnings []place `json:"warnings,omitempty"`
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

func (c *cli) plan(ctx context.Context, s *source, file string, signal bool) (report, error) {
	doc, err := c.readFile(file)
	if err != nil {
		return nil, err
	}
	item, before, refused, err := s.stored(ctx, doc.name)
	if err != nil {
		return nil, err
	}
	r := &planReport{Model: doc.name, difference: compare(before, doc), Warnings: doc.warnings, StoredProblems: problemsOf(refused)}
	if item != nil {
		r.Index = item.Index
	}
	if signal && r.Change != "none" {
		return r, errChanges
	}
	return r, nil
}
