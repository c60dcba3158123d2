package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// memory is a Store in memory whose index counts writes.
type memory struct {
	items map[string]configs.Item
	index uint64
	// before is called once before the next Apply, as somebody else.
	before func()
	// err, where it is set, is the answer to everything.
	err error
}

func newMemory() *memory { return &memory{items: map[string]configs.Item{}} }

func (m *memory) Get(_ context.Context, key string) (configs.Item, bool, error) {
	item, ok := m.items[key]
	return item, ok, m.err
}

func (m *memory) List(_ context.Context, prefix string) ([]configs.Item, error) {
	var found []configs.Item
	for key, item := range m.items {
		if strings.HasPrefix(key, prefix) {
			found = append(found, item)
		}
	}
	slices.SortFunc(found, func(a, b configs.Item) int { return strings.Compare(a.Key, b.Key) })
	return found, m.err
}

func (m *memory) Apply(_ context.Context, writes ...configs.Write) (uint64, error) {
	if before := m.before; before != nil {
		m.before = nil
		before()
	}
	if m.err != nil {
		return 0, m.err
	}
	for _, w := range writes {
		if m.items[w.Key].Index != w.Index {
			return 0, configs.ErrConflict
		}
	}
	m.index++
	for _, w := range writes {
		if w.Delete {
			delete(m.items, w.Key)
			continue
		}
		m.items[w.Key] = configs.Item{Key: w.Key, Value: w.Value, Index: m.index, Tool: w.Tool}
	}
	return m.index, nil
}

func (m *memory) Who(context.Context) string { return "tester" }

// set writes a key as somebody else.
func (m *memory) set(key, value string) {
	m.index++
	m.items[key] = configs.Item{Key: key, Value: []byte(value), Index: m.index}
}

// run is one command line on a memory, with simulated time.
type run struct {
	cli            *cli
	store          *memory
	stdout, stderr bytes.Buffer
	now            time.Time
	// tick is called whenever the tool sleeps, with the time slept so far.
	tick func(slept time.Duration)
}

func newRun(store *memory) *run {
	r := &run{store: store, now: time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)}
	start := r.now
	r.cli = &cli{
		stdin: strings.NewReader(""), stdout: &r.stdout, stderr: &r.stderr,
		lookupEnv: func(name string) (string, bool) {
			return map[string]string{"SEGUE_CONFIG": "memory", "USER": "ada"}[name], true
		},
		now: func() time.Time { return r.now },
		sleep: func(ctx context.Context, d time.Duration) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			r.now = r.now.Add(d)
			if r.tick != nil {
				r.tick(r.now.Sub(start))
			}
			return ctx.Err()
		},
		open: func(context.Context, string, string) (*source, error) {
			return &source{Store: store, kind: "file"}, nil
		},
	}
	return r
}

// code runs a command line and returns its exit code.
func (r *run) code(t *testing.T, args ...string) int {
	t.Helper()
	return r.cli.main(t.Context(), args)
}

// mozart is a document with these weights of versions 1 and 2.
func mozart(weights string) string {
	return `{"model": "mozart", "versions": {"1": {"uri": "file:/m/1"}, "2": {"uri": "file:/m/2"}}, "traffic": {"weights": ` + weights + `}}`
}

// writeFile puts a document into a file of the test's own.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// gatewayWith is a gateway that has these documents of mozart in force and
// wanted.
func gatewayWith(inForce, wanted string) configs.GatewayStatus {
	return configs.GatewayStatus{
		Instance: "gw-1", Ready: true, Config: configs.ConfigStatus{Connected: true, SentinelPresent: true},
		Models: map[string]configs.ModelStatus{"mozart": {
			Digest: configs.EntryDigest([]byte(inForce)), WantedDigest: configs.EntryDigest([]byte(wanted)),
		}},
	}
}

// publish sets a gateway's status.
func (m *memory) publish(t *testing.T, status configs.GatewayStatus) {
	t.Helper()
	value, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	m.set(configs.StatusKey(status.Instance), string(value))
}
