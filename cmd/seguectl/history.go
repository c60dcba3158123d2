package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

func (c *cli) historyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "history MODEL",
		Short: "Show who changed what, when and why, newest first",
		Long: `Show who changed a model's document or override, when and why, newest first.
The last 100 changes are kept. The name _settings shows the settings' changes.`,
		Example: `  seguectl history mozart
  seguectl history _settings --json`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			if err := checkDocumentName(args[0]); err != nil {
				return nil, err
			}
			return c.with(ctx, func(s *source) (report, error) { return c.history(ctx, s, args[0]) })
		}),
	}
}

type historyReport struct {
	Model   string                `json:"model"`
	Records []configs.AuditRecord `json:"records"`
}

func (r *historyReport) writeText(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "INDEX\tAT\tEVENT\tWHO\tOUTCOME\tREASON")
	for _, record := range r.Records {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", record.Index, clock(record.At), record.Event,
			record.Who, oneLine(record.Outcome), oneLine(record.Reason))
	}
	table.Flush()
}

// oneLine keeps a text within its row.
func oneLine(text string) string {
	if text == "" {
		return "-"
	}
	return strings.Join(strings.Fields(text), " ")
}

func (c *cli) history(ctx context.Context, s *source, name string) (report, error) {
	records, err := configs.ListAudit(ctx, s, name)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		// A document that was there before the audit began has no history yet.
		if _, ok, err := s.Get(ctx, keyOf(name)); err != nil || !ok {
			return nil, errors.Join(err, fmt.Errorf("there is no history of %s", name))
		}
	}
	return &historyReport{Model: name, Records: records}, nil
}

func (c *cli) revertCommand() *cobra.Command {
	var w writing
	var to uint64
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "revert MODEL --to INDEX",
		Short: "Write an earlier document again",
		Long: `Write the document that the history holds at INDEX again. It is checked as any
other document is: one that would be refused today is not written. Where
Terraform or GitOps owns the documents, it may write its own version back.`,
		Example: `  seguectl history mozart
  seguectl revert mozart --to 1207 --reason "version 2 is worse"`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			if err := checkDocumentName(args[0]); err != nil {
				return nil, err
			}
			return c.with(ctx, func(s *source) (report, error) { return c.revert(ctx, s, &w, args[0], to, wait) })
		}),
	}
	w.register(cmd)
	cmd.Flags().Uint64Var(&to, "to", 0, "the index of the document in the history")
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait this long until every live gateway has it in force")
	if err := cmd.MarkFlagRequired("to"); err != nil {
		panic(err)
	}
	return cmd
}

func (c *cli) revert(ctx context.Context, s *source, w *writing, name string, to uint64, wait time.Duration) (report, error) {
	records, err := configs.ListAudit(ctx, s, name)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(records, func(r configs.AuditRecord) bool { return r.Index == to && holdsDocument(r) })
	if at < 0 {
		return nil, fmt.Errorf("the history of %s holds no document at index %d", name, to)
	}
	doc, err := parse(name, fmt.Sprintf("%s at index %d", name, to), s.base, []byte(records[at].Document))
	if err != nil {
		return nil, err
	}
	return c.writeDocument(ctx, s, w, "revert", doc, wait)
}

// holdsDocument reports that a record's text is a document and not an
// override.
func holdsDocument(r configs.AuditRecord) bool {
	switch r.Event {
	case "hold", "release", configs.EventDelete, configs.EventResolve:
		return false
	}
	return r.Document != "" && !configs.DecisionEvent(r.Event).Known()
}
