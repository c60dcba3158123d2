package consul

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

// backWithin is how soon after Consul's return a write has to be published: the
// source tries again within a second, and the machine may have other work.
const backWithin = 5 * time.Second

func TestFaultsChangeNothingAndTheNextWriteCountsSoon(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "before")
	agent.Put(models+"b", "before")
	for _, c := range []struct {
		name  string
		fault consultest.Fault
		lasts time.Duration
		blind bool // nothing can be read while the fault lasts
		quiet bool // nothing is written while the fault lasts
	}{
		{"429", consultest.Fault{Status: http.StatusTooManyRequests, Body: "rate limit"}, 1500 * time.Millisecond, true, false},
		{"500", consultest.Fault{Status: http.StatusInternalServerError, Body: "rpc error"}, 1500 * time.Millisecond, true, false},
		{"nonsense", consultest.Fault{Status: http.StatusOK, Body: "<html>"}, 1200 * time.Millisecond, true, false},
		{"closed", consultest.Fault{Close: true}, 1500 * time.Millisecond, true, false},
		{"hangs", consultest.Fault{Hang: true}, 2500 * time.Millisecond, true, false},
		{"hangs shortly", consultest.Fault{Hang: true}, 300 * time.Millisecond, true, true},
		{"slow", consultest.Fault{Latency: 1200 * time.Millisecond}, 2500 * time.Millisecond, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			agent.Put(models+"a", "before "+c.name)
			proxy := consultest.NewProxy(t, agent.Addr)
			f, _ := open(t, proxy.Addr, Options{})
			r := run(t, f)
			r.await(5*time.Second, "the first snapshot", anything)

			proxy.Set(c.fault)
			requests := proxy.Requests()
			if c.blind {
				// Ends the watches that wait, as far as the fault does.
				if !c.quiet {
					agent.Put(models+"a", "unseen")
				}
				r.none(c.lasts, "while the fault lasts")
			} else {
				time.Sleep(c.lasts)
			}
			if c.lasts > 2*time.Second && c.blind {
				// A read that was under way tells nothing before its own time is over.
				eventually(t, f.tempo.read+5*time.Second, "not connected", func() bool { return !f.State().Connected })
			}
			if made := proxy.Requests() - requests; made > 60 {
				t.Errorf("%d requests in %v: too many for one gateway of a fleet", made, c.lasts)
			}

			proxy.Set(consultest.Fault{})
			returned := time.Now()
			agent.Put(models+"a", "after "+c.name)
			s := r.await(backWithin, "the write after the return", model("a", "after "+c.name))
			t.Logf("published %v after the return", time.Since(returned))
			if !s.Authoritative || len(s.Models) != 2 {
				t.Errorf("after the return: %s", text(s))
			}
			eventually(t, backWithin, "connected", func() bool { return f.State().Connected })
		})
	}
}

func TestASlowConsulIsStillRead(t *testing.T) {
	t.Parallel()
	slow := consultest.Fault{Latency: 1300 * time.Millisecond}
	for name, fault := range map[string]func(*http.Request) consultest.Fault{
		"everything": func(*http.Request) consultest.Fault { return slow },
		"reads only": func(r *http.Request) consultest.Fault {
			if r.URL.Path == "/v1/txn" {
				return slow
			}
			return consultest.Fault{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			agent := consultest.Start(t, consultest.Options{})
			agent.Put(settings, "{}")
			agent.Put(models+"a", "1")
			proxy := consultest.NewProxy(t, agent.Addr)
			proxy.SetFunc(fault)
			f, _ := open(t, proxy.Addr, Options{})
			r := run(t, f)
			r.await(10*time.Second, "the first snapshot", model("a", "1"))
			agent.Put(models+"a", "2")
			r.await(6*time.Second, "the change", model("a", "2"))
			time.Sleep(1500 * time.Millisecond)
			if !f.State().Connected {
				t.Errorf("state %+v", f.State())
			}
		})
	}
}

func TestSomethingElseAtTheAddressIsNoEmptyConsul(t *testing.T) {
	for name, fault := range map[string]consultest.Fault{
		"404 for all": {Status: http.StatusNotFound},
		"{} for all":  {Status: http.StatusOK, Body: "{}"},
		"[] for all":  {Status: http.StatusOK, Body: "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := consultest.NewProxy(t, "127.0.0.1:1")
			proxy.Set(fault)
			f, _ := open(t, proxy.Addr, Options{})
			r := run(t, f)
			r.none(700*time.Millisecond, "nothing that Consul said")
			if state := f.State(); state.Connected || state.Err == "" {
				t.Errorf("state %+v", state)
			}
			if a, err := f.readAll(t.Context(), consistent); err == nil {
				t.Errorf("read %+v", a)
			}
		})
	}
}

func TestConsulKilledAndRestartedEmptyDeletesNothing(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	for range 30 { // the new cluster's index must be the lower one
		agent.Put("elsewhere", "x")
	}
	agent.Put(settings, "{}")
	agent.Put(models+"a", "1")
	agent.Put(models+"b", "1")
	f, log := open(t, agent.Addr, Options{StateDir: t.TempDir()})
	r := run(t, f)
	r.await(5*time.Second, "the first snapshot", func(s configs.Snapshot) bool { return s.Authoritative && len(s.Models) == 2 })

	agent.Kill()
	eventually(t, 2*time.Second, "disconnected", func() bool { return !f.State().Connected && f.State().Err != "" })
	r.none(500*time.Millisecond, "Consul is away")

	agent.RestartEmpty()
	agent.Put(models+"a", "2")
	if s := r.await(backWithin, "the write to the new Consul", model("a", "2")); s.Authoritative {
		t.Fatalf("an empty Consul deletes: %s", text(s))
	}
	agent.Put(settings, "{}")
	if s := r.await(time.Second, "settings", func(s configs.Snapshot) bool { return s.Settings != nil }); s.Authoritative {
		t.Fatalf("settings alone delete b: %s", text(s))
	}
	if !strings.Contains(log.String(), "models/b") {
		t.Errorf("the lost key is not named:\n%s", log)
	}
	agent.Put(models+"b", "2")
	if s := r.await(time.Second, "b again", model("b", "2")); !s.Authoritative {
		t.Fatalf("all is back: %s", text(s))
	}
	agent.Delete(models + "b")
	if s := r.await(time.Second, "b deleted", lacks("b")); !s.Authoritative {
		t.Fatalf("a deletion after all was back: %s", text(s))
	}
}

func TestConsulRestartedWithAnOlderIndexDeletesNothing(t *testing.T) {
	t.Parallel()
	agent := consultest.Start(t, consultest.Options{Persistent: true})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "old")
	agent.Stop()
	older := agent.CopyData()
	agent.Restart()
	agent.Put(models+"a", "new")
	agent.Put(models+"b", "new")
	f, _ := open(t, agent.Addr, Options{})
	r := run(t, f)
	newest := r.await(5*time.Second, "the first snapshot", model("b", "new"))

	agent.Stop()
	agent.Restart()
	r.none(300*time.Millisecond, "a restart with all data")

	agent.RestartFrom(older)
	s := r.await(backWithin, "the older document", model("a", "old"))
	if s.Authoritative || s.Index >= newest.Index {
		t.Fatalf("an older Consul deletes b: before %s, after %s", text(newest), text(s))
	}
	agent.Put(models+"a", "newest")
	if s := r.await(backWithin, "the next write", model("a", "newest")); s.Authoritative {
		t.Fatalf("the next write deletes b: %s", text(s))
	}
}

func TestARestoredBackupDeletesNothing(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "old")
	backup := agent.Backup()
	agent.Put(models+"a", "new")
	agent.Put(models+"b", "new")
	f, _ := open(t, agent.Addr, Options{})
	r := run(t, f)
	r.await(5*time.Second, "the first snapshot", model("b", "new"))
	agent.Restore(backup)
	if s := r.await(backWithin, "the older document", model("a", "old")); s.Authoritative {
		t.Fatalf("a backup deletes b: %s", text(s))
	}
	agent.Put(models+"a", "newest")
	if s := r.await(backWithin, "the next write", model("a", "newest")); s.Authoritative {
		t.Fatalf("the write after a backup deletes b: %s", text(s))
	}
}

func TestAHoldThatABackupLacksIsMissedUntilItsEnd(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "old")
	backup := agent.Backup()
	agent.Put(models+"a", "new")
	until := time.Now().Add(3 * time.Second)
	agent.Put(prefix+"/overrides/a", `{"kind": "hold", "until": "`+until.Format(time.RFC3339Nano)+`"}`)
	f, _ := open(t, agent.Addr, Options{})
	f.tempo.wait = time.Second
	r := run(t, f)
	r.await(5*time.Second, "the first snapshot", func(s configs.Snapshot) bool { return len(s.Overrides) == 1 })
	agent.Restore(backup)
	if s := r.await(backWithin, "the older document", model("a", "old")); s.Authoritative {
		t.Fatalf("the answer that went back: %s", text(s))
	}
	// Time alone changes this: no index moves.
	r.await(6*time.Second, "authority, without a write", func(s configs.Snapshot) bool {
		return s.Authoritative && string(s.Models["a"].Value) == "old"
	})
	if time.Now().Before(until) {
		t.Errorf("an authority %v before the hold's end", time.Until(until))
	}
}

func TestAnIndexThatFallsNeverAuthorisesADeletion(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "1")
	agent.Put(models+"b", "1")
	proxy := consultest.NewProxy(t, agent.Addr)
	f, _ := open(t, proxy.Addr, Options{})
	r := run(t, f)
	r.await(5*time.Second, "the first snapshot", func(s configs.Snapshot) bool { return s.Authoritative })
	proxy.Set(consultest.Fault{Index: 3})
	agent.Delete(models + "b")
	if s := r.await(backWithin, "the answer without b", lacks("b")); s.Authoritative {
		t.Fatalf("with a lower index: %s", text(s))
	}
	requests := proxy.Requests()
	agent.Put(models+"a", "2")
	if s := r.await(backWithin, "a change under an index that stands still", model("a", "2")); s.Authoritative {
		t.Fatalf("still with a lower index: %s", text(s))
	}
	r.none(time.Second, "nothing changed")
	if made := proxy.Requests() - requests; made > 60 {
		t.Errorf("%d requests: an index that stands still must not be asked for in a circle", made)
	}
}

func TestALeaderlessConsulIsReadStaleButNeverForLess(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "1")
	agent.Put(models+"b", "1")
	proxy := consultest.NewProxy(t, agent.Addr)
	leaderless := func(r *http.Request) consultest.Fault {
		if r.URL.Path == "/v1/status/leader" {
			return consultest.Fault{Status: http.StatusOK, Body: `""`}
		}
		if _, ok := r.URL.Query()["stale"]; ok {
			return consultest.Fault{}
		}
		return consultest.Fault{Status: http.StatusInternalServerError, Body: "No cluster leader"}
	}
	proxy.SetFunc(leaderless)
	f, _ := open(t, proxy.Addr, Options{})
	r := run(t, f)
	if s := r.await(3*time.Second, "the stale configuration", anything); s.Authoritative || len(s.Models) != 2 {
		t.Fatalf("stale: %s", text(s))
	}
	if state := f.State(); state.Connected || !strings.Contains(state.Err, "leader") {
		t.Errorf("state without a leader: %+v", state)
	}
	agent.Delete(models + "b")
	r.none(1500*time.Millisecond, "a stale answer that has less")
	proxy.Set(consultest.Fault{})
	if s := r.await(backWithin, "the leader's answer", lacks("b")); !s.Authoritative {
		t.Fatalf("with a leader: %s", text(s))
	}
}

func TestTheLastGoodCopyStartsAProcessWithoutConsul(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "1")
	agent.Put(prefix+"/overrides/a", "hold")
	dir := t.TempDir()
	f, _ := open(t, agent.Addr, Options{StateDir: dir})
	r := run(t, f)
	r.await(5*time.Second, "the first snapshot", anything)
	r.stop()
	agent.Kill()

	f, log := open(t, agent.Addr, Options{StateDir: dir})
	began := time.Now()
	r = run(t, f)
	s := r.await(3*time.Second, "the copy", anything)
	if took := time.Since(began); !s.FromLastGood || s.Authoritative || string(s.Models["a"].Value) != "1" ||
		len(s.Overrides) != 1 || s.Settings == nil || took < 900*time.Millisecond || took > 2*time.Second {
		t.Fatalf("after %v: %s", took, text(s))
	}
	if !strings.Contains(log.String(), "last good configuration") || f.State().Connected {
		t.Errorf("state %+v, log:\n%s", f.State(), log)
	}

	agent.RestartEmpty()
	agent.Put(settings, "{}")
	agent.Put(prefix+"/overrides/a", "hold")
	agent.Put(models+"a", "2")
	r.await(backWithin, "the real one", func(s configs.Snapshot) bool { return !s.FromLastGood && string(s.Models["a"].Value) == "2" })
}

func TestAProcessStartedOnAnEmptyConsulStartsFromTheCopy(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "1")
	dir := t.TempDir()
	f, _ := open(t, agent.Addr, Options{StateDir: dir})
	r := run(t, f)
	r.await(5*time.Second, "the first snapshot", anything)
	r.stop()
	agent.RestartEmpty()
	for range 2 { // the second start must not have forgotten
		f, _ = open(t, agent.Addr, Options{StateDir: dir})
		r = run(t, f)
		first := r.await(3*time.Second, "the copy", anything)
		if !first.FromLastGood || string(first.Models["a"].Value) != "1" {
			t.Fatalf("first snapshot: %s", text(first))
		}
		second := r.await(3*time.Second, "the empty answer", anything)
		if second.FromLastGood || second.Authoritative || len(second.Models) != 0 {
			t.Fatalf("second snapshot: %s", text(second))
		}
		agent.Put(settings, "{}")
		if s := r.await(time.Second, "settings", func(s configs.Snapshot) bool { return s.Settings != nil }); s.Authoritative {
			t.Fatalf("settings delete: %s", text(s))
		}
		agent.Delete(settings)
		r.stop()
	}
}

func TestAFolderThatCannotBeWrittenIsNoReasonNotToServe(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(models+"a", "1")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, log := open(t, agent.Addr, Options{StateDir: filepath.Join(file, "state")})
	r := run(t, f)
	r.await(5*time.Second, "the first snapshot", anything)
	agent.Put(models+"a", "2")
	r.await(time.Second, "the change", model("a", "2"))
	if got := strings.Count(log.String(), "cannot be kept"); got != 1 {
		t.Errorf("said %d times that nothing is kept; log:\n%s", got, log)
	}
}
