package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

func (c *cli) lsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the models that are configured",
		Example: `  seguectl ls
  seguectl ls --json`,
		Args: cobra.NoArgs,
		RunE: c.verb(func(ctx context.Context, _ []string) (report, error) {
			return c.with(ctx, func(s *source) (report, error) { return c.ls(ctx, s) })
		}),
	}
}

type lsReport struct {
	Settings bool          `json:"settings"`
	Frozen   bool          `json:"frozen"`
	Models   []listedModel `json:"models"`
}

type listedModel struct {
	Model  string `json:"model"`
	Index  uint64 `json:"index"`
	Digest string `json:"digest"`
	// Weights are the shares that the document asks for, 0–1, by version.
	Weights  map[string]float64 `json:"weights,omitempty"`
	Override *listedOverride    `json:"override,omitempty"`
	// Rollout is how far the document's rollout has come, in words.
	Rollout string `json:"rollout,omitempty"`
	// Follows names the registry that the document follows; Unresolved says why
	// its versions are not known.
	Follows    string  `json:"follows,omitempty"`
	Unresolved string  `json:"unresolved,omitempty"`
	Problems   []place `json:"problems,omitempty"`
}

type listedOverride struct {
	Kind   configs.OverrideKind `json:"kind"`
	By     string               `json:"by"`
	Reason string               `json:"reason"`
	Until  time.Time            `json:"until,omitzero"`
}

func (r *lsReport) writeText(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MODEL\tINDEX\tVERSIONS\tNOTE")
	for _, m := range r.Models {
		var notes []string
		if m.Follows != "" {
			notes = append(notes, "follows "+m.Follows)
		}
		if m.Unresolved != "" {
			notes = append(notes, oneLine(m.Unresolved))
		}
		if m.Rollout != "" {
			notes = append(notes, "rollout: "+m.Rollout)
		}
		if o := m.Override; o != nil && o.Kind != configs.OverrideRollout {
			notes = append(notes, fmt.Sprintf("%s by %s until %s", o.Kind, o.By, clock(o.Until)))
		}
		if n := len(m.Problems); n > 0 {
			notes = append(notes, fmt.Sprintf("refused: %s", m.Problems[0].Problem))
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", m.Model, m.Index, sharesText(m.Weights), strings.Join(notes, "; "))
	}
	table.Flush()
	if r.Frozen {
		fmt.Fprintln(w, "frozen: gateways take no new document")
	}
}

// sharesText is 1=90% 2=10%, - where there are none.
func sharesText(parts map[string]float64) string {
	texts := make([]string, 0, len(parts))
	for _, version := range sortedVersions(parts) {
		texts = append(texts, version+"="+percent(parts[version]))
	}
	if len(texts) == 0 {
		return "-"
	}
	return strings.Join(texts, " ")
}

func (c *cli) ls(ctx context.Context, s *source) (report, error) {
	items, err := s.List(ctx, "models/")
	if err != nil {
		return nil, fmt.Errorf("list the models: %w", err)
	}
	overrides, err := s.overrides(ctx)
	if err != nil {
		return nil, err
	}
	r := &lsReport{Models: []listedModel{}}
	for _, item := range items {
		name := strings.TrimPrefix(item.Key, "models/")
		if configs.CheckName(name) != nil {
			continue
		}
		doc, refused := s.parseItem(name, item)
		if err := s.resolve(ctx, doc); err != nil {
			return nil, err
		}
		m := listedModel{Model: name, Index: item.Index, Digest: configs.EntryDigest(item.Value),
			Weights: shares(doc.effective()), Problems: problemsOf(refused)}
		if d := doc.model; d != nil && d.Follow != nil {
			m.Follows = d.Follow.From
		}
		if doc.unresolved != nil {
			m.Unresolved = doc.unresolved.Error()
		}
		if d := doc.effective(); d != nil && d.Rollout != nil {
			m.Rollout = d.Steer(overrides[name], configs.LatestVersion, c.now()).Rollout.Describe(d.Rollout)
		}
		if override := overrides[name]; override != nil {
			m.Override = &listedOverride{override.Kind, override.By, override.Reason, override.Until}
		}
		r.Models = append(r.Models, m)
	}
	_, settings, _, err := s.stored(ctx, settingsName)
	if err != nil {
		return nil, err
	}
	r.Settings = settings != nil
	r.Frozen = settings != nil && settings.settings != nil && settings.settings.Freeze
	if !r.Settings {
		c.note("note: there are no settings: no deletion counts until seguectl init writes them")
	}
	return r, nil
}
