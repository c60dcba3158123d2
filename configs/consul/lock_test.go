package consul

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs/consul/consultest"
)

const lockKey = prefix + "/locks/resolve"

// holding is a process that holds a lock again and again until it is stopped.
type holding struct {
	in, out chan struct{}
	stop    func()
}

func hold(t *testing.T, f *Fleet) *holding {
	t.Helper()
	h := &holding{in: make(chan struct{}, 10), out: make(chan struct{}, 10)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- f.Hold(ctx, "resolve", func(ctx context.Context) error {
			h.in <- struct{}{}
			<-ctx.Done()
			h.out <- struct{}{}
			return ctx.Err()
		})
	}()
	h.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("Hold: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Hold did not end with its context")
		}
	})
	t.Cleanup(h.stop)
	return h
}

func within(t *testing.T, d time.Duration, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(d):
		t.Fatalf("%s: not within %v", what, d)
	}
}

func TestOneGatewayAtATimeHoldsALockAndTheNextHasItWhenItIsGivenBack(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	one, _ := open(t, agent.Addr, Options{})
	two, _ := open(t, agent.Addr, Options{})
	first := hold(t, one)
	within(t, 3*time.Second, "the first holder", first.in)
	second := hold(t, two)
	select {
	case <-second.in:
		t.Fatal("two hold the lock")
	case <-time.After(700 * time.Millisecond):
	}
	var sessions []map[string]any
	if err := json.Unmarshal(agent.Call("GET", "/v1/session/list", nil), &sessions); err != nil || len(sessions) != 1 {
		t.Fatalf("sessions %v, %v; want only the holder's", sessions, err)
	}
	s := sessions[0]
	if checks, _ := s["NodeChecks"].([]any); s["TTL"] != "15s" || s["Behavior"] != "delete" || s["LockDelay"] != float64(0) || len(checks) != 0 {
		t.Errorf("session %v; want TTL 15s, delete, no lock delay, no node checks", s)
	}
	if pair, _ := agent.Get(lockKey); !json.Valid([]byte(pair.Value)) || !strings.Contains(string(pair.Value), `"pid"`) {
		t.Errorf("the key says %s", pair.Value)
	}
	first.stop()
	within(t, 3*time.Second, "the second holder", second.in)
	second.stop()
	if _, there := agent.Get(lockKey); there {
		t.Error("the key is there after the last holder")
	}
}

func TestALostLockEndsItsWorkAndIsTakenAgain(t *testing.T) {
	for name, lose := range map[string]func(agent *consultest.Agent, session string){
		"its session ended": func(agent *consultest.Agent, session string) {
			agent.Call("PUT", "/v1/session/destroy/"+session, nil)
		},
		"its key was deleted": func(agent *consultest.Agent, _ string) { agent.Delete(lockKey) },
	} {
		t.Run(name, func(t *testing.T) {
			agent := consultest.Start(t, consultest.Options{})
			f, log := open(t, agent.Addr, Options{})
			h := hold(t, f)
			within(t, 3*time.Second, "the lock", h.in)
			pair, _ := agent.Get(lockKey)
			lose(agent, pair.Session)
			within(t, 10*time.Second, "the end of its work", h.out)
			within(t, 5*time.Second, "the lock again", h.in)
			if !strings.Contains(log.String(), "lock lost") {
				t.Errorf("not said:\n%s", log)
			}
		})
	}
}

func TestALockEndsBeforeItsSessionWhereConsulIsSilent(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	proxy := consultest.NewProxy(t, agent.Addr)
	f, _ := open(t, proxy.Addr, Options{})
	f.tempo.lock = 10 * time.Second
	h := hold(t, f)
	within(t, 3*time.Second, "the lock", h.in)
	began := time.Now()
	proxy.Set(consultest.Fault{Hang: true})
	within(t, 30*time.Second, "the end of its work", h.out)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("work went on for %v under a session of 10 s", took)
	}
	proxy.Set(consultest.Fault{})
	within(t, 30*time.Second, "the lock again", h.in)
}

func TestNoWorkIsDoneUnderANameThatIsNone(t *testing.T) {
	f, _ := open(t, "127.0.0.1:1", Options{})
	err := f.Hold(t.Context(), "a/b", func(context.Context) error { t.Error("fn ran"); return nil })
	if err == nil {
		t.Error("no error")
	}
}
