package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

func TestAGatewayIsJudgedByWhatItSays(t *testing.T) {
	t.Parallel()
	const old, new = "old", "new"
	now := time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)
	doc, _, err := configs.Parse(configs.Entry{Name: "mozart", Value: []byte(mozart(`{"1": 100}`))})
	if err != nil {
		t.Fatal(err)
	}
	hold := func(until time.Time, weights map[string]float64) *configs.Override {
		return &configs.Override{Kind: configs.OverrideHold, Until: until, Weights: weights}
	}
	followed := &configs.OverrideStatus{Kind: configs.OverrideHold, Until: now.Add(time.Hour), Weights: map[string]float64{"1": 100}}
	for _, c := range []struct {
		name    string
		gateway configs.GatewayStatus
		change  func(*configs.GatewayStatus, *configs.ModelStatus, *wantedModel)
		state   string
		why     string
	}{
		{name: "in force", gateway: gatewayWith(new, new), state: stateInForce},
		{name: "not seen", gateway: gatewayWith(old, old), state: stateWaiting, why: "has not seen the document yet"},
		{name: "cut off", gateway: gatewayWith(old, old), state: stateWaiting, why: "cannot reach the configuration",
			change: func(g *configs.GatewayStatus, _ *configs.ModelStatus, _ *wantedModel) { g.Config.Connected = false }},
		{name: "loading", gateway: gatewayWith(old, new), state: stateWaiting, why: "is loading"},
		{name: "awaiting", gateway: gatewayWith(old, new), state: stateWaiting, why: "version 2 is fetching",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, _ *wantedModel) {
				m.Waiting = "version 2 is fetching"
			}},
		{name: "frozen", gateway: gatewayWith(old, new), state: stateWaiting, why: "frozen: settings.freeze is true",
			change: func(g *configs.GatewayStatus, _ *configs.ModelStatus, _ *wantedModel) { g.Config.Frozen = true }},
		{name: "frozen and not looked at", gateway: gatewayWith(old, old), state: stateWaiting, why: "frozen: settings.freeze is true",
			change: func(g *configs.GatewayStatus, _ *configs.ModelStatus, _ *wantedModel) { g.Config.Frozen = true }},
		{name: "refused", gateway: gatewayWith(old, new), state: stateRefused, why: "a; b",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, _ *wantedModel) {
				m.Rejected = []string{"a", "b"}
			}},
		{name: "an older one refused", gateway: gatewayWith("oldest", old), state: stateWaiting, why: "has not seen the document yet",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, _ *wantedModel) { m.Rejected = []string{"a"} }},
		{name: "a version failed", gateway: gatewayWith(old, new), state: stateRefused, why: "version 1 failed: no such file",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, _ *wantedModel) {
				m.Versions = map[string]configs.VersionStatus{"1": {State: configs.VersionFailed, Reason: "no such file"}}
			}},
		{name: "a version without weight failed", gateway: gatewayWith(old, new), state: stateWaiting, why: "is loading",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, _ *wantedModel) {
				m.Versions = map[string]configs.VersionStatus{"2": {State: configs.VersionFailed, Reason: "no such file"}}
			}},
		{name: "about to go", gateway: gatewayWith(new, new), state: stateWaiting, why: "is about to drop the model, 2025-03-01 12:00:00Z",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, _ *wantedModel) { m.Deleting = &now }},
		{name: "deleted, still there", gateway: gatewayWith(new, new), state: stateWaiting, why: "still serves the model, whose document is gone",
			change: func(_ *configs.GatewayStatus, _ *configs.ModelStatus, w *wantedModel) { w.absent = true }},
		{name: "deleted, gone", gateway: configs.GatewayStatus{Instance: "gw-1"}, state: stateInForce,
			change: func(_ *configs.GatewayStatus, _ *configs.ModelStatus, w *wantedModel) { w.absent = true }},
		{name: "unknown", gateway: configs.GatewayStatus{Instance: "gw-1"}, state: stateWaiting, why: "has not seen the document yet"},
		{name: "left out", gateway: configs.GatewayStatus{Instance: "gw-1", Truncated: true}, state: stateWaiting, why: "its status had to leave this model out"},
		{name: "hold in force", gateway: gatewayWith(new, new), state: stateInForce,
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, w *wantedModel) {
				m.Override = followed
				w.steered, w.override = true, hold(followed.Until, followed.Weights)
			}},
		{name: "hold awaiting its version", gateway: gatewayWith(new, new), state: stateWaiting, why: "version 1 is fetching",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, w *wantedModel) {
				m.Override, m.Waiting = followed, "version 1 is fetching"
				w.steered, w.override = true, hold(followed.Until, followed.Weights)
			}},
		{name: "hold on a version that failed", gateway: gatewayWith(new, new), state: stateRefused, why: "version 1 failed: no such file",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, w *wantedModel) {
				m.Override, m.Waiting = followed, "version 1 is failed"
				m.Versions = map[string]configs.VersionStatus{"1": {State: configs.VersionFailed, Reason: "no such file"}}
				w.steered, w.override = true, hold(followed.Until, followed.Weights)
			}},
		{name: "hold ended, versions not back", gateway: gatewayWith(new, new), state: stateWaiting, why: "version 1 is fetching",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, w *wantedModel) {
				m.Waiting, w.steered = "version 1 is fetching", true
			}},
		{name: "hold not seen", gateway: gatewayWith(new, new), state: stateWaiting, why: "does not follow the override yet",
			change: func(_ *configs.GatewayStatus, _ *configs.ModelStatus, w *wantedModel) {
				w.steered, w.override = true, hold(followed.Until, followed.Weights)
			}},
		{name: "older hold", gateway: gatewayWith(new, new), state: stateWaiting, why: "still follows an older override",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, w *wantedModel) {
				m.Override = followed
				w.steered, w.override = true, hold(followed.Until, map[string]float64{"2": 100})
			}},
		{name: "released hold", gateway: gatewayWith(new, new), state: stateWaiting, why: "still follows an override that is gone",
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, w *wantedModel) {
				m.Override, w.steered = followed, true
			}},
		{name: "hold that has ended", gateway: gatewayWith(new, new), state: stateInForce,
			change: func(_ *configs.GatewayStatus, _ *configs.ModelStatus, w *wantedModel) {
				w.steered, w.override = true, hold(now, followed.Weights)
			}},
		{name: "hold is nobody's business", gateway: gatewayWith(new, new), state: stateInForce,
			change: func(_ *configs.GatewayStatus, m *configs.ModelStatus, _ *wantedModel) { m.Override = followed }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := wantedModel{digest: configs.EntryDigest([]byte(new)), doc: doc}
			if c.change != nil {
				m := c.gateway.Models["mozart"]
				c.change(&c.gateway, &m, &want)
				if c.gateway.Models != nil {
					c.gateway.Models["mozart"] = m
				}
			}
			got := judge(c.gateway, "mozart", want, now)
			if want := (standing{"gw-1", "mozart", c.state, c.why}); got != want {
				t.Errorf("judged %+v, want %+v", got, want)
			}
		})
	}
}

func TestWaitingEndsAsSoonAsAllOrOneHasDecided(t *testing.T) {
	t.Parallel()
	before, after := mozart(`{"1": 100}`), mozart(`{"1": 50, "2": 50}`)
	refusing := gatewayWith(before, after)
	refusing.Models["mozart"] = configs.ModelStatus{WantedDigest: configs.EntryDigest([]byte(after)), Rejected: []string{"too old"}}
	second := gatewayWith(before, before)
	second.Instance = "gw-2"
	for _, c := range []struct {
		name string
		// at is what happens when so much time has passed.
		at      map[time.Duration]func(*testing.T, *configstest.Store)
		code    int
		within  time.Duration
		message string
	}{
		{"all have it", map[time.Duration]func(*testing.T, *configstest.Store){
			2 * time.Second: func(t *testing.T, m *configstest.Store) { publish(t, m, gatewayWith(after, after)) },
		}, exitDone, 2 * time.Second, "gw-1: mozart: in force"},
		{"one refuses", map[time.Duration]func(*testing.T, *configstest.Store){
			3 * time.Second: func(t *testing.T, m *configstest.Store) { publish(t, m, refusing) },
		}, exitFailed, 3 * time.Second, "gw-1 refuses mozart: too old"},
		{"nobody moves", nil, exitFailed, time.Minute, "after 1m0s mozart is not in force everywhere: gw-1: has not seen the document yet"},
		{"one comes and lags", map[time.Duration]func(*testing.T, *configstest.Store){
			time.Second:     func(t *testing.T, m *configstest.Store) { publish(t, m, second) },
			2 * time.Second: func(t *testing.T, m *configstest.Store) { publish(t, m, gatewayWith(after, after)) },
		}, exitFailed, time.Minute, "gw-2: has not seen the document yet"},
		{"the laggard leaves", map[time.Duration]func(*testing.T, *configstest.Store){
			time.Second:      func(t *testing.T, m *configstest.Store) { publish(t, m, second) },
			2 * time.Second:  func(t *testing.T, m *configstest.Store) { publish(t, m, gatewayWith(after, after)) },
			10 * time.Second: func(_ *testing.T, m *configstest.Store) { m.Delete(configs.StatusKey("gw-2")) },
		}, exitDone, 10 * time.Second, ""},
		{"all leave", map[time.Duration]func(*testing.T, *configstest.Store){
			time.Second: func(_ *testing.T, m *configstest.Store) { m.Delete(configs.StatusKey("gw-1")) },
		}, exitFailed, time.Minute, "after 1m0s no gateway reports its status"},
		{"somebody writes another", map[time.Duration]func(*testing.T, *configstest.Store){
			time.Second: func(_ *testing.T, m *configstest.Store) { m.Set("models/mozart", before) },
		}, exitFailed, time.Second, "somebody wrote another document of mozart meanwhile"},
		{"somebody deletes it", map[time.Duration]func(*testing.T, *configstest.Store){
			time.Second: func(_ *testing.T, m *configstest.Store) { m.Delete("models/mozart") },
		}, exitFailed, time.Second, "mozart was deleted meanwhile"},
		{"Consul is away for a while", map[time.Duration]func(*testing.T, *configstest.Store){
			time.Second:     func(_ *testing.T, m *configstest.Store) { m.Fail(configs.ErrUnreachable) },
			4 * time.Second: func(t *testing.T, m *configstest.Store) { m.Fail(nil); publish(t, m, gatewayWith(after, after)) },
		}, exitDone, 4 * time.Second, "cannot be reached, trying on"},
		{"Consul stays away", map[time.Duration]func(*testing.T, *configstest.Store){
			time.Second: func(_ *testing.T, m *configstest.Store) { m.Fail(configs.ErrUnreachable) },
		}, exitUnreachable, time.Minute, "after 1m0s"},
		{"rights are lost", map[time.Duration]func(*testing.T, *configstest.Store){
			time.Second: func(_ *testing.T, m *configstest.Store) { m.Fail(configs.ErrForbidden) },
		}, exitFailed, time.Second, "permission denied"},
		{"a status is none", map[time.Duration]func(*testing.T, *configstest.Store){
			time.Second: func(_ *testing.T, m *configstest.Store) { m.Set(configs.StatusKey("gw-1"), "?") },
		}, exitFailed, time.Second, "status/gw-1: gateway status"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRun(configstest.NewStore())
			r.store.Set("models/mozart", before)
			publish(t, r.store, gatewayWith(before, before))
			start := r.now
			r.tick = func(slept time.Duration) {
				if happens := c.at[slept]; happens != nil {
					happens(t, r.store)
				}
			}
			code := r.code(t, "put", writeFile(t, "mozart.json", after), "--wait", "1m")
			if code != c.code || !strings.Contains(r.stderr.String(), c.message) {
				t.Errorf("exit code %d, want %d and %q on standard error:\n%s", code, c.code, c.message, &r.stderr)
			}
			if took := r.now.Sub(start); took != c.within {
				t.Errorf("took %s, want %s", took, c.within)
			}
		})
	}
}

func TestProgressIsALinePerGatewayAndChange(t *testing.T) {
	t.Parallel()
	before, after := mozart(`{"1": 100}`), mozart(`{"1": 50, "2": 50}`)
	r := newRun(configstest.NewStore())
	r.store.Set("models/mozart", before)
	for i := range 3 {
		status := gatewayWith(before, before)
		status.Instance = fmt.Sprintf("gw-%d", i)
		publish(t, r.store, status)
	}
	r.tick = func(slept time.Duration) {
		if i := int(slept/time.Second) - 1; slept%time.Second == 0 && i < 3 {
			status := gatewayWith(after, after)
			status.Instance = fmt.Sprintf("gw-%d", i)
			publish(t, r.store, status)
		}
	}
	if code := r.code(t, "put", writeFile(t, "mozart.json", after), "--wait", "1m"); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &r.stderr)
	}
	var lines []string
	for line := range strings.Lines(r.stderr.String()) {
		if strings.HasPrefix(line, "gw-") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	want := []string{
		"gw-0: mozart: waiting: has not seen the document yet",
		"gw-1: mozart: waiting: has not seen the document yet",
		"gw-2: mozart: waiting: has not seen the document yet",
		"gw-0: mozart: in force", "gw-1: mozart: in force", "gw-2: mozart: in force",
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("progress is\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}
