package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

func (c *cli) statusCommand() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "status [MODEL]",
		Short: "Show what every gateway has in force",
		Long: `Show what every live gateway has in force: versions, their states and shares,
and what is awaited or refused. With --wait the exit code is 0 when all that is
wanted is in force everywhere and rollouts are promoted, and 1 when a gateway
refuses it, a rollout was rolled back or the time is over; --wait alone waits 5
minutes, --wait=6h another time.

A rollout is shown with its steps, and for each guard how far the evidence is
that the canary is worse (then it is taken back) or good (then the step may be
left), as natural logarithms of e-values against their thresholds. What feedback
says of versions is added up over the gateways, with an interval that has held
the true accuracy or reward at all times with a probability of 95 %.`,
		Example: `  seguectl status
  seguectl status mozart --wait=30s
  seguectl status --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			model, err := optionalModel(args)
			if err != nil {
				return nil, err
			}
			return c.with(ctx, func(s *source) (report, error) { return c.status(ctx, s, model, wait) })
		}),
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait until all that is wanted is in force everywhere")
	cmd.Flags().Lookup("wait").NoOptDefVal = defaultWait.String()
	return cmd
}

func optionalModel(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	return args[0], checkModelName(args[0])
}

// statusReport is the fleet at one moment.
type statusReport struct {
	// Settled reports that there is a gateway, and that all of them have all
	// that is wanted in force.
	Settled  bool                    `json:"settled"`
	Gateways []configs.GatewayStatus `json:"gateways"`
	// Models says how each gateway stands to each model that is wanted.
	Models []standing `json:"models"`
	// Rollouts are the rollouts that the gateways have in force.
	Rollouts []rolloutView `json:"rollouts,omitempty"`
}

func (c *cli) status(ctx context.Context, s *source, model string, wait time.Duration) (report, error) {
	want := s.wantedOf(model)
	if model != "" {
		if err := s.mustBeKnown(ctx, model); err != nil {
			return nil, err
		}
	}
	var waitErr error
	if wait > 0 {
		_, waitErr = c.wait(ctx, s, want, wait)
		if interrupted(ctx) {
			return nil, waitErr
		}
	}
	r, err := c.fleet(ctx, s, want, model)
	if waitErr != nil {
		err = waitErr
	}
	if r == nil {
		return nil, err
	}
	return r, err
}

// fleet reads the gateways' status once.
func (c *cli) fleet(ctx context.Context, s *source, want func(context.Context, []configs.GatewayStatus) (wanted, error), model string) (*statusReport, error) {
	gateways, err := s.gateways(ctx)
	if err != nil {
		return nil, err
	}
	models, err := want(ctx, gateways)
	if err != nil {
		return nil, err
	}
	judged := judgeAll(gateways, models, c.now())
	if model != "" {
		for i := range gateways {
			maps.DeleteFunc(gateways[i].Models, func(name string, _ configs.ModelStatus) bool { return name != model })
		}
	}
	return &statusReport{Settled: judged.Settled, Gateways: gateways, Models: judged.Gateways, Rollouts: rollouts(gateways, models, c.now())}, nil
}

// mustBeKnown refuses a model that neither the store nor a gateway knows.
func (s *source) mustBeKnown(ctx context.Context, model string) error {
	if _, ok, err := s.Get(ctx, keyOf(model)); err != nil || ok {
		return err
	}
	gateways, err := s.gateways(ctx)
	if err != nil {
		return err
	}
	for _, gateway := range gateways {
		if _, ok := gateway.Models[model]; ok {
			return nil
		}
	}
	return fmt.Errorf("there is no model %s", model)
}

// wantedOf wants what the store says now, of one model or of all; models that
// gateways know and the store does not must go.
func (s *source) wantedOf(model string) func(context.Context, []configs.GatewayStatus) (wanted, error) {
	return func(ctx context.Context, gateways []configs.GatewayStatus) (wanted, error) {
		documents, err := s.List(ctx, "models/")
		if err != nil {
			return nil, fmt.Errorf("read the models: %w", err)
		}
		overrides, err := s.overrides(ctx)
		if err != nil {
			return nil, err
		}
		want := wanted{}
		for _, gateway := range gateways {
			for name := range gateway.Models {
				want[name] = wantedModel{absent: true}
			}
		}
		for _, item := range documents {
			name := strings.TrimPrefix(item.Key, "models/")
			if configs.CheckName(name) != nil {
				continue
			}
			if want[name], err = s.wantedDocument(ctx, name, item, overrides[name]); err != nil {
				return nil, err
			}
		}
		if model != "" {
			maps.DeleteFunc(want, func(name string, _ wantedModel) bool { return name != model })
		}
		return want, nil
	}
}

// wantedDocument wants the document and the override that stands for it. An
// override that cannot stand is no part of what is wanted.
func (s *source) wantedDocument(ctx context.Context, name string, item configs.Item, override *configs.Override) (wantedModel, error) {
	want := wantedModel{digest: configs.EntryDigest(item.Value), steered: true}
	doc, _ := s.parseItem(name, item)
	if err := s.resolve(ctx, doc); err != nil {
		return want, err
	}
	want.doc = doc.effective()
	if want.doc == nil {
		return want, nil
	}
	if override != nil && len(override.Weights) > 0 && override.Check(want.doc) == nil {
		want.override = override
	}
	if want.doc.Rollout != nil {
		want.rollsOut = true
		// The time matters to holds alone.
		want.rollout = want.doc.Steer(override, configs.LatestVersion, time.Time{}).Rollout
	}
	return want, nil
}

func (r *statusReport) writeText(w io.Writer) {
	if len(r.Gateways) == 0 {
		fmt.Fprintln(w, "no gateway reports its status")
		return
	}
	for _, gateway := range r.Gateways {
		fmt.Fprintf(w, "%s: %s\n", gateway.Instance, gatewayText(gateway))
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "GATEWAY\tMODEL\tINDEX\tVERSION\tSTATE\tWEIGHT\tNOTE")
	for _, gateway := range r.Gateways {
		for _, name := range slices.Sorted(maps.Keys(gateway.Models)) {
			writeModel(table, gateway.Instance, name, gateway.Models[name])
		}
	}
	for _, s := range r.Models {
		if s.State != stateInForce && s.State != stateRolling {
			fmt.Fprintf(table, "%s\t%s\t\t\t%s\t\t%s\n", s.Instance, s.Model, s.State, oneLine(s.Why))
		}
	}
	table.Flush()
	if lines := qualityLines(r.Gateways); len(lines) > 0 {
		fmt.Fprintln(w)
		for _, line := range lines {
			fmt.Fprintln(w, line)
		}
	}
	for i := range r.Rollouts {
		fmt.Fprintln(w)
		r.Rollouts[i].writeText(w)
	}
}

// gatewayText is one gateway in a line.
func gatewayText(gateway configs.GatewayStatus) string {
	parts := []string{"ready"}
	if !gateway.Ready {
		parts[0] = "not ready"
	}
	parts = append(parts, "version "+gateway.Version, sourceText(gateway.Config))
	if !gateway.Config.SentinelPresent {
		parts = append(parts, "no settings")
	}
	if gateway.Config.Frozen {
		parts = append(parts, "frozen")
	}
	return strings.Join(append(parts, fmt.Sprintf("index %d", gateway.Config.Index)), ", ")
}

func sourceText(config configs.ConfigStatus) string {
	switch {
	case config.FromLastGood:
		return "from its last good copy"
	case !config.Connected:
		return "configuration not reachable"
	}
	return "connected"
}

// writeModel writes a row per version; the first one bears what is said of the
// model.
func writeModel(table io.Writer, instance, name string, m configs.ModelStatus) {
	notes := modelNotes(m)
	names := sortedVersions(m.Versions)
	if len(names) == 0 {
		names = sortedVersions(m.Weights)
	}
	if len(names) == 0 {
		fmt.Fprintf(table, "%s\t%s\t%d\t-\t-\t-\t%s\n", instance, name, m.Index, strings.Join(notes, "; "))
	}
	for i, version := range names {
		v := m.Versions[version]
		var row []string
		if i == 0 {
			row = notes
		}
		if v.SignedBy != "" {
			row = append(slices.Clip(row), "signed by "+oneLine(v.SignedBy))
		}
		row = append(slices.Clip(row), versionNotes(v)...)
		state := v.State
		if state == "" {
			state = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", instance, name, m.Index, version, state,
			percent(m.Weights[version]), strings.Join(row, "; "))
	}
}

// versionNotes say how a version stands: how far it is, what is wrong with it,
// what it takes, and what its callers have to change.
func versionNotes(v configs.VersionStatus) []string {
	var notes []string
	switch {
	case v.SizeBytes > 0:
		notes = append(notes, fmt.Sprintf("%.1f of %.1f MiB", mebibytes(v.FetchedBytes), mebibytes(v.SizeBytes)))
	case v.FetchedBytes > 0:
		notes = append(notes, fmt.Sprintf("%.1f MiB", mebibytes(v.FetchedBytes)))
	}
	if v.Reason != "" {
		notes = append(notes, oneLine(v.Reason))
	}
	if !v.RetryAt.IsZero() {
		notes = append(notes, fmt.Sprintf("try %d at %s", v.Attempt+1, clock(v.RetryAt)))
	}
	if m := v.Memory; m != nil && m.Held > 0 && v.State == configs.VersionReady {
		notes = append(notes, fmt.Sprintf("takes %.1f MiB", mebibytes(m.Held)))
	}
	if s := v.Compatibility; s != nil && s.Is != configs.CompatibilitySame {
		notes = append(notes, oneLine(fmt.Sprintf("%s for callers of version %s: %s", s.Is, s.Than, strings.Join(s.Differences, ", "))))
	}
	return notes
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func modelNotes(m configs.ModelStatus) []string {
	var notes []string
	if o := m.Override; o != nil && o.Kind != configs.OverrideRollout {
		notes = append(notes, fmt.Sprintf("%s by %s until %s (%s)", o.Kind, o.By, clock(o.Until), oneLine(o.Reason)))
	}
	if f := m.Follow; f != nil {
		notes = append(notes, followText(f))
	}
	if m.Deleting != nil {
		notes = append(notes, "deleted, goes at "+clock(*m.Deleting))
	}
	return notes
}
