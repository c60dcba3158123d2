package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/segue-serving/segue/configs"
)

// rated makes a table's keys: "slow" may ask once in a hundred seconds, "fast"
// as often as it likes.
func (g *testGateway) rated(table *table) {
	slow, fast := keyOf("slow", nil, "predict"), keyOf("fast", nil, "predict")
	slow.Rate = 0.01
	with := *table
	with.access = mustAccess(g.t.(*testing.T), &configs.Settings{Keys: []configs.Key{slow, fast}})
	g.router.publish(&with)
}

func TestAKeyIsHeldToItsRateAndTakesNothingFromTheModels(t *testing.T) {
	g := newTestGateway(t)
	m := g.model("mozart", version{name: "1", weight: 1, model: doubler()})
	m.limiter = rate.NewLimiter(0.001, 3)
	g.rated(g.put(m))
	const slow, fast = "Authorization: Bearer slow", "Authorization: Bearer fast"
	g.send("POST", infer, rowsOf(1), slow).want(t, 200, answered)
	for range 5 {
		got := g.send("POST", infer, rowsOf(1), slow)
		got.want(t, 429, `{"error":"this API key: the rate limit of 0.01 requests a second is reached"}`)
		if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 60 || wait > 100 {
			t.Errorf("Retry-After %q, want what is left of 100 seconds", got.header.Get("Retry-After"))
		}
	}
	g.send("GET", "/v2/models/mozart", "", slow).want(t, 200, g.send("GET", "/v2/models/mozart", "", fast).body)
	g.send("POST", infer, rowsOf(1), fast).want(t, 200, answered)
	g.send("POST", infer, rowsOf(1), fast).want(t, 200, answered)
	got := g.send("POST", infer, rowsOf(1), fast)
	got.want(t, 429, `{"error":"model \"mozart\": the rate limit of 0.001 requests a second is reached"}`)
	if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 900 || wait > 1000 {
		t.Errorf("Retry-After %q, want what is left of 1000 seconds", got.header.Get("Retry-After"))
	}
	if key, model := g.metrics.shed[shedKeyRate].Load(), g.metrics.shed[shedRate].Load(); key != 5 || model != 1 {
		t.Errorf("counted %d and %d", key, model)
	}
}

func TestAKeysBucketOutlivesSettingsWhileItsRateStays(t *testing.T) {
	settings := func(rate string, more string) string {
		k := keyOf("secret", nil, "predict")
		return fmt.Sprintf(`{"schema": 1, "keys": [{"name": "a", "sha256": %q, "permissions": ["predict"], "rate": %s}]%s}`, k.SHA256, rate, more)
	}
	b := newBench(t)
	limiter := func() *rate.Limiter { return b.r.router.load().access.keys[0].limiter }
	b.set("settings", settings("10", ""))
	b.read()
	first := limiter()
	if first == nil || first.Limit() != 10 || first.Burst() != 10 {
		t.Fatalf("%+v", first)
	}
	b.set("settings", settings("10", `, "public": ["health"]`))
	b.read()
	if limiter() != first {
		t.Error("an unrelated change filled the bucket again")
	}
	b.set("settings", settings("20", ""))
	b.read()
	if limiter() == first {
		t.Error("another rate changed nothing")
	}
	b.set("settings", settings("0", ""))
	b.read()
	if limiter() != nil {
		t.Error("without a rate there is a limiter")
	}
}

// busy makes a gateway whose two permits are taken and whose model is known to
// take at least 20 ms. What it returns lets the model go on.
func busy(t *testing.T, change func(*modelRoute), queue int) (g *testGateway, release func()) {
	return busyFor(t, 20*time.Millisecond, change, queue)
}

// busyFor is busy with a model that is known to take at least so long.
func busyFor(t *testing.T, takes time.Duration, change func(*modelRoute), queue int) (g *testGateway, release func()) {
	g = newTestGateway(t)
	slow := doubler()
	waiting, free := blocking(t, slow)
	known, wait := atomic.Bool{}, slow.Before
	slow.Before = func(ctx context.Context) error {
		if known.Swap(true) {
			return wait(ctx)
		}
		time.Sleep(takes)
		return nil
	}
	m := g.model("mozart", version{name: "1", weight: 1, model: slow, queue: queue})
	change(m)
	g.put(m)
	g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
	running := []<-chan answer{g.background(infer), g.background(infer)}
	eventually(t, "both permits are taken", func() bool { return waiting.Load() == 2 })
	return g, func() {
		close(free)
		for _, done := range running {
			(<-done).want(t, 200, answered)
		}
	}
}

// onlyHead sends the head of a prediction and one byte of its body, and returns
// the answer and whether the connection is kept.
func (g *testGateway) onlyHead(length int, headers ...string) (response *http.Response, body string) {
	g.t.Helper()
	nc, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(4 * time.Second)) // the read timeout is longer
	fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n{", infer, length, strings.Join(append(headers, ""), "\r\n"))
	response, err = http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Error(err)
	}
	return response, string(content)
}

func TestARequestThatCannotBeServedIsRefusedByItsHead(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*modelRoute)
		queue   int
		headers []string
		says    string
		why     shedReason
	}{
		{"queue", func(*modelRoute) {}, -1, nil, "the model's queue is full", shedQueueFull},
		{"queue time", func(m *modelRoute) { m.queueTime = time.Millisecond }, 0, nil, "ms, over the limit of 1ms", shedQueueTime},
		{"deadline", func(*modelRoute) {}, 0, []string{"X-Request-Timeout-Ms: 2"}, "ms, and the deadline is before", shedDeadline},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, release := busy(t, c.change, c.queue)
			for i, length := range []int{100, 60_000, 1 << 20} {
				response, body := g.onlyHead(length, c.headers...)
				if response.StatusCode != 503 || !strings.Contains(body, c.says) || response.Header.Get("Retry-After") != "1" {
					t.Errorf("got %d %s %v", response.StatusCode, body, response.Header)
				}
				if response.Close {
					t.Error("the connection is closed")
				}
				if response.Header.Get("Segue-Model-Version") != "1" {
					t.Errorf("headers %v", response.Header)
				}
				if n := g.metrics.shed[c.why].Load(); n != uint64(i+1) {
					t.Errorf("%d counted", n)
				}
			}
			release()
			if counts := g.attempts("mozart", "1"); counts["shed"] != 3 || counts["ok"] != 3 || len(counts) != 2 {
				t.Errorf("attempts %v", counts)
			}
			if n := g.metrics.version("mozart", "1", "v1").total().bytesIn; n != 3*uint64(len(rowsOf(1))) {
				t.Errorf("%d bytes of bodies were read", n)
			}
		})
	}
}

func TestWithoutALimitTheWaitIsASecondOrAFewRuns(t *testing.T) {
	for _, c := range []struct {
		name              string
		queueTime         time.Duration
		queueing, refused int
	}{{"the default", 0, 16, 4}, {"set longer", 20 * time.Second, 20, 0}} {
		t.Run(c.name, func(t *testing.T) {
			g, release := busyFor(t, 200*time.Millisecond, func(m *modelRoute) { m.queueTime = c.queueTime }, 0)
			var queueing []<-chan answer
			for n := range c.queueing {
				queueing = append(queueing, g.background(infer))
				eventually(t, "it waits", func() bool { return g.executor.Stats().Queued == n+1 })
			}
			for range c.refused {
				got := g.send("POST", infer, rowsOf(1))
				if got.status != 503 || !strings.Contains(got.body, ", over the limit of 1s") {
					t.Errorf("got %d %s", got.status, got.body)
				}
			}
			if n := g.metrics.shed[shedQueueTime].Load(); n != uint64(c.refused) {
				t.Errorf("%d counted", n)
			}
			release()
			for _, done := range queueing {
				(<-done).want(t, 200, answered)
			}
		})
	}
}

func TestABodyThatIsRefusedByItsHeadIsNotAskedFor(t *testing.T) {
	g, release := busy(t, func(*modelRoute) {}, -1)
	for i, length := range []int{100, 1 << 20} {
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nX-Request-Id: a-1\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", infer, length)
		status, continued, body := g.answerOf(head)
		if status != 503 || continued || !strings.Contains(body, "the model's queue is full") {
			t.Errorf("%d (100 Continue before: %v) %s", status, continued, body)
		}
		// Who sends it without having been asked is answered all the same.
		got := g.exchange(head + strings.Repeat("x", length) + "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 503 ") || strings.Count(got, "HTTP/1.1 ") != 1 ||
			!strings.Contains(got, "Retry-After: 1\r\n") || !strings.Contains(got, "X-Request-Id: a-1\r\n") {
			t.Errorf("got %q", got)
		}
		eventually(t, "each is counted once", func() bool { return g.attempts("mozart", "1")["shed"] == uint64(2*(i+1)) })
	}
	if n := g.metrics.shed[shedQueueFull].Load(); n != 4 {
		t.Errorf("%d counted", n)
	}
	release()
}

func TestABodyThatIsAskedForIsAdmittedOnce(t *testing.T) {
	g := newTestGateway(t)
	m := g.model("mozart", version{name: "1", weight: 1, model: doubler()})
	m.limiter = rate.NewLimiter(0.001, 3)
	g.put(m)
	one := func(body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", infer, len(body), body)
	}
	got := g.exchange(one(rowsOf(1)) + one("{") + one(rowsOf(1)) + one(rowsOf(1)))
	var codes []string
	for _, part := range strings.Split(got, "HTTP/1.1 ")[1:] {
		codes = append(codes, part[:3])
	}
	if want := "100 200 100 400 100 200 429"; strings.Join(codes, " ") != want {
		t.Errorf("got %s, want %s", strings.Join(codes, " "), want)
	}
	if g.inFlight.Load() != 0 {
		t.Errorf("%d in flight", g.inFlight.Load())
	}
}

func TestABodyThatWasAskedForAndDoesNotComeIsCutOff(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	nc := g.connect()
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n", infer)
	nc.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(nc)
	if !strings.HasPrefix(string(got), "HTTP/1.1 100 ") || !strings.Contains(string(got), "HTTP/1.1 400 ") || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
	if g.inFlight.Load() != 0 {
		t.Errorf("%d in flight", g.inFlight.Load())
	}
}

func TestARefusedRequestWhoseBodyIsThereKeepsItsConnection(t *testing.T) {
	g, release := busy(t, func(*modelRoute) {}, -1)
	one := "POST " + infer + " HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + strings.Repeat(" ", 50_000)
	got := g.exchange(one + one + strings.Replace(one, "Host: a", "Host: a\r\nConnection: close", 1))
	if strings.Count(got, "HTTP/1.1 503 ") != 3 || strings.Count(got, "Connection: close\r\n") != 1 {
		t.Errorf("got %q", got)
	}
	release()
}

func TestASlowBodyTakesNoPlaceInFlight(t *testing.T) {
	g := newTestGateway(t)
	table := *g.mozart()
	table.maxInFlight = 1
	g.router.publish(&table)
	for range 4 {
		nc, err := net.Dial("tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{", infer)
	}
	eventually(t, "all bodies are awaited", func() bool { return g.http.GetCurrentConcurrency() >= 4 })
	g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
}
