package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

// announcer is a running Announce.
type announcer struct {
	updates chan []byte
	stop    func()
}

func announce(t *testing.T, f *Fleet, instance string) *announcer {
	t.Helper()
	a := &announcer{updates: make(chan []byte)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Announce(ctx, instance, a.updates) }()
	a.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Announce: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Announce did not end with its context")
		}
	})
	t.Cleanup(a.stop)
	return a
}

// openQuick opens a fleet whose announcements are quick.
func openQuick(t *testing.T, address string) (*Fleet, *logged) {
	f, log := open(t, address, Options{})
	f.tempo.statusEvery, f.tempo.statusJitter = 800*time.Millisecond, 100*time.Millisecond
	f.tempo.renew = 150 * time.Millisecond
	return f, log
}

func statusIs(agent *consultest.Agent, instance, value string) func() bool {
	return func() bool {
		pair, ok := agent.Get(prefix + "/status/" + instance)
		return ok && string(pair.Value) == value
	}
}

func noStatus(agent *consultest.Agent, instance string) func() bool {
	return func() bool {
		_, ok := agent.Get(prefix + "/status/" + instance)
		return !ok
	}
}

func TestAStatusIsWrittenAtOnceThenRarelyAndWithdrawn(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	proxy := consultest.NewProxy(t, agent.Addr)
	f, log := openQuick(t, proxy.Addr)
	a := announce(t, f, "g1")
	began := time.Now()
	a.updates <- []byte("1")
	eventually(t, 500*time.Millisecond, "the first value", statusIs(agent, "g1", "1"))
	for _, value := range []string{"2", "3", "4", "5"} {
		a.updates <- []byte(value)
	}
	a.updates <- bytes.Repeat([]byte("x"), configs.MaxStatusBytes+1)
	eventually(t, 2*time.Second, "the newest value", statusIs(agent, "g1", "5"))
	if took := time.Since(began); took < 800*time.Millisecond {
		t.Errorf("written again after %v", took)
	}
	if writes := proxy.RequestsTo("/v1/kv/" + prefix + "/status/g1"); writes > 20 {
		t.Errorf("%d requests for the key", writes)
	}
	if !strings.Contains(log.String(), "too large") {
		t.Errorf("the value over the limit is not mentioned:\n%s", log)
	}

	var sessions []map[string]any
	if err := json.Unmarshal(agent.Call("GET", "/v1/session/list", nil), &sessions); err != nil || len(sessions) != 1 {
		t.Fatalf("sessions %v, %v", sessions, err)
	}
	s := sessions[0]
	if checks, _ := s["NodeChecks"].([]any); s["TTL"] != "30s" || s["Behavior"] != "delete" || s["LockDelay"] != float64(0) || len(checks) != 0 {
		t.Errorf("session %v; want TTL 30s, delete, no lock delay, no node checks", s)
	}
	a.stop()
	if !noStatus(agent, "g1")() {
		t.Error("the status is there after the end")
	}
	if err := json.Unmarshal(agent.Call("GET", "/v1/session/list", nil), &sessions); err != nil || len(sessions) != 0 {
		t.Errorf("sessions after the end: %v, %v", sessions, err)
	}
}

func TestASecondHolderGetsASuffixUntilTheNameIsFree(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	one, _ := openQuick(t, agent.Addr)
	two, log := openQuick(t, agent.Addr)
	var mu sync.Mutex
	written := map[string]int{}
	two.onWrite = func(kind, outcome string) {
		mu.Lock()
		defer mu.Unlock()
		written[kind+" "+outcome]++
	}
	first, second := announce(t, one, "g"), announce(t, two, "g")
	first.updates <- []byte("one")
	eventually(t, time.Second, "the first holder", statusIs(agent, "g", "one"))
	second.updates <- []byte("two")
	eventually(t, time.Second, "the second holder", statusIs(agent, "g-2", "two"))
	if !strings.Contains(log.String(), "another gateway has this instance name") {
		t.Errorf("no warning:\n%s", log)
	}
	if !statusIs(agent, "g", "one")() {
		t.Error("the first holder lost its name")
	}
	mu.Lock()
	if written["status conflict"] == 0 || written["status ok"] != 1 || written["status error"] != 0 {
		t.Errorf("writes told: %v", written)
	}
	mu.Unlock()
	first.stop()
	eventually(t, 2*time.Second, "the second under the bare name", statusIs(agent, "g", "two"))
	eventually(t, time.Second, "the suffix given up", noStatus(agent, "g-2"))
}

func TestAStatusComesBackAfterItsSessionItsKeyOrConsulWasLost(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	f, _ := openQuick(t, agent.Addr)
	a := announce(t, f, "g1")
	a.updates <- []byte("1")
	eventually(t, time.Second, "the first value", statusIs(agent, "g1", "1"))

	pair, _ := agent.Get(prefix + "/status/g1")
	agent.Call("PUT", "/v1/session/destroy/"+pair.Session, nil)
	eventually(t, 2*time.Second, "after the session was lost", statusIs(agent, "g1", "1"))
	if again, _ := agent.Get(prefix + "/status/g1"); again.Session == pair.Session {
		t.Error("the session was not lost")
	}

	agent.Delete(prefix + "/status/g1")
	eventually(t, 2*time.Second, "after the key was lost", statusIs(agent, "g1", "1"))

	agent.Kill()
	a.updates <- []byte("2")
	time.Sleep(400 * time.Millisecond)
	agent.RestartEmpty()
	eventually(t, 5*time.Second, "after Consul was lost", statusIs(agent, "g1", "2"))

	pair, _ = agent.Get(prefix + "/status/g1")
	a.updates <- []byte("3")
	agent.Call("PUT", "/v1/session/destroy/"+pair.Session, nil)
	eventually(t, 3*time.Second, "a write with a session that was lost", statusIs(agent, "g1", "3"))
}

func TestNothingIsAnnouncedBeforeTheFirstValue(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	proxy := consultest.NewProxy(t, agent.Addr)
	f, _ := openQuick(t, proxy.Addr)
	a := announce(t, f, "g1")
	time.Sleep(300 * time.Millisecond)
	a.stop()
	if made := proxy.Requests(); made != 0 {
		t.Errorf("%d requests without a value", made)
	}
}
