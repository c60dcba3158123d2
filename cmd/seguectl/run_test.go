package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

// run is one command line on a memory, with simulated time.
type run struct {
	cli            *cli
	store          *configstest.Store
	stdout, stderr bytes.Buffer
	now            time.Time
	// tick is called whenever the tool sleeps, with the time slept so far.
	tick func(slept time.Duration)
}

func newRun(store *configstest.Store) *run {
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
func publish(t *testing.T, store *configstest.Store, status configs.GatewayStatus) {
	t.Helper()
	value, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	store.Set(configs.StatusKey(status.Instance), string(value))
}
