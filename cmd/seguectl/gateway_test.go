package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/segue-serving/segue/configs"
)

// fakeGateway publishes the status that a gateway would, without serving
// anything.
type fakeGateway struct {
	source *source
	name   string
	// mode is what it does with documents that come after its start: follow
	// puts them into force, refuse rejects them, stuck loads them for ever.
	mode string
	// inForce are the documents in force by model.
	inForce map[string]configs.Item
}

// step looks at the store once and says what its status is now.
func (g *fakeGateway) step(ctx context.Context, first bool) (configs.GatewayStatus, error) {
	items, err := g.source.List(ctx, "models/")
	if err != nil {
		return configs.GatewayStatus{}, err
	}
	_, settings, _, err := g.source.stored(ctx, settingsName)
	if err != nil {
		return configs.GatewayStatus{}, err
	}
	frozen := settings != nil && settings.settings.Freeze
	status := configs.GatewayStatus{
		Instance: g.name, Version: "v0.0.0-test", At: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC), Ready: true,
		Config: configs.ConfigStatus{Connected: true, SentinelPresent: settings != nil, Frozen: frozen},
		Models: map[string]configs.ModelStatus{},
	}
	before := g.inForce
	g.inForce = map[string]configs.Item{}
	for _, item := range items {
		name := strings.TrimPrefix(item.Key, "models/")
		now, known := before[name]
		if first || g.mode == "follow" && !frozen {
			now, known = item, true
		}
		m := configs.ModelStatus{WantedIndex: item.Index, WantedDigest: configs.EntryDigest(item.Value)}
		if known {
			g.inForce[name] = now
			m.Index, m.Digest = now.Index, configs.EntryDigest(now.Value)
		}
		if m.Digest != m.WantedDigest {
			switch {
			case frozen:
				m.Waiting = "settings.freeze"
			case g.mode == "refuse":
				m.Rejected = []string{"line 3, column 1: versions: refused on purpose"}
			default:
				m.Waiting = "version 2 is fetching"
			}
		}
		if err := g.serve(ctx, &m, name, now); err != nil {
			return configs.GatewayStatus{}, err
		}
		status.Models[name] = m
	}
	return status, nil
}

// serve fills in the versions and weights of a document in force.
func (g *fakeGateway) serve(ctx context.Context, m *configs.ModelStatus, name string, item configs.Item) error {
	if item.Value == nil {
		return nil
	}
	doc, err := g.source.parseItem(name, item)
	if err != nil {
		return nil // a refused document has no versions
	}
	m.Weights = shares(doc.model)
	_, override, err := g.source.override(ctx, name)
	if err != nil {
		return err
	}
	if override != nil && override.Kind == configs.OverrideHold {
		m.Override = &configs.OverrideStatus{Kind: override.Kind, By: override.By, Reason: override.Reason, Until: override.Until, Weights: override.Weights}
		held := *doc.model
		held.Traffic.Weights = override.Weights
		m.Weights = shares(&held)
	}
	if doc.model.Rollout != nil {
		if err := g.rollOut(ctx, m, doc.model, override); err != nil {
			return err
		}
	}
	m.Versions = map[string]configs.VersionStatus{}
	for version := range doc.model.Versions {
		m.Versions[version] = configs.VersionStatus{State: configs.VersionReady}
	}
	return nil
}

// rollOut begins the document's rollout, as gateways do, and tells how it
// stands, with numbers that are always the same. It never decides by them.
func (g *fakeGateway) rollOut(ctx context.Context, m *configs.ModelStatus, d *configs.Document, o *configs.Override) error {
	at := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	now := d.Steer(o, configs.LatestVersion, time.Now())
	if now.Rollout == nil && g.mode == "follow" {
		var err error
		if o, err = g.begin(ctx, d, configs.Decision{Event: configs.DecideStart, By: "gateway " + g.name, Reason: "new rollout", At: at}); err != nil || o == nil {
			return err
		}
		now = d.Steer(o, configs.LatestVersion, time.Now())
	}
	if now.Hold == nil {
		split := *d
		split.Rollout, split.Traffic.Weights = nil, now.Weights
		m.Weights = shares(&split)
	}
	m.Rollout = &configs.RolloutStatus{Stable: d.Rollout.Stable, Canary: d.Rollout.Canary, Steps: len(d.Rollout.Steps)}
	state := now.Rollout
	if state == nil {
		return nil
	}
	r := m.Rollout
	r.ID, r.Phase, r.Step, r.Since, r.Weight = state.ID(), state.Phase, state.Step, state.Since, state.CanaryWeight(d.Rollout)
	r.By, r.Reason, r.Waits, r.Behind = state.Decision.By, state.Decision.Reason, state.AwaitsPerson(d.Rollout), !state.Running()
	if state.Running() {
		r.Verdict, r.Missing = "hold", []string{"errors: 90 units without an event", "12m of min_time"}
		r.Guards = []configs.GuardEvidence{
			{Name: "errors", LnE: 1.3, Threshold: 5.3, PromoteLnE: 2.4, PromoteThreshold: 3, Events: 2, Units: 310, StableEvents: 30, StableUnits: 5890},
			{Name: "classes", LnE: -0.4, Threshold: 5.3, Units: 310, StableUnits: 5890},
		}
	}
	return nil
}

// begin writes the first decision, unless another gateway is quicker: then it
// returns nil.
func (g *fakeGateway) begin(ctx context.Context, d *configs.Document, decision configs.Decision) (*configs.Override, error) {
	item, o, err := g.source.override(ctx, d.Model)
	if err != nil {
		return nil, err
	}
	next, err := d.Decide(o, decision)
	if err != nil {
		return nil, nil
	}
	w := configs.Write{Key: configs.OverrideKey(d.Model), Value: configs.CanonicalOverride(next)}
	var before []byte
	if item != nil {
		w.Index, before = item.Index, item.Value
	}
	index, err := g.source.Apply(ctx, w)
	if errors.Is(err, configs.ErrConflict) {
		return nil, nil
	}
	if err == nil {
		err = configs.RecordAudit(ctx, g.source, configs.DecisionRecord(d, index, before, next, configs.AuditWho{User: decision.By}))
	}
	return next, err
}

// run publishes a status whenever it changes, until ctx ends.
func (g *fakeGateway) run(ctx context.Context, publish func([]byte) error, started func()) error {
	var before string
	for first := true; ctx.Err() == nil; first = false {
		status, err := g.step(ctx, first)
		if err != nil {
			return err
		}
		value, err := json.Marshal(status)
		if err != nil {
			return err
		}
		if string(value) != before {
			before = string(value)
			if err := publish(value); err != nil {
				return err
			}
		}
		if first {
			started()
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			break
		}
	}
	return nil
}

// startGateway runs a fakeGateway until the function that it returns is
// called. It returns when the first status can be read.
func startGateway(ts *testscript.TestScript, name, mode string) (stop func()) {
	s := scriptSource(ts)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	publish := func(value []byte) error { return overwrite(ctx, s, configs.StatusKey(name), value) }
	if announcer, ok := s.Store.(configs.Announcer); ok && s.kind == "file" {
		// In a folder a status counts while its gateway holds a lock.
		updates := make(chan []byte)
		running.Go(func() {
			if err := announcer.Announce(ctx, name, updates); err != nil {
				ts.Logf("gateway %s: %v", name, err)
			}
		})
		publish = func(value []byte) error {
			select {
			case updates <- value:
			case <-ctx.Done():
			}
			return nil
		}
	}
	started := make(chan struct{})
	failed := make(chan error, 1)
	running.Go(func() {
		g := &fakeGateway{source: s, name: name, mode: mode}
		if err := g.run(ctx, publish, func() { close(started) }); err != nil && ctx.Err() == nil {
			failed <- err
		}
	})
	stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		withdraw(ts, s, configs.StatusKey(name))
	})
	select {
	case <-started:
	case err := <-failed:
		stop()
		ts.Fatalf("gateway %s: %v", name, err)
	}
	awaitKey(ts, s, configs.StatusKey(name))
	return stop
}

// awaitKey waits until a key can be read.
func awaitKey(ts *testscript.TestScript, s *source, key string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		_, ok, err := s.Get(ctx, key)
		if ok {
			return
		}
		if sleep(ctx, 20*time.Millisecond) != nil {
			ts.Fatalf("%s does not come: %v", key, err)
		}
	}
}

// withdraw deletes a status where nothing else does.
func withdraw(ts *testscript.TestScript, s *source, key string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	item, ok, err := s.Get(ctx, key)
	if err == nil && ok {
		_, err = s.Apply(ctx, configs.Write{Key: key, Delete: true, Index: item.Index})
	}
	if err != nil {
		ts.Logf("withdraw %s: %v", key, err)
	}
}

// overwrite writes a key whatever is there, as a direct write does.
func overwrite(ctx context.Context, s *source, key string, value []byte) error {
	for {
		item, _, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		if _, err = s.Apply(ctx, configs.Write{Key: key, Value: value, Index: item.Index}); !errors.Is(err, configs.ErrConflict) {
			return err
		}
	}
}

// scriptSource opens the configuration of a script in the test's own process.
func scriptSource(ts *testscript.TestScript) *source {
	s, err := openStore(context.Background(), ts.Getenv("SEGUE_CONFIG"), ts.Getenv("SEGUE_STATE_DIR"))
	ts.Check(err)
	return s
}
