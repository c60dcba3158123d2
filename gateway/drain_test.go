package gateway

import (
	"log/slog"
	"testing"
	"testing/synctest"

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
