package gateway

import (
	"strings"
	"testing"
	"time"
)

// withKey are settings that close the data API: the key is "secret".
const withKey = `{"schema": 1, "keys": [{"name": "ci", "sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", "permissions": ["predict"]}]}`

func TestBadOrMissingSettingsLeaveTheLastGoodOnesAndTheirKeys(t *testing.T) {
	for name, change := range map[string]func(b *bench){
		"bad":     func(b *bench) { b.set("settings", `{"schema": 7, "colour": 1}`) },
		"slip":    func(b *bench) { b.set("settings", strings.Replace(withKey, "sha256", "sha265", 1)) },
		"missing": func(b *bench) { b.remove("settings") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.set("settings", strings.Replace(withKey, `"schema": 1`, `"schema": 1, "delete_grace": "5m", "limits": {"max_in_flight": 7}`, 1))
			b.read()
			change(b)
			b.document("mozart", "1:a", "1=100")
			b.read()
			b.read()
			table := b.r.router.load()
			if table.access.open || len(table.access.keys) != 1 || table.maxInFlight != 7 || b.r.settings.inForce.Grace() != 5*time.Minute {
				t.Errorf("table %+v, grace %v", table, b.r.settings.inForce.Grace())
			}
			b.wants("mozart", "%d 1=100a", b.store.Item("models/mozart").Index)
			if want := map[string]string{"bad": "1", "slip": "1", "missing": ""}[name]; b.metric("segue_config_rejected_total", "reason=invalid") != want {
				t.Errorf("rejected %s times, want %s", b.metric("segue_config_rejected_total", "reason=invalid"), want)
			}
		})
	}
}

func TestGoodSettingsClearTheAlarmOfBadOnes(t *testing.T) {
	b := newBench(t)
	b.read()
	b.set("settings", `{"schema": 7}`)
	b.read()
	if len(b.r.settings.problems) != 1 {
		t.Errorf("problems %q", b.r.settings.problems)
	}
	b.set("settings", minimalSettings)
	b.read()
	if len(b.r.settings.problems) != 0 {
		t.Errorf("problems %q", b.r.settings.problems)
	}
}

func TestWithoutKnowingTheKeysNothingIsOpen(t *testing.T) {
	for name, c := range map[string]struct {
		settings string
		open     bool
	}{
		"no settings":         {"", true},
		"no keys":             {minimalSettings, true},
		"keys":                {withKey, false},
		"keys and a slip":     {strings.Replace(withKey, `"schema": 1`, `"schema": 7`, 1), false},
		"a slip, and no keys": {`{"schema": 7}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.remove("settings")
			if c.settings != "" {
				b.set("settings", c.settings)
			}
			b.read()
			if got := b.r.router.load().access.open; got != c.open {
				t.Errorf("open %v, want %v", got, c.open)
			}
		})
	}
	t.Run("unreadable", func(t *testing.T) {
		b := newBench(t)
		s := b.snapshot()
		s.Settings.Value, s.Settings.Problem = nil, "permission denied"
		b.r.ingest(s)
		b.pass()
		if b.r.router.load().access.open {
			t.Error("open")
		}
	})
}
