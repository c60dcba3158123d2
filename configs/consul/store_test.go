package consul

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

func TestStoreReadsAndWritesByCheckAndSet(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	f, _ := open(t, agent.Addr, Options{})
	ctx := context.Background()
	if _, ok, err := f.Get(ctx, "models/a"); ok || err != nil {
		t.Fatalf("a missing key: %v, %v", ok, err)
	}
	if items, err := f.List(ctx, "models/"); len(items) != 0 || err != nil {
		t.Fatalf("an empty list: %v, %v", items, err)
	}
	created, err := f.Apply(ctx, configs.Write{Key: "models/a", Value: []byte("one"), Tool: true})
	if err != nil {
		t.Fatal(err)
	}
	item, ok, err := f.Get(ctx, "models/a")
	if want := (configs.Item{Key: "models/a", Value: []byte("one"), Index: created, Tool: true}); err != nil || !ok ||
		item.Key != want.Key || item.Index != want.Index || !item.Tool || !bytes.Equal(item.Value, want.Value) {
		t.Fatalf("got %+v, %v; want %+v", item, err, want)
	}
	conflict := func(what string, writes ...configs.Write) {
		t.Helper()
		if _, err := f.Apply(ctx, writes...); !errors.Is(err, configs.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", what, err)
		}
	}
	conflict("create what is there", configs.Write{Key: "models/a", Value: []byte("x")})
	conflict("an index that is not the key's", configs.Write{Key: "models/a", Value: []byte("x"), Index: created + 1})
	conflict("change what is not there", configs.Write{Key: "models/b", Value: []byte("x"), Index: created})
	conflict("delete at another index", configs.Write{Key: "models/a", Delete: true, Index: created - 1})
	conflict("delete what is not there", configs.Write{Key: "models/b", Delete: true, Index: created})
	conflict("one good write and one bad", configs.Write{Key: "models/c", Value: []byte("x")}, configs.Write{Key: "models/a", Value: []byte("x")})
	if _, ok, _ := f.Get(ctx, "models/c"); ok {
		t.Error("half of a refused transaction was written")
	}

	changed, err := f.Apply(ctx,
		configs.Write{Key: "models/a", Value: []byte("two"), Index: created},
		configs.Write{Key: "audit/a/00000000000000000001-put", Value: []byte("{}")})
	if err != nil || changed <= created {
		t.Fatalf("two writes: index %d after %d, %v", changed, created, err)
	}
	for _, key := range []string{"models/a", "audit/a/00000000000000000001-put"} {
		if item, _, _ := f.Get(ctx, key); item.Index != changed || item.Tool {
			t.Errorf("%s at %d, tool %v; want both writes at %d", key, item.Index, item.Tool, changed)
		}
	}
	agent.Put(prefix+"/models/", "")
	agent.Put(prefix+"/models/A", "x")
	items, err := f.List(ctx, "models/")
	var keys []string
	for _, item := range items {
		keys = append(keys, item.Key)
	}
	if err != nil || !slices.Equal(keys, []string{"models/A", "models/a"}) {
		t.Errorf("list %v, %v", keys, err)
	}
	deleted, err := f.Apply(ctx, configs.Write{Key: "models/a", Delete: true, Index: changed})
	if err != nil || deleted <= changed {
		t.Fatalf("delete: index %d after %d, %v", deleted, changed, err)
	}
	if _, ok, err := f.Get(ctx, "models/a"); ok || err != nil {
		t.Errorf("after the deletion: there %v, %v", ok, err)
	}
	if who := f.Who(ctx); who != Anonymous {
		t.Errorf("who without access control: %q", who)
	}
}

func TestStoreRefusesWhatConsulWouldRefuseWithAClearReason(t *testing.T) {
	f, _ := open(t, "127.0.0.1:1", Options{})
	var many []configs.Write
	for i := range 65 {
		many = append(many, configs.Write{Key: fmt.Sprintf("models/%d", i)})
	}
	for _, c := range []struct {
		writes    []configs.Write
		complaint string
	}{
		{nil, "nothing to write"},
		{many, "65 operations at once, Consul takes 64"},
		{[]configs.Write{{Key: "models/a", Value: make([]byte, 400<<10)}}, "about 384 KiB of values"},
		{[]configs.Write{{Key: "models/a", Delete: true}}, "must name the index"},
		{[]configs.Write{{Key: ""}}, `"" is not a key`},
		{[]configs.Write{{Key: "models/"}}, `"models/" is not a key`},
	} {
		if _, err := f.Apply(context.Background(), c.writes...); err == nil || !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("%v, want %q", err, c.complaint)
		}
	}
}

func TestStoreTakesWhatConsulTakes(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	f, _ := open(t, agent.Addr, Options{})
	var writes []configs.Write
	for i := range 64 {
		writes = append(writes, configs.Write{Key: fmt.Sprintf("models/%d", i), Value: bytes.Repeat([]byte("x"), 5<<10)})
	}
	index, err := f.Apply(context.Background(), writes...)
	if err != nil {
		t.Fatal(err)
	}
	items, err := f.List(context.Background(), "models/")
	if err != nil || len(items) != 64 || items[0].Index != index {
		t.Errorf("%d keys, %v", len(items), err)
	}
}

func TestStoreSaysWhichKindOfErrorItIs(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	proxy := consultest.NewProxy(t, agent.Addr)
	f, _ := open(t, proxy.Addr, Options{})
	for _, c := range []struct {
		fault consultest.Fault
		want  error
	}{
		{consultest.Fault{Status: http.StatusTooManyRequests}, configs.ErrUnreachable},
		{consultest.Fault{Status: http.StatusInternalServerError, Body: "No cluster leader"}, configs.ErrUnreachable},
		{consultest.Fault{Status: http.StatusInternalServerError, Body: "rpc error: Permission denied"}, configs.ErrForbidden},
		{consultest.Fault{Status: http.StatusForbidden, Body: "Permission denied"}, configs.ErrForbidden},
		{consultest.Fault{Close: true}, configs.ErrUnreachable},
		{consultest.Fault{Hang: true}, configs.ErrUnreachable},
	} {
		proxy.Set(c.fault)
		ask := func(what string, call func(context.Context) error) {
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			if err := call(ctx); !errors.Is(err, c.want) || !strings.Contains(err.Error(), prefix+"/models/a") {
				t.Errorf("%+v: %s: %v, want %v with the key", c.fault, what, err, c.want)
			}
		}
		ask("get", func(ctx context.Context) error { _, _, err := f.Get(ctx, "models/a"); return err })
		ask("list", func(ctx context.Context) error { _, err := f.List(ctx, "models/a"); return err })
		ask("apply", func(ctx context.Context) error {
			_, err := f.Apply(ctx, configs.Write{Key: "models/a"})
			return err
		})
	}
	proxy.Set(consultest.Fault{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := f.Get(ctx, "models/a"); !errors.Is(err, context.Canceled) || errors.Is(err, configs.ErrUnreachable) {
		t.Errorf("a context that the caller ended: %v", err)
	}
}
