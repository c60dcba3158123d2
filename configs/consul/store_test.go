package consul

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

func TestAFleetIsAStore(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	fleets := 0
	configstest.Conformance(t, func(t *testing.T) configs.Store {
		fleets++
		f, _ := open(t, agent.Addr, Options{Spec: fmt.Sprintf("//%s/segue/store-%d", agent.Addr, fleets)})
		return f
	})
}

func TestFoldersOfConsulAreNoKeysAndNobodyHasAName(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	f, _ := open(t, agent.Addr, Options{})
	agent.Put(prefix+"/models/", "")
	agent.Put(prefix+"/models/A", "x")
	items, err := f.List(t.Context(), "models/")
	if err != nil || len(items) != 1 || items[0].Key != "models/A" || items[0].Tool {
		t.Errorf("list %+v, %v", items, err)
	}
	if who := f.Who(t.Context()); who != Anonymous {
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
