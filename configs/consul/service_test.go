package consul

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/consul/consultest"
)

func TestAServiceStaysRegisteredWithItsCheckUntilItIsTakenOut(t *testing.T) {
	agent := consultest.Start(t, consultest.Options{})
	ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer ready.Close()
	f, log := open(t, agent.Addr, Options{})
	f.tempo.registered = 200 * time.Millisecond
	service := Service{Name: "segue", ID: "segue-g1", Address: "127.0.0.1", Port: 8000, CheckURL: ready.URL + "/readyz", Tags: []string{"v2"}, Meta: map[string]string{"instance": "g1"}}
	type instance struct {
		Service struct {
			ID, Address string
			Port        int
			Tags        []string
			Meta        map[string]string
		}
	}
	healthy := func() (found []instance) {
		if err := json.Unmarshal(agent.Call("GET", "/v1/health/service/segue?passing", nil), &found); err != nil {
			t.Fatal(err)
		}
		return found
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.KeepRegistered(ctx, service)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	registered := func() bool { return len(healthy()) == 1 }
	eventually(t, 10*time.Second, "registered and passing", registered)
	if got := healthy()[0].Service; got.ID != "segue-g1" || got.Address != "127.0.0.1" || got.Port != 8000 || len(got.Tags) != 1 || got.Meta["instance"] != "g1" {
		t.Errorf("service %+v", got)
	}

	agent.Kill()
	eventually(t, 5*time.Second, "the failure in the log", func() bool { return strings.Contains(log.String(), "service not registered") })
	agent.RestartEmpty()
	eventually(t, 15*time.Second, "registered again", registered)

	cancel()
	<-ended
	if found := healthy(); len(found) != 0 {
		t.Errorf("after the end: %+v", found)
	}
	if err := f.Deregister(context.Background(), service.ID); err != nil {
		t.Errorf("deregistering what is not registered: %v", err)
	}
	agent.Kill()
	if err := f.Register(context.Background(), service); !errors.Is(err, configs.ErrUnreachable) {
		t.Errorf("with Consul away: %v, want ErrUnreachable", err)
	}
}
