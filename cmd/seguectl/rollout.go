package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

// decision is a verb that decides about a model's rollout.
type decision struct {
	event   configs.DecisionEvent
	command *cobra.Command
	// full makes promote skip the steps that are left.
	full bool
}

func (c *cli) promoteCommand() *cobra.Command {
	d := &decision{event: configs.DecideStep, command: &cobra.Command{
		Use:   "promote MODEL",
		Short: "Take a rollout to its next step, or to the end",
		Long: `Take a model's rollout to its next step without waiting for a verdict; after the
last step that is the promotion. With --full the canary gets all traffic at
once. Guards go on judging the step that is entered. The document is not
changed: seguectl get --effective prints the one to commit afterwards.`,
		Example: `  seguectl promote mozart --reason "business hours"
  seguectl promote mozart --full --yes --reason "security fix"`,
	}}
	cmd := c.decisionVerb(d)
	cmd.Flags().BoolVar(&d.full, "full", false, "give the canary all traffic at once")
	return cmd
}

func (c *cli) rollbackCommand() *cobra.Command {
	return c.decisionVerb(&decision{event: configs.DecideRollback, command: &cobra.Command{
		Use:     "rollback MODEL",
		Aliases: []string{"abort"},
		Short:   "Take a rollout back: stable answers everything",
		Long: `Take a model's rollout back, also after its promotion: the stable version answers
everything, and the canary's artifact is refused until the rollout is changed in
the document or tried again with seguectl retry. A hold that gives the canary
weight ends. The document is not changed: seguectl get --effective prints the
one to commit afterwards.`,
		Example: `  seguectl rollback mozart --reason "customers complain"
  seguectl abort mozart --yes --reason "wrong training data"`,
	}})
}

func (c *cli) pauseCommand() *cobra.Command {
	return c.decisionVerb(&decision{event: configs.DecidePause, command: &cobra.Command{
		Use:   "pause MODEL",
		Short: "Keep a rollout at its step",
		Long: `Keep a model's rollout at its step, whatever the evidence, until resume. Guards
still take the canary back.`,
		Example: `  seguectl pause mozart --reason "incident elsewhere"`,
	}})
}

func (c *cli) resumeCommand() *cobra.Command {
	return c.decisionVerb(&decision{event: configs.DecideResume, command: &cobra.Command{
		Use:   "resume MODEL",
		Short: "Let a paused rollout go on",
		Long: `Let a paused rollout go on, and one that waits at a pause point of its document.
It leaves the step when the evidence allows; promote does not wait for that.`,
		Example: `  seguectl resume mozart --reason "looks good"`,
	}})
}

func (c *cli) retryCommand() *cobra.Command {
	return c.decisionVerb(&decision{event: configs.DecideRetry, command: &cobra.Command{
		Use:   "retry MODEL",
		Short: "Begin a rollout again",
		Long: `Begin a model's rollout again, most often after it was rolled back: at its start,
with fresh evidence, and with the canary's artifact allowed again.`,
		Example: `  seguectl retry mozart --reason "the database was down, not the canary"`,
	}})
}

func (c *cli) decisionVerb(d *decision) *cobra.Command {
	var w writing
	var wait time.Duration
	d.command.Args = cobra.ExactArgs(1)
	d.command.RunE = c.verb(func(ctx context.Context, args []string) (report, error) {
		if err := checkModelName(args[0]); err != nil {
			return nil, err
		}
		return c.with(ctx, func(s *source) (report, error) { return c.decide(ctx, s, &w, d, args[0], wait) })
	})
	w.register(d.command)
	d.command.Flags().DurationVar(&wait, "wait", 0, "wait this long until every live gateway follows")
	return d.command
}

// decisionReport is what a decision came to.
type decisionReport struct {
	*changeReport
	// Rollout is the state that is decided; Standing is it in words.
	Rollout  *configs.RolloutState `json:"rollout,omitempty"`
	Standing string                `json:"standing"`
}

func (r *decisionReport) writeText(w io.Writer) {
	r.changeReport.writeText(w)
	fmt.Fprintf(w, "%s: %s\n", r.Model, r.Standing)
}

// decide makes a decision about a rollout and writes it beside the document.
func (c *cli) decide(ctx context.Context, s *source, w *writing, d *decision, model string, wait time.Duration) (report, error) {
	stored, doc, err := c.mustHave(ctx, s, model)
	if err != nil {
		return nil, err
	}
	if err := doc.whole(); err != nil {
		return nil, err
	}
	content := doc.effective()
	if content.Rollout == nil {
		return nil, fmt.Errorf("the document of %s has no rollout", model)
	}
	item, old, err := s.override(ctx, model)
	if err != nil {
		return nil, err
	}
	if item != nil && old == nil {
		return nil, fmt.Errorf("the override of %s cannot be read: seguectl release %s removes it", model, model)
	}
	now := c.now().UTC().Truncate(time.Millisecond)
	made := configs.Decision{Event: d.event, By: c.who(ctx, s).String(), Reason: w.reason, At: now}
	if d.full {
		made.Event = configs.DecidePromote
	}
	if err := c.mayDecide(ctx, s, made.Event); err != nil {
		return nil, err
	}
	before := content.Steer(old, configs.LatestVersion, now)
	c.witness(ctx, s, content, before.Rollout, &made)
	after, err := content.Decide(old, made)
	r := &decisionReport{changeReport: &changeReport{Model: model, Event: string(made.Event)}, Rollout: before.Rollout}
	r.Standing = before.Rollout.Describe(content.Rollout)
	switch {
	case errors.Is(err, configs.ErrDecided):
		if item != nil {
			r.Index, r.Digest = item.Index, configs.EntryDigest(item.Value)
		}
		return r, nil
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", d.command.Name(), model, err)
	}
	steered := content.Steer(after, configs.LatestVersion, now)
	r.changeReport, err = c.write(ctx, s, w, change{
		event: string(after.Rollout.Decision.Event), name: model, key: configs.OverrideKey(model), before: item,
		after: configs.CanonicalOverride(after), outcome: after.Rollout.Outcome(content.Rollout),
		question: trafficQuestion(model, losing(before.Weights, steered.Weights)),
	})
	if err != nil {
		return r, err
	}
	r.Rollout, r.Standing = after.Rollout, after.Rollout.Outcome(content.Rollout)
	c.noteDecision(r, after, now)
	if wait > 0 && !r.DryRun {
		want := wantedModel{digest: configs.EntryDigest(stored.Value), doc: content, rollout: after.Rollout}
		r.Wait, err = c.wait(ctx, s, s.stillStored(model, want), wait)
	}
	return r, err
}

// mayDecide refuses steps while settings.freeze is on.
func (c *cli) mayDecide(ctx context.Context, s *source, event configs.DecisionEvent) error {
	switch event {
	case configs.DecideStep, configs.DecidePromote, configs.DecideRetry:
	default:
		return nil
	}
	frozen, err := s.frozen(ctx)
	if err != nil {
		return ignoreForbidden(err)
	}
	if frozen {
		return errors.New("settings.freeze is true: no step is taken until seguectl unfreeze; rollback, pause and weights --hold work")
	}
	return nil
}

// witness puts into a decision what the gateways know at this moment: the
// guards' numbers and the canary's artifact. A fleet that tells nothing stops
// nobody.
func (c *cli) witness(ctx context.Context, s *source, doc *configs.Document, state *configs.RolloutState, made *configs.Decision) {
	gateways, err := s.gateways(ctx)
	if err != nil {
		c.note("note: the guards' numbers are not in the record: %v", err)
		return
	}
	for _, gateway := range gateways {
		m := gateway.Models[doc.Model]
		if made.Event == configs.DecideRollback && made.Digest == "" {
			made.Digest = m.Versions[doc.Rollout.Canary].Digest
		}
	}
	if state != nil && state.Running() { // after the end they are those of an older decision
		if view := viewOf(gateways, doc.Model); view != nil && view.ID == state.ID() {
			made.Evidence = view.Guards
		}
	}
}

func (c *cli) noteDecision(r *decisionReport, after *configs.Override, now time.Time) {
	if after.Holds(now) {
		c.noteIn(r.changeReport, "a hold by %s (%s) gives the weights until %s, or until seguectl release %s",
			after.By, after.Reason, clock(after.Until), r.Model)
	}
	switch after.Rollout.Phase {
	case configs.PhasePromoted, configs.PhaseRolledBack:
		c.noteIn(r.changeReport, "the document is not changed: seguectl get %s --effective prints the one to commit", r.Model)
	}
}
