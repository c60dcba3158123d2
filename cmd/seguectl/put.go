package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

func (c *cli) putCommand() *cobra.Command {
	var w writing
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "put FILE",
		Short: "Write a model's document (or _settings.yaml) by check-and-set",
		Long: `Write a model's document, or _settings.yaml as the settings, by check-and-set.

A document that a gateway would refuse is not written. With --wait, put returns
0 only when every live gateway has the document in force, and 1 as soon as one
refuses it or the time is over. Where Terraform or GitOps owns the documents, it
may write its own version back.`,
		Example: `  seguectl put mozart.yaml --reason "canary of version 2"
  seguectl put mozart.yaml --wait 5m
  seguectl put mozart.yaml --dry-run`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			return c.with(ctx, func(s *source) (report, error) { return c.put(ctx, s, &w, args[0], wait) })
		}),
	}
	w.register(cmd)
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait this long until every live gateway has it in force")
	return cmd
}

func (c *cli) put(ctx context.Context, s *source, w *writing, file string, wait time.Duration) (report, error) {
	doc, err := c.readFile(file)
	if err != nil {
		return nil, err
	}
	if wait > 0 && doc.settings != nil {
		return nil, usageError{errors.New("--wait is for documents of models: gateways do not report settings")}
	}
	return c.writeDocument(ctx, s, w, "put", doc, wait)
}

// writeDocument is what put, weights and revert share: it writes a document
// that was accepted, says what changes and what stands in its way, and waits.
func (c *cli) writeDocument(ctx context.Context, s *source, w *writing, event string, doc *document, wait time.Duration) (report, error) {
	item, before, _, err := s.stored(ctx, doc.name)
	if err != nil {
		return nil, err
	}
	return c.replaceDocument(ctx, s, w, event, item, before, doc, wait)
}

// replaceDocument is writeDocument with what was read already.
func (c *cli) replaceDocument(ctx context.Context, s *source, w *writing, event string, item *configs.Item, before, doc *document, wait time.Duration) (report, error) {
	ch := change{event: event, name: doc.name, key: doc.key(), before: item, after: doc.value}
	if doc.model != nil {
		override, err := s.endDeletion(ctx, &ch)
		if err != nil {
			return nil, err
		}
		if err := s.resolve(ctx, doc); err != nil {
			return nil, err
		}
		ch.question = trafficQuestion(doc.name, losing(c.inForce(before.content(), override), c.inForce(doc.effective(), override)))
	}
	for _, warning := range doc.warnings {
		c.note("warning: %s", warning)
	}
	r, err := c.write(ctx, s, w, ch)
	changes := compare(before, doc)
	r.Difference, r.Warnings = &changes, doc.warnings
	if err != nil {
		return r, err
	}
	if r.Changed {
		c.noteIn(r, "this writes the document: Terraform or GitOps may write its own version back")
	}
	if doc.model == nil {
		return r, nil
	}
	if old := before.content(); r.Changed && old != nil && old.Rollout != nil && doc.content().Rollout != nil && old.Basis() != doc.content().Basis() {
		c.noteIn(r, "this changes the rollout: it begins anew")
	}
	if err := c.noteObstacles(ctx, s, r, doc.name); err != nil {
		return r, err
	}
	if wait > 0 && !r.DryRun {
		r.Wait, err = c.wait(ctx, s, s.stillStored(doc.name, wantedModel{digest: r.Digest, doc: doc.effective()}), wait)
	}
	return r, err
}

// inForce are the weights that a document and an override come to now.
func (c *cli) inForce(doc *configs.Document, override *configs.Override) map[string]float64 {
	if doc == nil {
		return nil
	}
	return doc.Steer(override, configs.LatestVersion, c.now()).Weights
}

// endDeletion takes back, with the write, that the model's deletion was asked
// for by name: the next time its key is missing may be an accident. It returns
// the override, nil where there is none that can be read.
func (s *source) endDeletion(ctx context.Context, ch *change) (*configs.Override, error) {
	item, override, err := s.override(ctx, ch.name)
	if errors.Is(err, configs.ErrForbidden) {
		return nil, nil
	}
	if err == nil && override != nil && override.Kind == configs.OverrideDelete {
		ch.beside = []configs.Write{{Key: item.Key, Delete: true, Index: item.Index}}
	}
	return override, err
}

// noteObstacles says why gateways may not follow the document.
func (c *cli) noteObstacles(ctx context.Context, s *source, r *changeReport, model string) error {
	frozen, err := s.frozen(ctx)
	if err != nil {
		return ignoreForbidden(err)
	}
	if frozen {
		c.noteIn(r, "settings.freeze is true: no gateway takes a new document until seguectl unfreeze")
	}
	_, override, err := s.override(ctx, model)
	if err != nil {
		return ignoreForbidden(err)
	}
	if override != nil && override.Kind == configs.OverrideHold && override.Until.After(c.now()) {
		c.noteIn(r, "a hold by %s (%s) keeps the weights as they are until %s, or until seguectl release %s",
			override.By, override.Reason, clock(override.Until), model)
	}
	return nil
}

// ignoreForbidden lets a writer work who may not read everything beside.
func ignoreForbidden(err error) error {
	if errors.Is(err, configs.ErrForbidden) {
		return nil
	}
	return fmt.Errorf("what else steers the gateways: %w", err)
}
