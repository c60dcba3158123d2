package consul

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

const gatewayReads = `key_prefix "` + prefix + `/" { policy = "read" }`

func TestATokenThatLosesItsRightsDeletesNothing(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{ACL: true})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "1")
	agent.Put(models+"b", "1")
	f := openAs(t, agent.Addr, agent.NewToken("gateway", gatewayReads))
	// A change of rights moves no index: it is seen when a query ends.
	f.tempo.wait = time.Second
	r := run(t, f)
	r.await(5*time.Second, "the first snapshot", func(s configs.Snapshot) bool { return s.Authoritative && len(s.Models) == 2 })

	agent.SetRules("gateway", `key "`+settings+`" { policy = "read" }`)
	s := r.await(10*time.Second, "the filtered answer", lacks("a"))
	if s.Authoritative || s.Settings == nil || len(s.Models) != 0 {
		t.Fatalf("a token that reads only the sentinel: %s", text(s))
	}
	agent.Put(settings, `{"schema": 1}`)
	if s := r.await(2*time.Second, "another filtered answer", anything); s.Authoritative {
		t.Fatalf("still filtered: %s", text(s))
	}
	agent.SetRules("gateway", gatewayReads)
	r.await(10*time.Second, "all rights again", func(s configs.Snapshot) bool { return s.Authoritative && len(s.Models) == 2 })
}

func TestATokenThatConsulDoesNotKnowPublishesNothingUntilTheFileChanges(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{ACL: true})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "1")
	path := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("5e60e000-0000-4000-8000-00000000dead")
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", path)
	f, _ := open(t, agent.Addr, Options{})
	r := run(t, f)
	r.none(1500*time.Millisecond, "with an unknown token")
	if state := f.State(); state.Connected || !strings.Contains(state.Err, "ACL not found") {
		t.Errorf("state with an unknown token: %+v", state)
	}
	write(agent.NewToken("gateway", gatewayReads))
	if s := r.await(2*time.Second, "with the new token", anything); !s.Authoritative || len(s.Models) != 1 {
		t.Fatalf("with the new token: %s", text(s))
	}
}

func TestRulesGiveEachRoleWhatItNeedsAndNoMore(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{ACL: true, Config: `acl { enable_key_list_policy = true }`})
	rules, err := InitRules(prefix)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	agent.Put(settings, "{}")
	agent.Put(models+"a", "1")
	gateway := openAs(t, agent.Addr, agent.NewToken("gateway", rules.Gateway))
	operator := openAs(t, agent.Addr, agent.NewToken("operator", rules.Operator))
	reader := openAs(t, agent.Addr, agent.NewToken("reader", rules.Reader))

	for _, c := range []struct {
		role   string
		fleet  *Fleet
		writes []string
		not    []string
	}{
		{"gateway", gateway, []string{"overrides/a", "resolved/a", "evidence/a/r/1", "locks/a", "audit/a/1-put"}, []string{"models/b", "settings", "elsewhere"}},
		{"operator", operator, []string{"models/b", "overrides/b", "audit/b/1-put"}, []string{"resolved/b", "locks/b", "status/x", "evidence/b/r/1"}},
		{"reader", reader, nil, []string{"models/c", "settings", "overrides/c", "audit/c/1-put", "status/x", "resolved/c"}},
	} {
		if s := run(t, c.fleet).await(5*time.Second, c.role+" reads", anything); !s.Authoritative || len(s.Models) == 0 {
			t.Errorf("%s reads %s", c.role, text(s))
		}
		for _, key := range c.writes {
			if _, err := c.fleet.Apply(ctx, configs.Write{Key: key, Value: []byte("x")}); err != nil {
				t.Errorf("%s writes %s: %v", c.role, key, err)
			}
		}
		for _, key := range c.not {
			if _, err := c.fleet.Apply(ctx, configs.Write{Key: key, Value: []byte("x")}); !errors.Is(err, configs.ErrForbidden) {
				t.Errorf("%s writes %s: %v, want ErrForbidden", c.role, key, err)
			}
		}
		if items, err := c.fleet.List(ctx, ""); err != nil || len(items) < 2 {
			t.Errorf("%s lists %d keys, %v", c.role, len(items), err)
		}
		if who := c.fleet.Who(ctx); len(who) != 36 {
			t.Errorf("%s is %q, want the token's accessor", c.role, who)
		}
	}

	agent.Put(settings, `{"schema": 1}`)
	item, _, err := operator.Get(ctx, "settings")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := operator.Apply(ctx, configs.Write{Key: "settings", Value: []byte("{}"), Index: item.Index}); err != nil {
		t.Errorf("operator writes settings: %v", err)
	}

	announced := announce(t, gateway, "g1")
	announced.updates <- []byte("alive")
	eventually(t, 3*time.Second, "the gateway's status", func() bool { _, ok := agent.Get(prefix + "/status/g1"); return ok })
	if err := gateway.Register(ctx, Service{Name: "segue", ID: "segue-g1", Port: 8000}); err != nil {
		t.Errorf("gateway registers: %v", err)
	}
	if err := gateway.Deregister(ctx, "segue-g1"); err != nil {
		t.Errorf("gateway deregisters: %v", err)
	}
	if err := reader.Register(ctx, Service{Name: "segue", ID: "segue-r", Port: 8000}); !errors.Is(err, configs.ErrForbidden) {
		t.Errorf("reader registers: %v, want ErrForbidden", err)
	}

	stranger := openAs(t, agent.Addr, "")
	if _, _, err := stranger.Get(ctx, "models/a"); !errors.Is(err, configs.ErrForbidden) {
		t.Errorf("without a token: %v, want ErrForbidden", err)
	}
	if who := stranger.Who(ctx); who != Anonymous {
		t.Errorf("without a token: who is %q", who)
	}
	if _, err := InitRules(`segue/" {`); err == nil {
		t.Error("rules for a prefix with quotes")
	}
	partly := openAs(t, agent.Addr, agent.NewToken("partly", `key_prefix "`+prefix+`/models/" { policy = "list" } key_prefix "`+prefix+`/models/b" { policy = "deny" }`))
	if items, err := partly.List(ctx, "models/"); !errors.Is(err, configs.ErrForbidden) {
		t.Errorf("a list of which only some may be read: %v, %v; want ErrForbidden", items, err)
	}
}
