package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

func (c *cli) weightsCommand() *cobra.Command {
	var w writing
	var relative bool
	var hold, wait time.Duration
	cmd := &cobra.Command{
		Use:   "weights MODEL VERSION=WEIGHT…",
		Short: "Set which versions answer, and how often",
		Long: `Set which versions answer requests that name none, and how often: the whole
set at once. Versions that are not named get 0: they stay loaded and answer
requests that name them.

Without --hold the document itself is edited, comments kept; where Terraform or
GitOps owns it, it may write its own version back. With --hold an override is
written beside the document: it stands against document writes until it ends or
until seguectl release, at most 7 days.`,
		Example: `  seguectl weights mozart 1=90 2=10 --reason "canary of version 2"
  seguectl weights mozart 1=2 2=1 --relative
  seguectl weights mozart 1=100 --hold 4h --reason "version 2 times out"`,
		Args: cobra.MinimumNArgs(2),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			if err := checkModelName(args[0]); err != nil {
				return nil, err
			}
			weights, err := weightArgs(args[1:], relative)
			if err != nil {
				return nil, err
			}
			if err := checkHold(hold, w.reason); err != nil {
				return nil, err
			}
			return c.with(ctx, func(s *source) (report, error) {
				if hold > 0 {
					return c.hold(ctx, s, &w, args[0], weights, hold, wait)
				}
				return c.weights(ctx, s, &w, args[0], weights, wait)
			})
		}),
	}
	w.register(cmd)
	cmd.Flags().BoolVar(&relative, "relative", false, "the weights may sum to something else than 100")
	cmd.Flags().DurationVar(&hold, "hold", 0, "hold these weights for this long, whatever the document says (needs --reason)")
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait this long until every live gateway has it in force")
	return cmd
}

func checkHold(hold time.Duration, reason string) error {
	switch {
	case hold < 0:
		return usageError{errors.New("--hold must be longer than 0")}
	case hold > configs.MaxHold:
		return usageError{fmt.Errorf("--hold %s: a hold lasts at most %s (7 days)", hold, configs.MaxHold)}
	case hold > 0 && strings.TrimSpace(reason) == "":
		return usageError{errors.New("--hold needs --reason: whoever finds the hold must know why it is there")}
	}
	return nil
}

// mustHave reads the model's document, which must be there and be accepted.
func (c *cli) mustHave(ctx context.Context, s *source, model string) (*configs.Item, *document, error) {
	item, doc, refused, err := s.stored(ctx, model)
	switch {
	case err != nil:
		return nil, nil, err
	case item == nil:
		return nil, nil, fmt.Errorf("there is no document of %s", model)
	case refused != nil:
		return nil, nil, refused
	}
	return item, doc, nil
}

func (c *cli) weights(ctx context.Context, s *source, w *writing, model string, weights map[string]float64, wait time.Duration) (report, error) {
	item, before, err := c.mustHave(ctx, s, model)
	if err != nil {
		return nil, err
	}
	text := item.Value
	if !maps.Equal(answering(before.model.Traffic.Weights), answering(weights)) {
		text, err = configs.SetWeights(configs.Entry{Name: model, Value: item.Value, Where: item.Key, Base: s.base}, weights)
		if err != nil {
			return nil, refusal(model, err)
		}
	}
	after, err := parse(model, model+" with these weights", s.base, text)
	if err != nil {
		return nil, err
	}
	after.warnings = newWarnings(before.warnings, after.warnings)
	return c.replaceDocument(ctx, s, w, "weights", item, before, after, wait)
}

// newWarnings are those that were not there before: who moves weights need not
// read the rest again.
func newWarnings(before, after []place) []place {
	return slices.DeleteFunc(after, func(p place) bool {
		return slices.ContainsFunc(before, func(b place) bool { return b.Path == p.Path && b.Message == p.Message })
	})
}

// answering are the weights above zero: a weight of zero is as good as none.
func answering(weights map[string]float64) map[string]float64 {
	left := maps.Clone(weights)
	maps.DeleteFunc(left, func(_ string, weight float64) bool { return weight == 0 })
	return left
}

// hold writes an override beside the document.
func (c *cli) hold(ctx context.Context, s *source, w *writing, model string, weights map[string]float64, length, wait time.Duration) (report, error) {
	document, doc, err := c.mustHave(ctx, s, model)
	if err != nil {
		return nil, err
	}
	if err := doc.whole(); err != nil {
		return nil, err
	}
	content := doc.effective()
	item, old, err := s.override(ctx, model)
	if err != nil {
		return nil, err
	}
	now := c.now().UTC().Truncate(time.Second)
	override := old.WithHold(content, configs.Override{
		Weights: weights, By: c.who(ctx, s).String(), Reason: w.reason, At: now, Until: now.Add(length),
	})
	if err := override.Check(content); err != nil {
		return nil, refusal(model, err)
	}
	text := configs.CanonicalOverride(override)
	before := content.Steer(old, configs.LatestVersion, now).Weights
	r, err := c.write(ctx, s, w, change{
		event: "hold", name: model, key: configs.OverrideKey(model), before: item, after: text,
		question: trafficQuestion(model, losing(before, weights)),
	})
	if err != nil {
		return r, err
	}
	c.noteIn(r, "held until %s, or until seguectl release %s; the document is not changed", clock(override.Until), model)
	if content.Rollout != nil {
		c.noteIn(r, "the rollout stands still meanwhile and goes on afterwards")
	}
	if wait > 0 && !r.DryRun {
		want := wantedModel{digest: configs.EntryDigest(document.Value), doc: content, steered: true, override: override}
		r.Wait, err = c.wait(ctx, s, s.stillStored(model, want), wait)
	}
	return r, err
}

func (c *cli) releaseCommand() *cobra.Command {
	var w writing
	cmd := &cobra.Command{
		Use:   "release MODEL",
		Short: "End a hold: the document's weights count again",
		Example: `  seguectl release mozart
  seguectl release mozart --reason "version 2 is mended"`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			if err := checkModelName(args[0]); err != nil {
				return nil, err
			}
			return c.with(ctx, func(s *source) (report, error) { return c.release(ctx, s, &w, args[0]) })
		}),
	}
	w.register(cmd)
	return cmd
}

func (c *cli) release(ctx context.Context, s *source, w *writing, model string) (report, error) {
	item, override, err := s.override(ctx, model)
	if err != nil {
		return nil, err
	}
	ch := change{event: "release", name: model, key: configs.OverrideKey(model), before: item}
	_, doc, _, err := s.stored(ctx, model)
	if err != nil {
		return nil, err
	}
	held := item != nil && (override == nil || override.Kind != configs.OverrideRollout)
	left := override.Released()
	switch {
	case !held && item != nil:
		ch.after = item.Value // the state of a rollout: nothing to release
	case left != nil:
		ch.after = configs.CanonicalOverride(left)
	}
	if held && override != nil && doc.content() != nil {
		after := doc.content().Steer(left, configs.LatestVersion, c.now())
		ch.question = trafficQuestion(model, losing(override.Weights, after.Weights))
	}
	r, err := c.write(ctx, s, w, ch)
	if err != nil {
		return r, err
	}
	if !held {
		c.noteIn(r, "there is no hold of %s", model)
		return r, nil
	}
	return r, c.noteNoSettings(ctx, s, r)
}

// noteNoSettings says that a release does not count without the sentinel: a
// hold that is missing then could as well be a wiped store's.
func (c *cli) noteNoSettings(ctx context.Context, s *source, r *changeReport) error {
	settings, _, _, err := s.stored(ctx, settingsName)
	if err != nil {
		return ignoreForbidden(err)
	}
	if settings == nil {
		c.noteIn(r, "there are no settings: the release does not count until seguectl init writes them")
	}
	return nil
}
