package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
)

func TestTheStatusSaysThatADrainingGatewayIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := startWhole(t, t.TempDir(), &announced{})
		defer g.stop()
		data := g.DataServer(DataOptions{Executor: batch.New(batch.Options{Permits: 1}), Pool: runtime.NewPool(), Log: slog.New(slog.DiscardHandler)})
		g.bench.set("settings", minimalSettings)
		g.bench.document("mozart", "1:"+packed(t, "1"), "1=100")
		g.read()
		announced := func() bool {
			g.announced.mu.Lock()
			defer g.announced.mu.Unlock()
			return g.announced.newest.Ready
		}
		if !g.Status().Ready || !announced() {
			t.Fatalf("not ready: %+v\n%s", g.Status(), g.log)
		}
		data.NotReady()
		synctest.Wait()
		if g.Status().Ready || announced() {
			t.Error("the status says ready")
		}
		if state := g.Status().Models["mozart"].Versions["1"].State; state != "Ready" {
			t.Errorf("version 1 is %s: it answers to the end", state)
		}
	})
}

func TestAListenerServedAfterTheDrainIsClosed(t *testing.T) {
	g := newTestGateway(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := g.Drain(ctx, 0); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Serve(ln); err != nil {
		t.Error(err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v, want a closed listener", err)
	}
}
