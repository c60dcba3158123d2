package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

// watching runs watch and interrupts it after so many looks; before each but
// the first, at is called with the number of looks so far.
func watching(t *testing.T, r *run, looks int, at func(int), args ...string) int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := 0
	r.tick = func(time.Duration) {
		done++
		if done == looks {
			cancel()
			return
		}
		at(done)
	}
	return r.cli.main(ctx, append([]string{"watch"}, args...))
}

func threeLooks(t *testing.T, r *run) func(int) {
	before, after := mozart(`{"1": 100}`), mozart(`{"1": 50, "2": 50}`)
	r.store.Set("models/mozart", before)
	first := gatewayWith(before, before)
	publish(t, r.store, first)
	return func(look int) {
		switch look {
		case 1:
			second := gatewayWith(after, after)
			second.Models["mozart"] = configs.ModelStatus{Index: 9, Weights: map[string]float64{"1": .5, "2": .5},
				Versions: map[string]configs.VersionStatus{"2": {State: configs.VersionFailed, Reason: "no such\nfile"}}}
			publish(t, r.store, second)
		case 2:
			r.store.Delete(configs.StatusKey("gw-1"))
		}
	}
}

func TestWatchPrintsEachChangeOnce(t *testing.T) {
	t.Parallel()
	r := newRun(configstest.NewStore())
	if code := watching(t, r, 4, threeLooks(t, r)); code != exitInterrupted {
		t.Errorf("exit code %d, want %d: %s", code, exitInterrupted, &r.stderr)
	}
	want := `2025-03-01 12:00:00Z gw-1 gateway: ready
2025-03-01 12:00:00Z gw-1 source: connected
2025-03-01 12:00:00Z gw-1 mozart index: 0
2025-03-01 12:00:01Z gw-1 mozart index: 0 → 9
2025-03-01 12:00:01Z gw-1 mozart version 2: Failed: no such file
2025-03-01 12:00:01Z gw-1 mozart weights: 1=50% 2=50%
2025-03-01 12:00:02Z gw-1 gateway: no longer ready
2025-03-01 12:00:02Z gw-1 source: no longer connected
2025-03-01 12:00:02Z gw-1 mozart index: no longer 9
2025-03-01 12:00:02Z gw-1 mozart version 2: no longer Failed: no such file
2025-03-01 12:00:02Z gw-1 mozart weights: no longer 1=50% 2=50%
`
	if r.stdout.String() != want {
		t.Errorf("standard output is\n%s\nwant\n%s", &r.stdout, want)
	}
}

func TestWatchPrintsOneJSONDocument(t *testing.T) {
	t.Parallel()
	for _, looks := range []int{1, 4} {
		r := newRun(configstest.NewStore())
		changes := func(int) {}
		if looks > 1 {
			changes = threeLooks(t, r)
		}
		if code := watching(t, r, looks, changes, "--json"); code != exitInterrupted {
			t.Errorf("exit code %d, want %d: %s", code, exitInterrupted, &r.stderr)
		}
		var events []event
		if err := json.Unmarshal(r.stdout.Bytes(), &events); err != nil {
			t.Fatalf("%v: %s", err, &r.stdout)
		}
		if want := map[int]int{1: 0, 4: 11}[looks]; len(events) != want {
			t.Errorf("%d events, want %d: %s", len(events), want, &r.stdout)
		}
	}
}

func TestWatchDrawsTheTableOnATerminal(t *testing.T) {
	t.Parallel()
	r := newRun(configstest.NewStore())
	r.cli.redraw = true
	if code := watching(t, r, 4, threeLooks(t, r)); code != exitInterrupted {
		t.Errorf("exit code %d, want %d: %s", code, exitInterrupted, &r.stderr)
	}
	if got := strings.Count(r.stdout.String(), "\x1b[H\x1b[2J"); got != 4 {
		t.Errorf("the screen was drawn %d times, want 4", got)
	}
	if !strings.Contains(r.stdout.String(), "no gateway reports its status") {
		t.Errorf("the last screen does not say that the gateway left: %q", &r.stdout)
	}
}

func TestWatchOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	r := newRun(configstest.NewStore())
	code := watching(t, r, 5, func(look int) {
		r.store.Fail(map[int]error{1: configs.ErrUnreachable, 2: configs.ErrUnreachable}[look])
	})
	want := "connected\ncannot be reached, trying on: read the gateways' status: not reachable\nconnected\nseguectl: interrupted\n"
	if code != exitInterrupted || r.stderr.String() != want {
		t.Errorf("exit code %d, standard error\n%s\nwant\n%s", code, &r.stderr, want)
	}
	r = newRun(configstest.NewStore())
	code = watching(t, r, 5, func(look int) { r.store.Fail(configs.ErrForbidden) })
	if code != exitFailed {
		t.Errorf("exit code %d without rights, want %d", code, exitFailed)
	}
}
