package consul

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// prefix is that of the fleets under test.
const prefix = "segue/test"

// TestMain keeps the environment of a real Consul out of the tests.
func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "CONSUL_") && name != "CONSUL_BINARY" {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}

// openAs opens a fleet with a token.
func openAs(t *testing.T, address, token string) *Fleet {
	t.Helper()
	t.Setenv("CONSUL_HTTP_TOKEN", token)
	f, _ := open(t, address, Options{})
	return f
}

// open opens the fleet under test at an agent's or a proxy's address, or the
// one that the options name.
func open(t *testing.T, address string, o Options) (*Fleet, *logged) {
	t.Helper()
	log := &logged{}
	if o.Spec == "" {
		o.Spec = "//" + address + "/" + prefix
	}
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	f, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the fleet:\n%s", log)
		}
	})
	return f, log
}

// logged collects a log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// recorder runs a fleet's source and receives what it publishes.
type recorder struct {
	t         *testing.T
	snapshots chan configs.Snapshot
	stop      func()
}

func run(t *testing.T, f *Fleet) *recorder {
	t.Helper()
	r := &recorder{t: t, snapshots: make(chan configs.Snapshot, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx, func(s configs.Snapshot) { r.snapshots <- s }) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Run did not end with its context")
		}
	})
	t.Cleanup(r.stop)
	return r
}

// await returns the first snapshot for which accept holds.
func (r *recorder) await(within time.Duration, what string, accept func(configs.Snapshot) bool) configs.Snapshot {
	r.t.Helper()
	deadline := time.After(within)
	var last configs.Snapshot
	for {
		select {
		case last = <-r.snapshots:
			if accept(last) {
				return last
			}
		case <-deadline:
			r.t.Fatalf("%s: not published within %v; the last snapshot was %s", what, within, text(last))
		}
	}
}

// none fails if anything is published within d.
func (r *recorder) none(d time.Duration, why string) {
	r.t.Helper()
	select {
	case s := <-r.snapshots:
		r.t.Fatalf("%s: published %s", why, text(s))
	case <-time.After(d):
	}
}

// text is a snapshot for messages.
func text(s configs.Snapshot) string {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	models := map[string]string{}
	for name, entry := range s.Models {
		models[name] = string(entry.Value)
	}
	log.Info("", "index", s.Index, "models", models, "overrides", len(s.Overrides), "settings", s.Settings != nil,
		"authoritative", s.Authoritative, "fromLastGood", s.FromLastGood)
	return b.String()
}

func model(name, value string) func(configs.Snapshot) bool {
	return func(s configs.Snapshot) bool { return string(s.Models[name].Value) == value }
}

func lacks(name string) func(configs.Snapshot) bool {
	return func(s configs.Snapshot) bool { _, there := s.Models[name]; return !there }
}

func anything(configs.Snapshot) bool { return true }

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, within)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
