package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

func TestARunEndsWhenItsClientLeaves(t *testing.T) {
	g := newTestGateway(t)
	model := doubler()
	var begun atomic.Int64
	ended := make(chan error, 1)
	model.Before = func(ctx context.Context) error {
		if begun.Add(1) == 1 {
			time.Sleep(1500 * time.Millisecond) // from here on runs are known to be long
			return nil
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	g.put(g.model("mozart", version{name: "1", weight: 1, model: model}))
	g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
	runs := int64(1)
	for name, dial := range g.dialers() {
		nc := dial()
		// Less than four times as long as a run is expected to take.
		fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nX-Request-Timeout-Ms: 5500\r\nContent-Length: %d\r\n\r\n%s", infer, len(rowsOf(1)), rowsOf(1))
		runs++
		eventually(t, name+": the run has begun", func() bool { return begun.Load() == runs })
		nc.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the run ended by %v, want its client's leaving", name, err)
		}
	}
	eventually(t, "all are counted", func() bool {
		counts := g.attempts("mozart", "1")
		return counts["ok"] == 1 && counts["cancelled"] == uint64(runs-1) && len(counts) == 2
	})
	eventually(t, "nobody is watched", func() bool {
		leavers := g.leavers
		leavers.mu.Lock()
		defer leavers.mu.Unlock()
		return len(leavers.runs) == 0
	})
}
