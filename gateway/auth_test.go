package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/segue-serving/segue/configs"
)

func keyOf(secret string, models []string, permissions ...string) configs.Key {
	sum := sha256.Sum256([]byte(secret))
	return configs.Key{Name: secret, SHA256: hex.EncodeToString(sum[:]), Permissions: permissions, Models: models}
}

func mustAccess(t *testing.T, s *configs.Settings) *access {
	t.Helper()
	a, err := newAccess(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhereKeysAreConfiguredEveryRouteIsClosedUntilOpened(t *testing.T) {
	g := newTestGateway(t)
	table := *g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()}), g.model("haydn", version{name: "1", weight: 1, model: doubler()}))
	table.access = mustAccess(t, &configs.Settings{Public: []string{"health"}, Keys: []configs.Key{
		keyOf("predict", nil, "predict"), keyOf("metadata", nil, "metadata"), keyOf("health", nil, "health"), keyOf("feedback", nil, "feedback"),
		keyOf("admin", nil, "admin"), keyOf("haydn", []string{"haydn"}, "predict", "feedback"), keyOf("nothing", nil),
	}})
	g.router.publish(&table)
	closed := table
	closed.access = mustAccess(t, &configs.Settings{Keys: []configs.Key{keyOf("predict", nil, "predict"), keyOf("health", nil, "health")}})
	// What each key gets on each kind of route, in the order of keys.
	keys := []string{"", "wrong", "predict", "metadata", "health", "feedback", "admin", "haydn", "nothing"}
	for _, c := range []struct {
		method, path, body string
		want               [9]int
	}{
		{"POST", infer, rowsOf(1), [9]int{401, 401, 200, 403, 403, 403, 403, 403, 403}},
		{"POST", "/v2/models/haydn/infer", rowsOf(1), [9]int{401, 401, 200, 403, 403, 403, 403, 200, 403}},
		{"POST", predict, instances, [9]int{401, 401, 200, 403, 403, 403, 403, 403, 403}},
		{"GET", "/v2", "", [9]int{401, 401, 200, 200, 403, 403, 403, 200, 403}},
		{"GET", "/v2/models/mozart", "", [9]int{401, 401, 200, 200, 403, 403, 403, 403, 403}},
		{"GET", "/v2/models/mozart/config", "", [9]int{401, 401, 200, 200, 403, 403, 403, 403, 403}},
		{"GET", "/v1/models", "", [9]int{401, 401, 200, 200, 403, 403, 403, 200, 403}},
		{"POST", "/v2/repository/index", "", [9]int{401, 401, 200, 200, 403, 403, 403, 200, 403}},
		{"GET", "/v2/health/live", "", [9]int{200, 200, 200, 200, 200, 200, 200, 200, 200}},
		{"GET", "/v2/models/mozart/ready", "", [9]int{200, 200, 200, 200, 200, 200, 200, 200, 200}},
		{"POST", "/v2/models/mozart/feedback", "{}", [9]int{401, 401, 403, 403, 403, 400, 403, 403, 403}},
		{"POST", "/v2/repository/models/mozart/load", "", [9]int{401, 401, 403, 403, 403, 403, 403, 403, 403}},
		{"GET", "/v9/unknown", "", [9]int{401, 401, 404, 404, 404, 404, 404, 404, 404}},
		{"GET", infer, "", [9]int{401, 401, 405, 403, 403, 403, 403, 403, 403}},
		{"POST", "/v2/models/unknown/infer", "{}", [9]int{401, 401, 404, 403, 403, 403, 403, 403, 403}},
	} {
		for i, key := range keys {
			var headers []string
			if key != "" {
				headers = []string{"Authorization: Bearer " + key}
			}
			got := g.send(c.method, c.path, c.body, headers...)
			if got.status != c.want[i] {
				t.Errorf("%s %s with the key %q: %d, want %d", c.method, c.path, key, got.status, c.want[i])
			}
			if challenge := got.header.Get("WWW-Authenticate"); (got.status == 401) != strings.HasPrefix(challenge, "Bearer") {
				t.Errorf("%d with WWW-Authenticate %q", got.status, challenge)
			}
		}
	}
	g.router.publish(&closed)
	g.send("GET", "/v2/health/ready", "").want(t, 401, `{"error":"this route needs an API key: send the header Authorization: Bearer <key>"}`)
	g.send("GET", "/v2/health/ready", "", "Authorization: bearer health").want(t, 200, `{"ready":true}`)
}

func TestAKeyForOneModelSeesNoOther(t *testing.T) {
	g := newTestGateway(t)
	table := *g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()}), g.model("haydn", version{name: "1", weight: 1, model: doubler()}))
	table.access = mustAccess(t, &configs.Settings{Keys: []configs.Key{keyOf("k", []string{"haydn"}, "predict")}})
	g.router.publish(&table)
	const key = "Authorization: Bearer k"
	g.send("GET", "/v1/models", "", key).want(t, 200, `{"models":["haydn"]}`)
	g.send("POST", "/v2/repository/index", "", key).want(t, 200, `[{"name":"haydn","version":"1","state":"READY","reason":""}]`)
	if got := g.send("GET", "/v2/models/stats", "", key); got.status != 200 || strings.Contains(got.body, "mozart") {
		t.Errorf("%d %s", got.status, got.body)
	}
	g.send("GET", "/v2/models/mozart", "", key).want(t, 403, `{"error":"the API key has no permission for this model"}`)
}

func TestRefusalsOfTheGateAreCountedByReason(t *testing.T) {
	g := newTestGateway(t)
	table := *g.mozart()
	table.access = mustAccess(t, &configs.Settings{Keys: []configs.Key{keyOf("k", []string{"mozart"}, "metadata")}})
	g.router.publish(&table)
	for _, c := range []struct{ authorization, path, reason string }{
		{"", "/v2", "missing"}, {"Basic abc", "/v2", "malformed"}, {"Bearer", "/v2", "malformed"}, {"Bearer  ", "/v2", "malformed"},
		{"Bearer a b", "/v2", "malformed"}, {"Bearer x", "/v2", "unknown"}, {"Bearer k", "/v2/health/live", "permission"}, {"Bearer k", "/v2/models/haydn", "model"},
	} {
		i := slices.Index(denialReasons[:], c.reason)
		before := g.metrics.denied[i].Load()
		g.send("GET", c.path, "", "Authorization: "+c.authorization)
		if g.metrics.denied[i].Load() != before+1 {
			t.Errorf("%q to %s is not counted as %s", c.authorization, c.path, c.reason)
		}
	}
	for _, d := range denials {
		if slices.Index(denialReasons[:], d.reason) < 0 {
			t.Errorf("the reason %s is no label", d.reason)
		}
	}
}

func TestSettingsWithKeysThatCannotBeRightAreRefused(t *testing.T) {
	good := keyOf("k", nil, "predict")
	for want, s := range map[string]*configs.Settings{
		"keys[0].sha256: want 64 hexadecimal digits":            {Keys: []configs.Key{{Name: "k", SHA256: "abc"}}},
		`keys[1].permissions[0]: unknown permission "root"`:     {Keys: []configs.Key{good, keyOf("l", nil, "root")}},
		`public[0]: unknown group "predict", want health or me`: {Keys: []configs.Key{good}, Public: []string{"predict"}},
	} {
		if _, err := newAccess(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for name, s := range map[string]*configs.Settings{"none": nil, "without keys": {}} {
		if a := mustAccess(t, s); !a.open {
			t.Errorf("settings %s: the data API is closed", name)
		}
	}
}
