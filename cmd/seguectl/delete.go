package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

func (c *cli) deleteCommand() *cobra.Command {
	var w writing
	cmd := &cobra.Command{
		Use:   "delete MODEL…",
		Short: "Delete models by name",
		Long: `Delete models by name. Each goes on serving for delete_grace (settings, 60s);
putting its document back within that time cancels the deletion. Models deleted
by name go even where more than half of all models go at once.`,
		Example: `  seguectl delete mozart --reason "replaced by haydn"
  seguectl delete mozart bach --yes`,
		Args: cobra.MinimumNArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			for _, model := range args {
				if err := checkModelName(model); err != nil {
					return nil, err
				}
			}
			return c.with(ctx, func(s *source) (report, error) { return c.delete(ctx, s, &w, args) })
		}),
	}
	w.register(cmd)
	return cmd
}

type deleteReport struct {
	Models []*changeReport `json:"models"`
	Notes  []string        `json:"notes,omitempty"`
}

func (r *deleteReport) writeText(w io.Writer) {
	for _, one := range r.Models {
		one.writeText(w)
	}
}

// delete looks at all models before it touches one, so that a slip in a name
// deletes nothing.
func (c *cli) delete(ctx context.Context, s *source, w *writing, models []string) (report, error) {
	models = slices.Compact(slices.Sorted(slices.Values(models)))
	var changes []change
	var missing []string
	for _, model := range models {
		ch, err := c.deletion(ctx, s, w, model)
		if err != nil {
			return nil, err
		}
		if ch.key == "" {
			missing = append(missing, model)
		}
		changes = append(changes, ch)
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("there is no document of %s: nothing was deleted", strings.Join(missing, ", "))
	}
	if !w.dryRun {
		if err := c.confirm(ctx, w, fmt.Sprintf("%s will stop being served.", strings.Join(models, ", "))); err != nil {
			return nil, err
		}
	}
	r := &deleteReport{Models: []*changeReport{}}
	for _, ch := range changes {
		one, err := c.write(ctx, s, w, ch)
		r.Models = append(r.Models, one)
		if err != nil {
			return r, err
		}
	}
	return r, c.noteDeletion(ctx, s, r)
}

// deletion removes the document and, in the same step, leaves an override that
// names the deletion: without it the gateways' guard against mass deletion
// would not know it from a wiped store. Where the document is gone already but
// the model existed, the override alone lifts that guard. The zero change says
// that nobody knows the model.
func (c *cli) deletion(ctx context.Context, s *source, w *writing, model string) (change, error) {
	item, doc, _, err := s.stored(ctx, model)
	if err != nil {
		return change{}, err
	}
	held, _, err := s.override(ctx, model)
	if err != nil {
		return change{}, err
	}
	now := c.now().UTC()
	named := &configs.Override{
		Kind: configs.OverrideDelete, By: c.who(ctx, s).String(), Reason: w.reason, At: now, Until: now.Add(configs.MaxHold),
	}
	if item == nil {
		if known, err := s.known(ctx, model); err != nil || !known {
			return change{}, err
		}
		return change{event: configs.EventDelete, name: model, key: configs.OverrideKey(model), before: held, after: configs.CanonicalOverride(named)}, nil
	}
	if doc.model != nil {
		named.Basis = doc.effective().Basis()
	}
	beside := configs.Write{Key: configs.OverrideKey(model), Value: configs.CanonicalOverride(named), Tool: true}
	if held != nil {
		beside.Index = held.Index
	}
	return change{event: configs.EventDelete, name: model, key: keyOf(model), before: item, beside: []configs.Write{beside}}, nil
}

// known reports that the model existed: a gateway has it, or the audit tells of
// it. A gateway's status can be some seconds old, so both are asked.
func (s *source) known(ctx context.Context, model string) (bool, error) {
	gateways, err := s.gateways(ctx)
	if err != nil {
		return false, err
	}
	for _, g := range gateways {
		if _, ok := g.Models[model]; ok {
			return true, nil
		}
	}
	records, err := configs.ListAudit(ctx, s, model)
	return len(records) > 0, err
}

// noteDeletion says when the models really go.
func (c *cli) noteDeletion(ctx context.Context, s *source, r *deleteReport) error {
	_, doc, _, err := s.stored(ctx, settingsName)
	if err != nil {
		return ignoreForbidden(err)
	}
	var text string
	switch {
	case doc == nil:
		text = "there are no settings: no deletion counts until seguectl init writes them"
	case doc.settings == nil:
		return nil
	default:
		text = fmt.Sprintf("gateways go on serving for %s; putting the document back cancels", doc.settings.Grace())
	}
	r.Notes = append(r.Notes, text)
	c.note("note: %s", text)
	return nil
}
