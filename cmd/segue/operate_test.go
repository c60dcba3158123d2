package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

// withKey are settings with one key, "secret", that may predict and operate.
const withKey = `{"schema": 1, "keys": [{"name": "ci", "sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b", "permissions": ["predict", "admin"]}]}`

// seguectl runs the operator's tool on the fleet's configuration.
func (f *fleet) seguectl(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(seguetest.Binary(t, "seguectl"), append(args, "--config", "consul://"+f.agent.Addr+"/segue/test")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("seguectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// code waits until a path of the data API answers with a status.
func (f *fleet) code(t testing.TB, path string, want int) {
	t.Helper()
	seguetest.Eventually(t, 5*time.Second, fmt.Sprintf("%s answers %d", path, want), func() error {
		if a := f.Get(t, path); a.Code != want {
			return fmt.Errorf("%d %s", a.Code, a.Body)
		}
		return nil
	})
}

// still checks that paths answer 200 now.
func (f *fleet) still(t testing.TB, when string, models ...string) {
	t.Helper()
	for _, model := range models {
		if a := f.Get(t, "/v2/models/"+model+"/ready"); a.Code != http.StatusOK {
			t.Errorf("%s: %s answers %d %s", when, model, a.Code, a.Body)
		}
	}
}

// pastGrace is longer than the grace of the settings of these tests.
const pastGrace = 1500 * time.Millisecond

func TestModelsGoOnlyByTheRulesOfDeletion(t *testing.T) {
	f := startFleet(t, mozart(t, map[string]int{"1": 100}))
	f.agent.Put(prefix+"models/wine", example(t, "wine"))
	f.agent.Put(prefix+"models/recommender", example(t, "recommender"))
	f.code(t, "/v2/models/wine/ready", http.StatusOK)
	f.code(t, "/v2/models/recommender/ready", http.StatusOK)

	// A deletion has a grace, which a return of the key ends.
	f.agent.Delete(prefix + "models/wine")
	seguetest.Eventually(t, time.Second, "status says when wine goes", func() error {
		if d := f.Status(t).Models["wine"].Deleting; d == nil {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	f.still(t, "within the grace", "wine")
	f.agent.Put(prefix+"models/wine", example(t, "wine"))
	time.Sleep(pastGrace)
	f.still(t, "after it came back", "wine", "recommender", "mozart")
	start := time.Now()
	f.agent.Delete(prefix + "models/wine")
	f.code(t, "/v2/models/wine/ready", http.StatusNotFound)
	if took := time.Since(start); took < time.Second {
		t.Errorf("wine went after %s, its grace is 1s", took)
	}

	// Without the sentinel no deletion counts.
	settings, _ := f.agent.Get(prefix + "settings")
	f.agent.Delete(prefix + "settings")
	f.agent.Delete(prefix + "models/recommender")
	wantMetric(t, f.Gateway, "segue_config_sentinel_present", "0")
	time.Sleep(pastGrace)
	f.still(t, "without settings", "recommender", "mozart")
	f.agent.Put(prefix+"models/recommender", example(t, "recommender"))
	f.agent.Put(prefix+"settings", string(settings.Value))
	wantMetric(t, f.Gateway, "segue_config_sentinel_present", "1")

	// Most at once go only by their names.
	f.agent.DeleteTree(prefix + "models/")
	time.Sleep(pastGrace)
	f.still(t, "after all keys were deleted", "recommender", "mozart")
	if w := f.Status(t).Models["mozart"].Waiting; !strings.Contains(w, "deleted by name") {
		t.Errorf("status says %q", w)
	}
	f.seguectl(t, "delete", "mozart", "recommender", "--yes", "--reason", "no longer used")
	f.code(t, "/v2/models/mozart/ready", http.StatusNotFound)
	f.code(t, "/v2/models/recommender/ready", http.StatusNotFound)
	if _, ok := f.Metric(t, `segue_config_index{model="mozart"}`); ok {
		t.Error("a deleted model has an index")
	}
}

func TestHoldsAndFreezesStandAgainstDocuments(t *testing.T) {
	f := startFleet(t, mozart(t, map[string]int{"1": 100, "2": 0}))
	body := seguetest.Goldens(t, manifestOf(t, "mozart", "1"))[0].Request(t)
	answers := func(what, version string) seguetest.Answer {
		t.Helper()
		var a seguetest.Answer
		seguetest.Eventually(t, 5*time.Second, what, func() error {
			if a = f.Infer(t, "mozart", body, nil); a.Version() != version {
				return fmt.Errorf("%d from version %q", a.Code, a.Version())
			}
			return nil
		})
		return a
	}
	f.seguectl(t, "weights", "mozart", "2=100", "--hold", "1h", "--reason", "version 1 times out", "--yes")
	a := answers("the hold", "2")
	hold, _ := f.agent.Get(prefix + "overrides/mozart")
	if got := a.Header.Get("Segue-Config-Index"); got != strconv.FormatUint(hold.ModifyIndex, 10) {
		t.Errorf("Segue-Config-Index is %s, the hold is at %d", got, hold.ModifyIndex)
	}
	wantMetric(t, f.Gateway, `segue_override_active{kind="hold",model="mozart"}`, "1")
	took := f.change(t, mozart(t, map[string]int{"1": 90, "2": 10}), body)
	t.Logf("a document under a hold was in force after %s", took)
	answers("the hold, whatever the document says", "2")
	wantMetric(t, f.Gateway, `segue_route_weight_ratio{model="mozart",version="2"}`, "1")
	f.seguectl(t, "release", "mozart", "--yes")
	wantMetric(t, f.Gateway, `segue_route_weight_ratio{model="mozart",version="2"}`, "0.1")

	// A hold ends by itself, and its key goes.
	f.seguectl(t, "weights", "mozart", "2=100", "--hold", "2s", "--reason", "shortly", "--yes")
	answers("the short hold", "2")
	seguetest.Eventually(t, 5*time.Second, "the hold's key is gone", func() error {
		if pair, ok := f.agent.Get(prefix + "overrides/mozart"); ok {
			return fmt.Errorf("%s", pair.Value)
		}
		return nil
	})
	wantMetric(t, f.Gateway, `segue_route_weight_ratio{model="mozart",version="1"}`, "0.9")
	wantMetric(t, f.Gateway, `segue_consul_writes_total{kind="overrides",outcome="ok"}`, "1")

	f.seguectl(t, "freeze", "--yes")
	wantMetric(t, f.Gateway, "segue_config_frozen", "1")
	f.agent.Put(prefix+"models/mozart", mozart(t, map[string]int{"1": 0, "2": 100}))
	seguetest.Eventually(t, 5*time.Second, "status says that the document is not taken", func() error {
		if w := f.Status(t).Models["mozart"].Waiting; !strings.Contains(w, "freeze") {
			return fmt.Errorf("%q", w)
		}
		return nil
	})
	wantMetric(t, f.Gateway, `segue_route_weight_ratio{model="mozart",version="1"}`, "0.9")
	f.seguectl(t, "unfreeze", "--yes")
	answers("after the freeze", "2")
}

func TestDirectWritesAreAuditedAndMeasured(t *testing.T) {
	first := mozart(t, map[string]int{"1": 100})
	f := startFleet(t, first)
	written, _ := f.agent.Get(prefix + "models/mozart")
	f.agent.Put(prefix+"models/mozart", `{"model": "mozart", "colour": 1}`)
	refused, _ := f.agent.Get(prefix + "models/mozart")
	var records []configs.AuditRecord
	audited := func() error {
		records = nil
		for _, pair := range f.agent.List(prefix + "audit/mozart/") {
			if !regexp.MustCompile(`^` + prefix + `audit/mozart/\d{20}-document$`).MatchString(pair.Key) {
				return fmt.Errorf("key %s", pair.Key)
			}
			var r configs.AuditRecord
			if err := json.Unmarshal(pair.Value, &r); err != nil {
				return err
			}
			records = append(records, r)
		}
		if len(records) != 2 {
			return fmt.Errorf("%d records", len(records))
		}
		return nil
	}
	seguetest.Eventually(t, 5*time.Second, "both writes are in the audit", audited)
	if r := records[0]; r.Index != written.ModifyIndex || r.Document != first || r.Who.User != configs.DirectWriter || r.Outcome != "accepted" {
		t.Errorf("first record %+v", r)
	}
	if r := records[1]; r.Index != refused.ModifyIndex || r.BeforeDigest != configs.EntryDigest([]byte(first)) ||
		!strings.HasPrefix(r.Outcome, "refused: ") || !strings.Contains(r.Outcome, "colour") {
		t.Errorf("second record %+v", r)
	}
	for series, want := range map[string]string{
		`segue_config_index{model="mozart"}`:                  strconv.FormatUint(written.ModifyIndex, 10),
		`segue_config_last_reload_successful{model="mozart"}`: "0",
		`segue_config_rejected_total{reason="invalid"}`:       "1",
		"segue_config_source_connected":                       "1",
		"segue_config_sentinel_present":                       "1",
		"segue_config_from_last_good":                         "0",
		"segue_config_frozen":                                 "0",
		"segue_config_apply_duration_seconds_count":           "1",
	} {
		wantMetric(t, f.Gateway, series, want)
	}
	for _, series := range []string{"segue_config_last_contact_timestamp_seconds", `segue_config_last_change_timestamp_seconds{model="mozart"}`} {
		value, _ := f.Metric(t, series)
		at, err := strconv.ParseFloat(value, 64)
		if age := float64(time.Now().UnixMilli())/1e3 - at; err != nil || age < 0 || age > 60 {
			t.Errorf("%s is %q, %.1f s ago", series, value, age)
		}
	}

	// A gateway that starts anew, knowing nothing, records nothing again.
	keys := len(f.agent.List(prefix + "audit/"))
	f.Kill()
	f.Gateway = seguetest.Start(t, seguetest.Config{Source: "consul://" + f.agent.Addr + "/segue/test", NotReady: true})
	seguetest.Eventually(t, 10*time.Second, "the refused document is seen", func() error {
		a, err := seguetest.Do(http.MethodGet, f.AdminURL+"/status", nil, nil)
		if err == nil && !strings.Contains(string(a.Body), "colour") {
			err = fmt.Errorf("%s", a.Body)
		}
		return err
	})
	wantMetric(t, f.Gateway, `segue_consul_writes_total{kind="audit",outcome="conflict"}`, "1")
	if now := len(f.agent.List(prefix + "audit/")); now != keys {
		t.Errorf("%d records after a restart, before %d", now, keys)
	}
}

// session is what Consul knows of a session.
type session struct {
	TTL, Behavior string
	LockDelay     time.Duration
	NodeChecks    []string
}

func TestAGatewayIsSeenForAsLongAsItLives(t *testing.T) {
	t.Parallel() // it mostly waits
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(prefix+"settings", `{"schema": 1}`)
	agent.Put(prefix+"models/mozart", mozart(t, map[string]int{"1": 100}))
	start := func() *fleet {
		return &fleet{seguetest.Start(t, seguetest.Config{
			Source: "consul://" + agent.Addr + "/segue/test", Args: []string{"--instance", "gw", "--shutdown-delay", "2s"},
		}), agent}
	}
	status := func(key string, complete bool) (pair consultest.Pair) {
		t.Helper()
		seguetest.Eventually(t, 15*time.Second, key+" shows a gateway", func() error {
			var ok bool
			if pair, ok = agent.Get(prefix + "status/" + key); !ok {
				return fmt.Errorf("there is no such key")
			}
			s, err := configs.ParseStatus(pair.Value)
			if err != nil || s.Instance != "gw" || complete && (!s.Ready || s.Models["mozart"].Index == 0) {
				return fmt.Errorf("%s %v", pair.Value, err)
			}
			return nil
		})
		return pair
	}
	one := start()
	pair := status("gw", false)
	var sessions []session
	if err := json.Unmarshal(agent.Call("GET", "/v1/session/info/"+pair.Session, nil), &sessions); err != nil || len(sessions) != 1 {
		t.Fatalf("session %q: %v", pair.Session, err)
	}
	if s := sessions[0]; s.TTL != "30s" || s.Behavior != "delete" || s.LockDelay != 0 || len(s.NodeChecks) != 0 {
		t.Errorf("session %+v", s)
	}
	if len(pair.Value) > configs.MaxStatusBytes {
		t.Errorf("%d bytes of status", len(pair.Value))
	}
	two := start()
	status("gw-2", false)
	if !strings.Contains(two.Log(), "another gateway has this instance name") {
		t.Error("the second holder of a name is not warned")
	}

	services := func() (found map[string]struct{ Service string }) {
		t.Helper()
		if err := json.Unmarshal(agent.Call("GET", "/v1/agent/services", nil), &found); err != nil {
			t.Fatal(err)
		}
		return found
	}
	seguetest.Eventually(t, 5*time.Second, "both are in the catalogue", func() error {
		if found := services(); len(found) != 2 {
			return fmt.Errorf("%v", found)
		}
		return nil
	})
	var checks map[string]struct{ ServiceName, Status string }
	seguetest.Eventually(t, 15*time.Second, "both checks pass", func() error {
		checks = nil
		if err := json.Unmarshal(agent.Call("GET", "/v1/agent/checks", nil), &checks); err != nil || len(checks) != 2 {
			return fmt.Errorf("%v %v", checks, err)
		}
		for _, c := range checks {
			if c.ServiceName != "segue" || c.Status != "passing" {
				return fmt.Errorf("%+v", c)
			}
		}
		return nil
	})

	// What changed is shown at most every ten seconds.
	status("gw", true)

	// The catalogue knows before the draining begins, while requests are
	// still answered.
	one.Signal(t, syscall.SIGTERM)
	seguetest.Eventually(t, time.Second, "one is out of the catalogue", func() error {
		if found := services(); len(found) != 1 {
			return fmt.Errorf("%v", found)
		}
		return nil
	})
	one.still(t, "while shutting down", "mozart")
	if code := one.Wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit code %d\n%s", code, one.Log())
	}
	if _, ok := agent.Get(prefix + "status/gw"); ok {
		t.Error("the status is still there after the end")
	}
}

func TestKeysInSettingsCloseEveryRoute(t *testing.T) {
	f := startFleet(t, mozart(t, map[string]int{"1": 100}))
	body := seguetest.Goldens(t, manifestOf(t, "mozart", "1"))[0].Request(t)
	key := map[string]string{"Authorization": "Bearer secret"}
	if a := f.Infer(t, "mozart", body, nil); a.Code != http.StatusOK {
		t.Fatalf("without keys: %d", a.Code)
	}
	f.agent.Put(prefix+"settings", withKey)
	f.code(t, "/v2/health/ready", http.StatusUnauthorized)
	closed := func(when string) {
		t.Helper()
		for _, path := range []string{"/v2", "/v2/health/live", "/v2/models/mozart", "/v2/models/mozart/stats", "/v1/models", "/nowhere"} {
			if a := f.Get(t, path); a.Code != http.StatusUnauthorized {
				t.Errorf("%s: %s answers %d without a key", when, path, a.Code)
			}
		}
		if a := f.Infer(t, "mozart", body, nil); a.Code != http.StatusUnauthorized {
			t.Errorf("%s: a prediction without a key: %d", when, a.Code)
		}
		if a := f.Infer(t, "mozart", body, key); a.Code != http.StatusOK {
			t.Errorf("%s: a prediction with the key: %d %s", when, a.Code, a.Body)
		}
	}
	closed("with keys")
	f.agent.Put(prefix+"settings", `{"schema": 1, "keys": [{"name": "ci"}]}`)
	wantMetric(t, f.Gateway, `segue_config_rejected_total{reason="invalid"}`, "1")
	closed("with bad settings")
	f.agent.Delete(prefix + "settings")
	wantMetric(t, f.Gateway, "segue_config_sentinel_present", "0")
	closed("without settings")
	f.agent.Put(prefix+"settings", `{"schema": 1}`)
	f.code(t, "/v2/health/ready", http.StatusOK)
}
