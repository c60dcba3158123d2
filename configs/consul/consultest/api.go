package consultest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// client has a connection of its own for every call: an agent that was killed
// leaves no dead ones behind.
var client = &http.Client{
	Timeout:   20 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true},
}

// Pair is one key as the agent holds it.
type Pair struct {
	Key         string
	Value       []byte
	Flags       uint64
	CreateIndex uint64
	ModifyIndex uint64
	Session     string
}

// Put writes a key, as `consul kv put` does.
func (a *Agent) Put(key, value string) {
	a.t.Helper()
	a.must("PUT", "/v1/kv/"+key, []byte(value))
}

// Delete removes a key.
func (a *Agent) Delete(key string) {
	a.t.Helper()
	a.must("DELETE", "/v1/kv/"+key, nil)
}

// DeleteTree removes all keys that start with prefix.
func (a *Agent) DeleteTree(prefix string) {
	a.t.Helper()
	a.must("DELETE", "/v1/kv/"+prefix+"?recurse", nil)
}

// Get returns a key; ok is false where there is none.
func (a *Agent) Get(key string) (pair Pair, ok bool) {
	a.t.Helper()
	pairs := a.pairs("/v1/kv/" + key + "?consistent")
	if len(pairs) == 0 {
		return Pair{}, false
	}
	return pairs[0], true
}

// List returns all keys that start with prefix, in order.
func (a *Agent) List(prefix string) []Pair {
	a.t.Helper()
	return a.pairs("/v1/kv/" + prefix + "?recurse&consistent")
}

func (a *Agent) pairs(path string) []Pair {
	a.t.Helper()
	status, body, err := a.call("GET", path, nil)
	if err == nil && status == http.StatusNotFound {
		return nil
	}
	var pairs []Pair
	if err == nil && status == http.StatusOK {
		err = json.Unmarshal(body, &pairs)
	}
	if err != nil || status != http.StatusOK {
		a.t.Fatalf("GET %s: status %d, %v: %s", path, status, err, body)
	}
	return pairs
}

// NewToken makes an ACL token with the given rules (HCL) and returns it.
func (a *Agent) NewToken(name, rules string) string {
	a.t.Helper()
	a.SetRules(name, rules)
	var token struct{ SecretID string }
	body := a.must("PUT", "/v1/acl/token", []byte(jsonText(map[string]any{"Policies": []any{map[string]string{"Name": name}}})))
	if err := json.Unmarshal(body, &token); err != nil {
		a.t.Fatalf("token %s: %v", name, err)
	}
	return token.SecretID
}

// SetRules makes the ACL policy of that name, or changes it: all tokens that
// NewToken made under the name follow.
func (a *Agent) SetRules(name, rules string) {
	a.t.Helper()
	policy := map[string]any{"Name": name, "Rules": rules}
	status, body, err := a.call("GET", "/v1/acl/policy/name/"+name, nil)
	if err != nil {
		a.t.Fatalf("policy %s: %v", name, err)
	}
	path := "/v1/acl/policy"
	if status == http.StatusOK {
		var known struct{ ID string }
		if err := json.Unmarshal(body, &known); err != nil {
			a.t.Fatalf("policy %s: %v", name, err)
		}
		path += "/" + known.ID
	}
	a.must("PUT", path, []byte(jsonText(policy)))
}

// Backup returns a snapshot of the whole cluster, for Restore.
func (a *Agent) Backup() []byte {
	a.t.Helper()
	return a.must("GET", "/v1/snapshot", nil)
}

// Restore puts the running cluster back to a snapshot: its keys have older
// indexes again, its connections stay.
func (a *Agent) Restore(backup []byte) {
	a.t.Helper()
	a.must("PUT", "/v1/snapshot", backup)
}

// Call asks the HTTP API with the agent's own token and returns the body. It
// fails the test unless the answer is 200.
func (a *Agent) Call(method, path string, body []byte) []byte {
	a.t.Helper()
	return a.must(method, path, body)
}

// EncodeValue is how values stand in bodies of transactions.
func EncodeValue(value string) string {
	return base64.StdEncoding.EncodeToString([]byte(value))
}

func (a *Agent) must(method, path string, body []byte) []byte {
	a.t.Helper()
	status, answer, err := a.call(method, path, body)
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	if status != http.StatusOK {
		a.t.Fatalf("%s %s: status %d: %s", method, path, status, answer)
	}
	return answer
}

func (a *Agent) call(method, path string, body []byte) (int, []byte, error) {
	request, err := http.NewRequest(method, "http://"+a.Addr+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if a.Token != "" {
		request.Header.Set("X-Consul-Token", a.Token)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", err)
	}
	return response.StatusCode, answer, nil
}
