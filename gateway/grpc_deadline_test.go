package gateway

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/segue-serving/segue/gateway/oip/oippb"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

func TestWhoHangsUpAtTheDeadlineHasRunOutOfTime(t *testing.T) {
	g := newTestGateway(t)
	v := g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()})).models["mozart"].versions["1"]
	for _, one := range []struct {
		name     string
		deadline time.Duration // 0 for none
		left     time.Duration // when the client hung up
		ran      time.Duration
		outcome  outcome
		status   int
	}{
		{"long before the deadline", time.Second, 100 * time.Millisecond, 1, outcomeCancelled, statusClientGone},
		{"long before the deadline, in the queue", time.Second, 100 * time.Millisecond, 0, outcomeCancelled, statusClientGone},
		{"without a deadline", 0, time.Second, 1, outcomeCancelled, statusClientGone},
		{"at the deadline", time.Second, time.Second - 2*time.Millisecond, 1, outcomeTimeout, http.StatusGatewayTimeout},
		{"at the deadline, in the queue", time.Second, time.Second - 2*time.Millisecond, 0, outcomeShed, http.StatusGatewayTimeout},
		{"before the deadline, which then passed in the run", time.Second, time.Second, 1, outcomeTimeout, http.StatusGatewayTimeout},
	} {
		t.Run(one.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(context.Background())
				if one.deadline > 0 {
					ctx, cancel = context.WithTimeout(ctx, one.deadline)
				}
				defer cancel()
				c := newGRPCCall(g.DataServer)
				c.context, c.started, c.model = ctx, time.Now(), g.router.load().models["mozart"]
				c.run.Asked, c.run.Deadline, c.run.Inputs, c.run.Ran = c.started, c.started.Add(one.deadline), []runtime.Tensor{runtimetest.FP32("x", []int64{1, 3}, 1, 2, 3)}, one.ran
				time.Sleep(one.left)
				cancel()
				if got := c.failRun(v, context.Canceled); got != one.outcome || c.status != one.status {
					t.Errorf("%s with %d, want %s with %d", outcomeNames[got], c.status, outcomeNames[one.outcome], one.status)
				}
			})
		})
	}
}

func TestAVersionTooSlowForTheDeadlinesOfGRPCOpensItsBreaker(t *testing.T) {
	g := newTestGateway(t)
	model := doubler()
	var takes atomic.Int64
	model.Before = func(context.Context) error { time.Sleep(time.Duration(takes.Load())); return nil }
	v := g.put(g.model("mozart", version{name: "1", weight: 1, model: model})).models["mozart"].versions["1"]
	v.breaker = newBreaker(nil)
	if _, err := v.runner.Warm(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	client := g.rpc()
	if _, err := client.ServerLive(t.Context(), &oippb.ServerLiveRequest{}); err != nil {
		t.Fatal(err)
	}
	// A run ends when the deadline has passed for the gateway too, though the
	// client has hung up before.
	takes.Store(int64(60 * time.Millisecond))
	for calls := 0; v.breaker.state() != breakerOpen; calls++ {
		if calls == 4*breakerRequests {
			t.Fatalf("the breaker is %s after attempts %v", breakerStateNames[v.breaker.state()], g.attempts("mozart", "1"))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
		_, err := client.ModelInfer(ctx, rowsMessage(1))
		cancel()
		if code := status.Code(err); code != codes.DeadlineExceeded && code != codes.Unavailable {
			t.Fatal(err)
		}
	}
	if n := g.requestsWith("504"); n < breakerRequests {
		t.Errorf("%d calls count as timed out", n)
	}
}
