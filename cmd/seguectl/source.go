package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
)

// source is the configuration that a run works on.
type source struct {
	configs.Store
	// kind is the scheme of --config: "file" or "consul".
	kind string
	// base is the folder from which relative paths in documents count, empty
	// where there is none.
	base string
	// rules are what the store's access control needs for each role, empty
	// where the store has none of its own.
	rules []roleRules
}

// with opens the configuration for the length of one verb.
func (c *cli) with(ctx context.Context, run func(s *source) (report, error)) (report, error) {
	if c.config == "" {
		return nil, usageError{errors.New("no configuration is named: --config file:DIR or consul:[//HOST:PORT/]PREFIX, or SEGUE_CONFIG")}
	}
	s, err := c.open(ctx, c.config, c.stateDir)
	if err != nil {
		return nil, err
	}
	s.Store = &boundedStore{s.Store}
	return run(s)
}

// callLimit is how long one call of the store may take. Without it a network
// that swallows packets would hold a verb for ever.
const callLimit = 15 * time.Second

// boundedStore gives each call of a store a limit.
type boundedStore struct{ inner configs.Store }

func (b *boundedStore) Get(ctx context.Context, key string) (configs.Item, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return b.inner.Get(ctx, key)
}

func (b *boundedStore) List(ctx context.Context, prefix string) ([]configs.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return b.inner.List(ctx, prefix)
}

func (b *boundedStore) Apply(ctx context.Context, writes ...configs.Write) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return b.inner.Apply(ctx, writes...)
}

func (b *boundedStore) Who(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return b.inner.Who(ctx)
}

// stored reads the document of that name; nil where there is none. A document
// that would be refused today is returned without content, with the refusal.
func (s *source) stored(ctx context.Context, name string) (item *configs.Item, doc *document, refused, err error) {
	found, ok, err := s.Get(ctx, keyOf(name))
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read %s: %w", name, err)
	}
	if !ok {
		return nil, nil, nil, nil
	}
	doc, refused = s.parseItem(name, found)
	return &found, doc, refused, s.resolve(ctx, doc)
}

// parseItem parses what the store holds under a name. The document is never
// nil.
func (s *source) parseItem(name string, item configs.Item) (*document, error) {
	from := fmt.Sprintf("%s (index %d)", item.Key, item.Index)
	doc, err := parse(name, from, s.base, item.Value)
	if err != nil {
		return &document{name: name, from: from, value: item.Value}, err
	}
	return doc, nil
}

// override reads the model's override; nil where there is none that can be
// read.
func (s *source) override(ctx context.Context, model string) (*configs.Item, *configs.Override, error) {
	item, ok, err := s.Get(ctx, configs.OverrideKey(model))
	if err != nil {
		return nil, nil, fmt.Errorf("read the override of %s: %w", model, err)
	}
	if !ok {
		return nil, nil, nil
	}
	return &item, parseOverride(model, item), nil
}

// overrides are all models' overrides that can be read, by model.
func (s *source) overrides(ctx context.Context) (map[string]*configs.Override, error) {
	items, err := s.List(ctx, configs.OverridesPrefix)
	if err != nil {
		return nil, fmt.Errorf("read the overrides: %w", err)
	}
	all := make(map[string]*configs.Override, len(items))
	for _, item := range items {
		model := strings.TrimPrefix(item.Key, configs.OverridesPrefix)
		if override := parseOverride(model, item); override != nil {
			all[model] = override
		}
	}
	return all, nil
}

// parseOverride is nil where gateways would not read the override either.
func parseOverride(model string, item configs.Item) *configs.Override {
	override, err := configs.ParseOverride(configs.Entry{Name: model, Value: item.Value, Index: item.Index, Where: item.Key})
	if err != nil {
		return nil
	}
	return override
}

// frozen reports settings.freeze.
func (s *source) frozen(ctx context.Context) (bool, error) {
	_, doc, _, err := s.stored(ctx, settingsName)
	if err != nil || doc == nil || doc.settings == nil {
		return false, err
	}
	return doc.settings.Freeze, nil
}
