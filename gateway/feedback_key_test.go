package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// keyFile is the file of a feedback key, which a test writes and takes away.
type keyFile struct {
	t    *testing.T
	path string
}

func newKeyFile(t *testing.T) keyFile { return keyFile{t, filepath.Join(t.TempDir(), "key")} }

func (f keyFile) write(key string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(key), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// settings are those that name the file, with more members.
func (f keyFile) settings(more string) string {
	return `{"schema": 1, "feedback_key_file": "` + f.path + `"` + more + `}`
}

func TestTheFeedbackKeyIsFollowedAndItsLossChangesNothing(t *testing.T) {
	b, file := newBench(t), newKeyFile(t)
	file.write("0123456789abcdef\n")
	b.set("settings", file.settings(""))
	b.read()
	first := b.r.router.load().ids
	if first == nil {
		t.Fatal("the key is not read")
	}
	id := string(first.append(nil, hashNames("mozart", "1", "v1"), idNote{}, time.Now()))
	if _, err := newIDMaker([]byte("0123456789abcdef")).parse(id); err != nil {
		t.Errorf("an id is not made with the key: %v", err)
	}
	b.document("mozart", "1:a", "1=100")
	b.read()
	if b.after(feedbackKeyEvery); b.r.router.load().ids != first {
		t.Error("a key that did not change made another maker, which counts anew")
	}
	file.write("fedcba9876543210")
	b.after(feedbackKeyEvery)
	second := b.r.router.load().ids
	if second == first {
		t.Error("the new key is not read")
	}
	for _, spoil := range []func() error{func() error { file.write("short"); return nil }, func() error { return os.Remove(file.path) }} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if b.after(feedbackKeyEvery); b.r.router.load().ids != second || b.r.settings.inForce == nil {
				t.Error("a bad key took the good one's place")
			}
		}
	}
	if said := strings.Count(b.log.String(), "the key as it was"); said != 2 {
		t.Errorf("two problems are said %d times", said)
	}
	if !b.next.Equal(b.now.Add(feedbackKeyEvery)) {
		t.Errorf("the next pass is at %v", b.next)
	}
	b.set("settings", minimalSettings)
	b.read()
	if b.r.router.load().ids != nil {
		t.Error("without the setting the key is still used")
	}
}

func TestSettingsWhoseFeedbackKeyCannotBeReadAreRefusedUntilItCan(t *testing.T) {
	for name, spoil := range map[string]func(keyFile){"missing": func(keyFile) {}, "too short": func(f keyFile) { f.write("short") }} {
		t.Run(name, func(t *testing.T) {
			b, file := newBench(t), newKeyFile(t)
			b.set("settings", `{"schema": 1, "limits": {"max_in_flight": 7}}`)
			b.read()
			spoil(file)
			b.set("settings", file.settings(`, "limits": {"max_in_flight": 8}`))
			b.read()
			if table := b.r.router.load(); table.maxInFlight != 7 || table.ids != nil {
				t.Errorf("the last good settings are not in force: %+v", table)
			}
			if p := b.r.settings.problems; len(p) != 1 || !strings.HasPrefix(p[0], "feedback_key_file: ") {
				t.Errorf("problems %q", p)
			}
			b.wantsMetric("1", "segue_config_rejected_total", "reason=invalid")
			for range 3 {
				b.after(feedbackKeyEvery)
			}
			b.wantsMetric("1", "segue_config_rejected_total", "reason=invalid")
			if said := strings.Count(b.log.String(), "settings refused"); said != 1 {
				t.Errorf("one refusal is said %d times", said)
			}
			file.write("0123456789abcdef")
			b.after(feedbackKeyEvery)
			if table := b.r.router.load(); table.maxInFlight != 8 || table.ids == nil || len(b.r.settings.problems) != 0 {
				t.Errorf("the settings are not in force with their key: %+v, problems %q", table, b.r.settings.problems)
			}
		})
	}
}

func TestSettingsThatWaitForAFeedbackKeyCloseWhatTheirKeysClose(t *testing.T) {
	b, file := newBench(t), newKeyFile(t)
	b.set("settings", file.settings(strings.TrimSuffix(strings.TrimPrefix(withKey, `{"schema": 1`), "}")))
	b.read()
	if access := b.r.router.load().access; access.open || len(access.keys) != 1 {
		t.Errorf("open %v, %d keys", access.open, len(access.keys))
	}
}

func TestPredictionIDsAreMadeWithTheTablesKey(t *testing.T) {
	g := newTestGateway(t)
	keyed := *g.mozart()
	keyed.ids = newIDMaker([]byte("0123456789abcdef"))
	g.router.publish(&keyed)
	id := g.send("POST", infer, rowsOf(1)).header.Get("Segue-Prediction-Id")
	got, err := keyed.ids.parse(id)
	if err != nil || got.names != hashNames("mozart", "1", "v1") {
		t.Errorf("%q: %+v %v", id, got, err)
	}
	if _, err := g.ids.parse(id); err == nil {
		t.Error("an id with a MAC is read without the key")
	}
}
