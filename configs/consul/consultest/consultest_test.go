package consultest_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs/consul/consultest"
)

func TestPersistentAgentKeepsItsDataUntilRestartedEmpty(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{Persistent: true})
	agent.Put("kept", "one")
	agent.Stop()
	older := agent.CopyData()
	agent.Restart()
	if pair, ok := agent.Get("kept"); !ok || string(pair.Value) != "one" {
		t.Fatalf("after Restart: %+v, %v; want the value back", pair, ok)
	}
	agent.Put("kept", "two")
	agent.RestartFrom(older)
	if pair, _ := agent.Get("kept"); string(pair.Value) != "one" {
		t.Fatalf("after RestartFrom: %q, want the older value", pair.Value)
	}
	address := agent.Addr
	agent.RestartEmpty()
	if _, ok := agent.Get("kept"); ok || agent.Addr != address {
		t.Fatalf("after RestartEmpty: key present %v, address %s, was %s", ok, agent.Addr, address)
	}
}

func TestDevelopmentAgentRestoresBackupsAndKnowsTokens(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{ACL: true})
	agent.Put("a", "1")
	backup := agent.Backup()
	agent.Put("a", "2")
	agent.Restore(backup)
	if pair, _ := agent.Get("a"); string(pair.Value) != "1" {
		t.Fatalf("after Restore: %q, want 1", pair.Value)
	}
	if token := agent.NewToken("reader", `key_prefix "" { policy = "read" }`); token == "" || token == agent.Token {
		t.Fatalf("token %q", token)
	}
	agent.Kill()
	agent.Restart()
	if pairs := agent.List(""); len(pairs) != 0 {
		t.Fatalf("a development agent kept %d keys", len(pairs))
	}
}

func TestProxyDoesWhatTheFaultSays(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put("a", "1")
	proxy := consultest.NewProxy(t, agent.Addr)
	get := func() (*http.Response, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, "GET", "http://"+proxy.Addr+"/v1/kv/a?raw", nil)
		if err != nil {
			t.Fatal(err)
		}
		// On a connection that was used before, Go's client would ask twice
		// where the answer is a closed connection.
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		var body bytes.Buffer
		_, err = body.ReadFrom(response.Body)
		response.Status = body.String()
		return response, err
	}
	for _, c := range []struct {
		name  string
		fault consultest.Fault
		check func(*http.Response, error, time.Duration) bool
	}{
		{"none", consultest.Fault{}, func(r *http.Response, err error, _ time.Duration) bool {
			return err == nil && r.StatusCode == 200 && r.Status == "1"
		}},
		{"status", consultest.Fault{Status: 429, Body: "slow down"}, func(r *http.Response, err error, _ time.Duration) bool {
			return err == nil && r.StatusCode == 429 && r.Status == "slow down"
		}},
		{"latency", consultest.Fault{Latency: 120 * time.Millisecond}, func(r *http.Response, err error, d time.Duration) bool {
			return err == nil && r.StatusCode == 200 && d >= 120*time.Millisecond
		}},
		{"close", consultest.Fault{Close: true}, func(_ *http.Response, err error, d time.Duration) bool {
			return err != nil && d < 400*time.Millisecond
		}},
		{"hang", consultest.Fault{Hang: true}, func(_ *http.Response, err error, _ time.Duration) bool {
			return errors.Is(err, context.DeadlineExceeded)
		}},
		{"index", consultest.Fault{Index: 3}, func(r *http.Response, err error, _ time.Duration) bool {
			return err == nil && r.Header.Get("X-Consul-Index") == "3"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxy.Set(c.fault)
			started := time.Now()
			response, err := get()
			if !c.check(response, err, time.Since(started)) {
				t.Fatalf("after %v: %+v, %v", time.Since(started), response, err)
			}
		})
	}
	if got := proxy.RequestsTo("/v1/kv/a"); got != 6 || proxy.Requests() != 6 {
		t.Errorf("counted %d and %d requests, want 6", got, proxy.Requests())
	}
}
