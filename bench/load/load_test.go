package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// fake is a server that answers the request's body, and stands still once.
type fake struct {
	network, addr string
	stall         sync.RWMutex
	served        atomic.Int64
}

func startFake(t *testing.T, network, addr string) *fake {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{network: network, addr: l.Addr().String()}
	s := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		f.stall.RLock()
		defer f.stall.RUnlock()
		f.served.Add(1)
		ctx.Response.Header.Set("Echo-Of", string(ctx.Request.Header.Peek("Mark")))
		if string(ctx.Path()) == "/broken" {
			ctx.SetStatusCode(500)
		}
		ctx.SetBody(ctx.PostBody())
	}}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Shutdown(), <-done); err != nil {
			t.Error(err)
		}
	})
	return f
}

// stand makes the server stand still for a while, from a moment on.
func (f *fake) stand(after, during time.Duration) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(after)
		f.stall.Lock()
		defer f.stall.Unlock()
		time.Sleep(during)
	})
	return wg.Wait
}

func (f *fake) target(requests ...Request) Target {
	return Target{Network: f.network, Addr: f.addr, Requests: requests, Timeout: 10 * time.Second,
		Check: func(i int, a Answer, _ time.Time) error {
			if a.Code() != 200 || string(a.Body()) != string(requests[i].Body) || string(a.Header("Echo-Of")) != requests[i].Header["Mark"] {
				return fmt.Errorf("request %d: %d %q", i, a.Code(), a.Body())
			}
			return nil
		}}
}

var twoRequests = []Request{
	{Path: "/a", Body: []byte("first"), Header: map[string]string{"Mark": "1"}},
	{Path: "/b", Body: []byte("second"), Header: map[string]string{"Mark": "2"}},
}

func TestAnOpenLoopShowsAStallInEveryRequestThatItDelays(t *testing.T) {
	const rate, stall, connections = 400.0, 250 * time.Millisecond, 4
	f := startFake(t, "tcp", "127.0.0.1:0")
	wait := f.stand(300*time.Millisecond, stall)
	open, err := Open(context.Background(), f.target(twoRequests...), OpenOptions{
		Rate: rate, Arrivals: Even, Connections: connections, Duration: time.Second,
	})
	wait()
	if err != nil {
		t.Fatal(err)
	}
	if open.Failed != 0 || open.Answered != int64(rate) {
		t.Errorf("%d answered, %d failed of %v: %v", open.Answered, open.Failed, rate, open.Failures)
	}
	// A quarter of the requests fell due during the stall and waited half of
	// it on average, though only four of them had a connection to wait on.
	if got, least := open.Latency.Quantile(.9), stall/3; got < least {
		t.Errorf("p90 is %s with a quarter of the time standing still for %s: the stall is hidden", got, stall)
	}
	if got := open.Latency.Max(); got < stall*9/10 {
		t.Errorf("the longest latency is %s, want about %s", got, stall)
	}

	// The closed loop of as many connections is what would have hidden it.
	wait = f.stand(300*time.Millisecond, stall)
	closed, err := Closed(context.Background(), f.target(twoRequests...), ClosedOptions{Connections: connections, Duration: time.Second})
	wait()
	if err != nil {
		t.Fatal(err)
	}
	if got := closed.Latency.Quantile(.9); got > stall/4 {
		t.Errorf("p90 of the closed loop is %s: this test would not tell the two apart", got)
	}
}

func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	f := startFake(t, "tcp", "127.0.0.1:0")
	wait := f.stand(0, 200*time.Millisecond)
	// One connection, so that the second request cannot be sent before the
	// first is answered.
	out, err := Open(context.Background(), f.target(twoRequests...), OpenOptions{
		Rate: 20, Arrivals: Even, Connections: 1, Duration: 100 * time.Millisecond,
	})
	wait()
	if err != nil {
		t.Fatal(err)
	}
	if out.Answered != 2 || out.Latency.Quantile(.5) < 120*time.Millisecond {
		t.Errorf("%d answered, the quicker after %s: want 2, after at least 150 ms", out.Answered, out.Latency.Quantile(.5))
	}
}

func TestBothTransportsCheckEveryAnswer(t *testing.T) {
	for _, f := range []*fake{startFake(t, "tcp", "127.0.0.1:0"), startFake(t, "unix", filepath.Join(t.TempDir(), "s"))} {
		good, err := Closed(context.Background(), f.target(twoRequests...), ClosedOptions{Connections: 2, Duration: time.Second})
		if err != nil || good.Failed != 0 || good.Answered == 0 || good.Latency.Count() != good.Answered {
			t.Errorf("%s: %+v, %v", f.network, good, err)
		}
		broken := []Request{twoRequests[0], {Path: "/broken", Body: []byte("x")}}
		bad, err := Open(context.Background(), f.target(broken...), OpenOptions{
			Rate: 400, Arrivals: Even, Connections: 8, Warmup: 50 * time.Millisecond, Duration: 50 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		// Half of all fail, those of the warm-up too; good ones count only
		// after it.
		if bad.Failed != 20 || bad.Answered != 10 || len(bad.Failures) != mostFailures || !strings.Contains(bad.Failures[0], `request 1: 500 "x"`) {
			t.Errorf("%s: %d failed, %d answered, %q: want 20, 10", f.network, bad.Failed, bad.Answered, bad.Failures)
		}
	}
}

func TestAServerThatIsNotThereFailsEveryRequest(t *testing.T) {
	target := Target{Network: "unix", Addr: filepath.Join(t.TempDir(), "nobody"), Requests: twoRequests, Timeout: time.Second,
		Check: func(int, Answer, time.Time) error { return nil }}
	out, err := Open(context.Background(), target, OpenOptions{Rate: 100, Arrivals: Even, Connections: 2, Duration: 100 * time.Millisecond})
	if err != nil || out.Failed != 10 || out.Answered != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if err := Once(target, 0, func(Answer) error { return nil }); err == nil {
		t.Error("one request to nobody is no error")
	}
}

func TestACancelledRunEndsEarly(t *testing.T) {
	f := startFake(t, "tcp", "127.0.0.1:0")
	runs := map[string]func(context.Context) error{
		"open": func(ctx context.Context) error {
			_, err := Open(ctx, f.target(twoRequests...), OpenOptions{Rate: 10, Arrivals: Even, Connections: 2, Duration: time.Hour})
			return err
		},
		"closed": func(ctx context.Context) error {
			_, err := Closed(ctx, f.target(twoRequests...), ClosedOptions{Connections: 2, Duration: time.Hour})
			return err
		},
	}
	for name, run := range runs {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		began := time.Now()
		if err := run(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
			t.Errorf("%s: %v after %s", name, err, time.Since(began))
		}
		cancel()
	}
}

func TestMetersAreReadAtTheEndsOfTheWindow(t *testing.T) {
	f := startFake(t, "tcp", "127.0.0.1:0")
	read := 0
	meter := func() (time.Duration, error) {
		read++
		return time.Duration(read*read) * time.Second, nil
	}
	out, err := Closed(context.Background(), f.target(twoRequests...), ClosedOptions{
		Connections: 1, Duration: 20 * time.Millisecond, Meters: map[string]Meter{"m": meter},
	})
	if err != nil || out.CPU["m"] != 3*time.Second || out.Metered != 20*time.Millisecond || read != 2 {
		t.Errorf("%v, %v after %d readings", out, err, read)
	}
	broken := func() (time.Duration, error) { return 0, errors.New("gone") }
	_, err = Open(context.Background(), f.target(twoRequests...), OpenOptions{
		Rate: 10, Arrivals: Even, Connections: 1, Duration: time.Hour, Meters: map[string]Meter{"m": broken},
	})
	if err == nil || !strings.Contains(err.Error(), "CPU time of m: gone") {
		t.Errorf("got %v", err)
	}
}

// The third stage would last an hour: whoever meters all of it never reads
// twice.
func TestMetersAreReadOverTheirPartOfTheSchedule(t *testing.T) {
	f := startFake(t, "tcp", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	stages := []Stage{{10, 30 * time.Millisecond}, {10, 40 * time.Millisecond}, {10, time.Hour}}
	o := OpenOptions{Rate: 10, Stages: stages, Arrivals: Even, Connections: 1, Warmup: 20 * time.Millisecond, MeterFrom: stages[0].For, MeterFor: stages[1].For}
	var read []time.Duration
	began := time.Now()
	o.Meters = map[string]Meter{"m": func() (time.Duration, error) {
		if read = append(read, time.Since(began)); len(read) == 2 {
			cancel()
		}
		return 0, nil
	}}
	if _, err := Open(ctx, f.target(twoRequests...), o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if len(read) != 2 || read[0] < 50*time.Millisecond || read[1] < 90*time.Millisecond {
		t.Errorf("read after %s, want after 50 and 90 ms", read)
	}

	stages[2].For = 30 * time.Millisecond
	moved := time.Duration(0)
	o.Meters = map[string]Meter{"m": func() (time.Duration, error) {
		moved += time.Second
		return moved, nil
	}}
	out, err := Open(t.Context(), f.target(twoRequests...), o)
	if err != nil || out.CPU["m"] != time.Second || out.Metered != 40*time.Millisecond || out.Window != 100*time.Millisecond {
		t.Errorf("%+v, %v: want a second in 40 of 100 ms", out, err)
	}
	for _, beyond := range []OpenOptions{{MeterFrom: 70 * time.Millisecond, MeterFor: 40 * time.Millisecond}, {MeterFrom: -1, MeterFor: 1}, {MeterFor: -1}} {
		o.MeterFrom, o.MeterFor = beyond.MeterFrom, beyond.MeterFor
		if _, err := Open(t.Context(), f.target(twoRequests...), o); err == nil {
			t.Errorf("meters over %s from %s on are taken", o.MeterFor, o.MeterFrom)
		}
	}
}

func TestOutcomesAddUp(t *testing.T) {
	one := func(latency time.Duration, failure string) *Outcome {
		tallies := newTallies(2)
		tallies[0].good(latency)
		tallies[1].fail(errors.New(failure))
		o := newOutcome(tallies, time.Second)
		o.CPU, o.Metered = map[string]time.Duration{"m": time.Second}, time.Second
		return o
	}
	all := one(time.Millisecond, "a")
	all.Merge(one(3*time.Millisecond, "b"))
	if all.Answered != 2 || all.Failed != 2 || all.Window != 2*time.Second || all.Metered != 2*time.Second || all.CPU["m"] != 2*time.Second ||
		all.Latency.Mean() != 2*time.Millisecond || strings.Join(all.Failures, "") != "ab" {
		t.Errorf("%+v", all)
	}
}
