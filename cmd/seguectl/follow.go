package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/segue-serving/segue/configs"
)

// resolve puts into a document that follows a registry what a gateway found
// there last. Where that is not for this document, or the document names what is
// not there, effective stays the document as it is written.
func (s *source) resolve(ctx context.Context, d *document) error {
	if d == nil || d.model == nil || d.model.Follow == nil {
		return nil
	}
	item, ok, err := s.Get(ctx, configs.ResolvedKey(d.name))
	if err != nil {
		return fmt.Errorf("read what %s follows: %w", d.name, err)
	}
	var found *configs.Resolution
	if ok {
		found, err = configs.ParseResolution(configs.Entry{Name: d.name, Value: item.Value, Where: item.Key})
	}
	if err == nil {
		d.resolved, err = d.model.Resolve(found)
	}
	if err != nil {
		d.unresolved = fmt.Errorf("%s: %w", d.name, err)
	}
	return nil
}

// effective is the document with the versions of the registry that it follows,
// as far as they were found; nil where there is no content.
func (d *document) effective() *configs.Document {
	switch {
	case d == nil:
		return nil
	case d.resolved != nil:
		return d.resolved
	}
	return d.model
}

// followText is what a gateway knows of a registry: mlflow:models/mozart:
// challenger=4 champion=3, found by gateway g1 at ….
func followText(f *configs.FollowStatus) string {
	text := "follows " + f.From
	if !f.At.IsZero() {
		text += ":"
		for _, alias := range sortedVersions(f.Aliases) {
			text += " " + alias + "=" + f.Aliases[alias]
		}
		text += fmt.Sprintf(" found by %s at %s", f.By, clock(f.At))
	}
	if f.Problem != "" {
		text += "; not reached now: " + oneLine(f.Problem)
	}
	return text
}

// whole refuses a document whose versions are not known.
func (d *document) whole() error {
	if errors.Is(d.unresolved, configs.ErrUnresolved) {
		return fmt.Errorf("%w: a gateway of the fleet has to ask it first", d.unresolved)
	}
	return d.unresolved
}
