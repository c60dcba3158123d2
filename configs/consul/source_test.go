package consul

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

const (
	settings = prefix + "/settings"
	models   = prefix + "/models/"
)

func TestAPutIsPublishedWithinASecond(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(settings, `{"schema": 1}`)
	agent.Put(models+"a", "0")
	f, _ := open(t, agent.Addr, Options{})
	r := run(t, f)
	first := r.await(5*time.Second, "the first snapshot", anything)
	if !first.Authoritative || first.FromLastGood || first.Settings == nil || len(first.Models) != 1 || first.Index == 0 {
		t.Fatalf("first snapshot: %s", text(first))
	}
	var took []time.Duration
	for i := 1; i <= 40; i++ {
		value := strconv.Itoa(i)
		began := time.Now()
		agent.Put(models+"a", value)
		s := r.await(time.Second, "put "+value, model("a", value))
		took = append(took, time.Since(began))
		pair, _ := agent.Get(models + "a")
		if got := s.Models["a"]; got.Index != pair.ModifyIndex || got.Name != "a" || got.Where != models+"a" || s.Index < got.Index {
			t.Fatalf("entry %+v of snapshot %d, Consul has index %d", got, s.Index, pair.ModifyIndex)
		}
	}
	slices.Sort(took)
	t.Logf("from before the put to publish: median %v, largest %v", took[len(took)/2], took[len(took)-1])
	if state := f.State(); !state.Connected || state.Err != "" || time.Since(time.Unix(0, state.LastContactUnixNano)) > 5*time.Second {
		t.Errorf("state %+v", state)
	}
}

func TestEverySnapshotIsOfOneIndex(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(settings, "0")
	f, _ := open(t, agent.Addr, Options{})
	r := run(t, f)
	const last = 150
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := 1; i <= last; i++ {
			value := consultest.EncodeValue(strconv.Itoa(i))
			var ops []string
			for _, key := range []string{"settings", "models/a", "overrides/a", "resolved/a"} {
				ops = append(ops, fmt.Sprintf(`{"KV": {"Verb": "set", "Key": "%s/%s", "Value": %q}}`, prefix, key, value))
			}
			agent.Call("PUT", "/v1/txn", []byte("["+strings.Join(ops, ",")+"]"))
		}
	}()
	seen := 0
	r.await(20*time.Second, "the last transaction", func(s configs.Snapshot) bool {
		want := string(s.Settings.Value)
		if want == "0" {
			return false
		}
		seen++
		for tree, entries := range map[string]map[string]configs.Entry{"models": s.Models, "overrides": s.Overrides, "resolved": s.Resolved} {
			if got := string(entries["a"].Value); got != want {
				t.Fatalf("snapshot %d mixes transactions: settings of %s, %s of %q", s.Index, want, tree, got)
			}
		}
		return want == strconv.Itoa(last)
	})
	<-written
	if seen < 2 {
		t.Errorf("saw %d snapshots, too few to tell", seen)
	}
}

func TestKeysThatAreNoEntriesAreIgnored(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	for _, key := range []string{"settings", "settings2", "models/", "models/a", "models/folder/", "models/folder/b", "overrides/a", "modelsx/c", "status/g", "audit/a/1-put"} {
		agent.Put(prefix+"/"+key, "x")
	}
	agent.Call("PUT", "/v1/kv/"+models+"tool?flags="+strconv.FormatUint(ToolFlag, 10), []byte("x"))
	f, log := open(t, agent.Addr, Options{})
	s := run(t, f).await(5*time.Second, "the first snapshot", anything)
	if len(s.Models) != 2 || len(s.Overrides) != 1 || len(s.Resolved) != 0 || s.Settings == nil || s.Settings.Where != settings {
		t.Errorf("snapshot %s", text(s))
	}
	if s.Models["a"].WrittenByTool || !s.Models["tool"].WrittenByTool {
		t.Errorf("written by tool: a %v, tool %v; want only tool", s.Models["a"].WrittenByTool, s.Models["tool"].WrittenByTool)
	}
	if warnings := strings.Count(log.String(), "level=WARN"); warnings != 1 || !strings.Contains(log.String(), models+"folder/b") {
		t.Errorf("want one warning, of models/folder/b; log:\n%s", log)
	}
}

func TestWritesThatChangeNothingWatchedCostNoReadAndPublishNothing(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "1")
	proxy := consultest.NewProxy(t, agent.Addr)
	f, _ := open(t, proxy.Addr, Options{})
	r := run(t, f)
	r.await(5*time.Second, "the first snapshot", anything)
	r.none(200*time.Millisecond, "nothing changed")
	before := proxy.RequestsTo("/v1/txn")
	for i := range 20 {
		agent.Put(prefix+"/status/other", strconv.Itoa(i))
		agent.Put("elsewhere", strconv.Itoa(i))
	}
	agent.Put(models+"a", "1")
	r.none(300*time.Millisecond, "a write of the same bytes and of other keys")
	if reads := proxy.RequestsTo("/v1/txn") - before; reads != 0 {
		t.Errorf("%d reads for writes of other keys; want none, since every status of every gateway is one", reads)
	}
}

func TestADeletionCountsOnlyWithTheSentinel(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	agent.Put(models+"a", "1")
	agent.Put(models+"b", "1")
	f, _ := open(t, agent.Addr, Options{})
	r := run(t, f)
	if s := r.await(5*time.Second, "the first snapshot", anything); s.Authoritative || s.Settings != nil || len(s.Models) != 2 {
		t.Fatalf("without settings: %s", text(s))
	}
	agent.Delete(models + "a")
	if s := r.await(time.Second, "the deletion of a", lacks("a")); s.Authoritative {
		t.Fatalf("a deletion without settings: %s", text(s))
	}
	agent.Put(settings, "{}")
	r.await(time.Second, "the settings", func(s configs.Snapshot) bool { return s.Authoritative })
	agent.Delete(models + "b")
	if s := r.await(time.Second, "the deletion of b", lacks("b")); !s.Authoritative {
		t.Fatalf("a deletion with settings: %s", text(s))
	}
	agent.DeleteTree(prefix)
	if s := r.await(time.Second, "the deletion of all", func(s configs.Snapshot) bool { return s.Settings == nil }); s.Authoritative {
		t.Fatalf("all keys gone: %s", text(s))
	}
}

func TestTransactionsRefusedAreReplacedByLists(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{Config: `http_config { block_endpoints = ["/v1/txn"] }`})
	agent.Put(settings, "{}")
	agent.Put(models+"a", "1")
	f, _ := open(t, agent.Addr, Options{})
	r := run(t, f)
	if s := r.await(5*time.Second, "the first snapshot", anything); !s.Authoritative || len(s.Models) != 1 {
		t.Fatalf("first snapshot %s", text(s))
	}
	agent.Put(models+"a", "2")
	if s := r.await(time.Second, "the change", model("a", "2")); !s.Authoritative {
		t.Fatalf("the change: %s", text(s))
	}
}
