package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/loader/artifact"
)

// profileLive makes a reference of what a fleet has counted of a version in the
// last 24 hours, in the bins of the profile that its artifact holds.
func (c *cli) profileLive(ctx context.Context, s *source, p *profiling) (report, error) {
	model, version, found := strings.Cut(p.fromLive, "/")
	if !found || configs.CheckName(model) != nil || configs.CheckName(version) != nil {
		return nil, usageError{fmt.Errorf("--from-live %q is not MODEL/VERSION", p.fromLive)}
	}
	body, err := os.ReadFile(filepath.Join(p.artifact, artifact.ProfileFile))
	if err != nil {
		return nil, fmt.Errorf("the profile whose bins are counted in: %w", err)
	}
	profile, err := drift.Parse(body)
	if err != nil {
		return nil, err
	}
	if profile, err = s.comparedFeatures(ctx, model, profile); err != nil {
		return nil, err
	}
	counts, _, err := configs.ListDrift(ctx, s, model)
	if err != nil {
		return nil, err
	}
	live, err := liveDay(profile, counts, version)
	if err != nil {
		return nil, err
	}
	if live.Rows() == 0 {
		return nil, fmt.Errorf("nothing has been counted of version %s of %s in the bins of %s: is it served, and its document's drift block there?", version, model, p.artifact)
	}
	text := p.source
	if text == "" {
		text = fmt.Sprintf("live requests of %s version %s, 24 hours until %s", model, version, c.now().UTC().Format("2006-01-02 15:04"))
	}
	made, err := live.AsReference(text)
	if err != nil {
		return nil, err
	}
	if body, err = made.Marshal(); err != nil {
		return nil, err
	}
	if err := os.WriteFile(p.output, body, 0o644); err != nil {
		return nil, err
	}
	return newProfileReport(p.output, made, made.Samples), nil
}

// comparedFeatures leaves out of a profile what the model's document leaves
// out: gateways count in the bins of the rest.
func (s *source) comparedFeatures(ctx context.Context, model string, profile *drift.Profile) (*drift.Profile, error) {
	item, ok, err := s.Get(ctx, keyOf(model))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("there is no model %s", model)
	}
	doc, err := s.parseItem(model, item)
	if err != nil {
		return nil, err
	}
	d := doc.model.Drift
	if d == nil {
		return nil, fmt.Errorf("the document of %s has no drift block", model)
	}
	if len(d.Features)+len(d.Exclude) == 0 {
		return profile, nil
	}
	return profile.With(func(name string) bool {
		return (len(d.Features) == 0 || slices.Contains(d.Features, name)) && !slices.Contains(d.Exclude, name)
	})
}

// liveDay adds up the last 24 hours of the newest life of every gateway. What is
// of other bins, or cannot be read, does not count.
func liveDay(profile *drift.Profile, counts []configs.DriftCounts, version string) (*drift.Window, error) {
	newest := map[string]configs.DriftCounts{}
	for _, c := range counts {
		if c.At.After(newest[c.Instance].At) {
			newest[c.Instance] = c
		}
	}
	sum := profile.NewWindow()
	for _, c := range newest {
		for _, stream := range c.Streams {
			if stream.Name != configs.DriftStreamOf(version) || len(stream.Day) == 0 {
				continue
			}
			part, err := profile.ParseWindow(stream.Day)
			if errors.Is(err, drift.ErrOtherBins) {
				continue
			}
			if err == nil {
				err = sum.Merge(part)
			}
			if err != nil {
				return nil, fmt.Errorf("counts of %s: %w", c.Instance, err)
			}
		}
	}
	return sum, nil
}
