package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// exchange writes raw bytes to a new connection and reads all that comes back
// until the other side closes.
func (g *testGateway) exchange(raw string) string {
	g.t.Helper()
	nc := g.connect()
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(nc, raw); err != nil {
		g.t.Fatal(err)
	}
	got, err := io.ReadAll(nc)
	if err != nil {
		g.t.Errorf("the connection was not closed in order: %v", err)
	}
	return string(got)
}

func TestRequestsThatTwoServersCouldReadDifferentlyAreRefusedAndTheConnectionClosed(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	g.everywhere(t, requestsThatTwoServersCouldReadDifferentlyAreRefusedAndTheConnectionClosed)
}

func requestsThatTwoServersCouldReadDifferentlyAreRefusedAndTheConnectionClosed(t *testing.T, g *testGateway) {
	const body = `{"inputs":[]}`
	for _, c := range []struct{ name, raw, says string }{
		{"Content-Length and Transfer-Encoding", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"malformed header: Content-Length and Transfer-Encoding together"},
		{"the other order", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
			"malformed header: Content-Length and Transfer-Encoding together"},
		{"Transfer-Encoding of another coding", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
			"malformed header: the only supported Transfer-Encoding is chunked"},
		{"two codings", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "malformed HTTP request"},
		{"HTTP/1.9", "GET /v2 HTTP/1.9\r\nHost: a\r\n\r\n", "the HTTP version is not supported: want HTTP/1.1"},
		{"HTTP/2.0", "GET /v2 HTTP/2.0\r\nHost: a\r\n\r\n", "the HTTP version is not supported: want HTTP/1.1"},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "the HTTP version is not supported: want HTTP/1.1"},
		{"folded line", "GET /v2 HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n", "malformed header: folded lines are not supported"},
		{"space before the colon", "GET /v2 HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n", "malformed HTTP request"},
		{"space in a name", "GET /v2 HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n", "malformed header: a field name holds a character that it must not hold"},
		{"bare line feed", "GET /v2 HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n", "malformed header: a line does not end in CR LF"},
		{"two lengths", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\nContent-Length: 5\r\n\r\n" + body, "malformed HTTP request"},
		{"negative length", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "malformed HTTP request"},
		{"no host", "GET /v2 HTTP/1.1\r\n\r\n", "malformed HTTP request"},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\r\n\r\n", "malformed HTTP request"},
		{"chunk without size", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "the body ends after 0 bytes, or its chunks are malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := g.exchange(c.raw + "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
			want := `{"error":"` + c.says + `"}`
			if !strings.HasPrefix(got, "HTTP/1.1 400 Bad Request\r\n") || !strings.Contains(got, "Connection: close\r\n") || !strings.HasSuffix(got, want) {
				t.Errorf("got %q\nwant 400, the connection closed and %s", got, want)
			}
			if strings.Count(got, "HTTP/1.1 ") != 1 {
				t.Error("a request behind the refused one was answered")
			}
		})
	}
}

func TestWhatIsProperHTTPIsAnswered(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	g.everywhere(t, whatIsProperHTTPIsAnswered)
}

func whatIsProperHTTPIsAnswered(t *testing.T, g *testGateway) {
	chunked := "POST " + infer + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
	for _, piece := range []string{rowsOf(1)[:7], rowsOf(1)[7:]} {
		chunked += fmt.Sprintf("%x\r\n%s\r\n", len(piece), piece)
	}
	for name, raw := range map[string]string{
		"chunked":      chunked + "0\r\n\r\n",
		"HTTP/1.0":     "POST " + infer + " HTTP/1.0\r\nContent-Length: " + fmt.Sprint(len(rowsOf(1))) + "\r\n\r\n" + rowsOf(1),
		"whole URL":    "POST http://a" + infer + "?x=y HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: " + fmt.Sprint(len(rowsOf(1))) + "\r\n\r\n" + rowsOf(1),
		"100-continue": "POST " + infer + " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: " + fmt.Sprint(len(rowsOf(1))) + "\r\n\r\n" + rowsOf(1),
	} {
		if got := g.exchange(raw); !strings.Contains(got, " 200 OK\r\n") || !strings.HasSuffix(got, answered) {
			t.Errorf("%s: %q", name, got)
		}
	}
	one := "POST " + infer + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + fmt.Sprint(len(rowsOf(1))) + "\r\n\r\n" + rowsOf(1)
	last := strings.Replace(one, "Host: a", "Host: a\r\nConnection: close", 1)
	if got := g.exchange(one + one + last); strings.Count(got, answered) != 3 {
		t.Errorf("three requests in a row: %q", got)
	}
}

func TestARefusedRequestKeepsTheConnectionInStep(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	g.everywhere(t, aRefusedRequestKeepsTheConnectionInStep)
}

func aRefusedRequestKeepsTheConnectionInStep(t *testing.T, g *testGateway) {
	// The body of the first request is not looked at, and yet is not taken
	// for the second.
	long := strings.Repeat("GET /v2 HTTP/1.1\r\n", 2000)
	for _, length := range []int{0, 10, 9000, 30000} {
		got := g.exchange(fmt.Sprintf("POST /v2/models/haydn/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", length, long[:length]) +
			"GET /v2/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if !strings.HasPrefix(got, "HTTP/1.1 404 ") || !strings.HasSuffix(got, `{"live":true}`) || strings.Count(got, "HTTP/1.1 ") != 2 {
			t.Errorf("a body of %d bytes: %q", length, got)
		}
	}
}

func TestLimitsOfSizeAreAnswered(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	g.everywhere(t, limitsOfSizeAreAnswered)
}

func limitsOfSizeAreAnswered(t *testing.T, g *testGateway) {
	many := strings.Repeat("X-A: b\r\n", maxHeaders)
	chunks := "10000\r\n" + strings.Repeat("x", 0x10000) + "\r\n"
	for _, c := range []struct{ name, raw, status, says string }{
		{"large head", "GET /v2 HTTP/1.1\r\nHost: a\r\nX-A: " + strings.Repeat("b", maxHead) + "\r\n\r\n", "431", "over the limit of 8192 bytes"},
		{"long path", "GET /" + strings.Repeat("a", maxHead) + " HTTP/1.1\r\nHost: a\r\n\r\n", "431", "over the limit of 8192 bytes"},
		{"many fields", "GET /v2 HTTP/1.1\r\nHost: a\r\n" + many + "\r\n", "431", "too many header fields"},
		{"claimed body", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n" + strings.Repeat("x", 9000), "413", "the body is over the limit of 1048576 bytes"},
		{"huge claimed body", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nContent-Length: 1099511627776\r\n\r\n" + strings.Repeat("x", 9000), "413", "the body is over the limit of 1048576 bytes"},
		{"chunked body", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat(chunks, 17), "413", "the body is over the limit of 1048576 bytes"},
		{"huge chunk", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n" + strings.Repeat("x", 1<<20+1), "413", "the body is over the limit of 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := g.exchange(c.raw)
			if !strings.HasPrefix(got, "HTTP/1.1 "+c.status+" ") || !strings.Contains(got, "Connection: close\r\n") || !strings.Contains(got, c.says) {
				t.Errorf("got %.300q", got)
			}
		})
	}
}

// answerOf is what comes back for raw bytes while the connection stays open.
// It must come within a time that no other limit than that of the size meets.
func (g *testGateway) answerOf(raw string) (status int, continued bool, body string) {
	g.t.Helper()
	nc := g.connect()
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(3 * time.Second))
	if _, err := io.WriteString(nc, raw); err != nil {
		g.t.Fatal(err)
	}
	reader := bufio.NewReader(nc)
	response, err := http.ReadResponse(reader, nil)
	if err == nil && response.StatusCode == http.StatusContinue {
		continued = true
		response, err = http.ReadResponse(reader, nil)
	}
	if err != nil {
		g.t.Errorf("no answer to %.200q: %v", raw, err)
		return 0, continued, ""
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		g.t.Error(err)
	}
	if !response.Close {
		g.t.Error("the connection is kept, out of step")
	}
	return response.StatusCode, continued, string(content)
}

func TestALengthOverTheLimitIsAnsweredWithoutABody(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	const over, head = `{"error":"the body is over the limit of 1048576 bytes"}`, " HTTP/1.1\r\nHost: a\r\nContent-Length: "
	for _, c := range []struct {
		name, raw string
		status    int
		says      string
	}{
		{"one byte over", "POST " + infer + head + "1048577\r\n\r\n", 413, over},
		{"a terabyte", "POST " + infer + head + "1099511627776\r\n\r\n", 413, over},
		{"a part of the body", "POST " + infer + head + "68157440\r\n\r\n" + strings.Repeat("x", 100), 413, over},
		{"what looks like chunks", "POST " + infer + head + "68157440\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 413, over},
		{"V1", "POST /v1/models/mozart:predict" + head + "68157440\r\n\r\n", 413, over},
		{"a document", "POST /v2/repository/index" + head + "68157440\r\n\r\n", 413, over},
		{"before 100-continue", "POST " + infer + head + "68157440\r\nExpect: 100-continue\r\n\r\n", 413, over},
		{"an unknown model", "POST /v2/models/haydn/infer" + head + "68157440\r\n\r\n", 404, `{"error":"unknown model \"haydn\""}`},
		{"a body nobody wants", "GET /v2/health/live" + head + "68157440\r\n\r\n", 200, `{"live":true}`},
		{"two codings of the length", "POST " + infer + head + "68157440\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
			`{"error":"malformed header: Content-Length and Transfer-Encoding together"}`},
		{"chunks over the limit", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100010\r\n" + strings.Repeat("x", 0x100001), 413, over},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, continued, body := g.answerOf(c.raw)
			if status != c.status || body != c.says || continued {
				t.Errorf("%d (100 Continue before: %v) %s, want %d %s", status, continued, body, c.status, c.says)
			}
		})
	}
	counted := slices.DeleteFunc(g.series("segue_requests_total"), func(line string) bool { return !strings.Contains(line, `code="413"`) })
	wantLines(t, counted,
		`segue_requests_total{code="413",model="mozart",protocol="http",variant="",version=""} 7`,
		`segue_requests_total{code="413",model="unknown",protocol="http",variant="",version=""} 1`)
}

func TestABodyThatEndsEarlySaysWhere(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	g.everywhere(t, aBodyThatEndsEarlySaysWhere)
}

func aBodyThatEndsEarlySaysWhere(t *testing.T, g *testGateway) {
	sized := func(length, sent int) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", infer, length, strings.Repeat(" ", sent))
	}
	for raw, says := range map[string]string{
		sized(100, 0):         "the body ends after 0 bytes, or its chunks are malformed",
		sized(100, 1):         "the body ends after 1 bytes, or its chunks are malformed",
		sized(100, 13):        "the body ends after 13 bytes, or its chunks are malformed",
		sized(8192, 8191):     "the body ends after 8191 bytes, or its chunks are malformed",
		sized(100000, 8192):   "the body ends after 8192 bytes, or its chunks are malformed",
		sized(100000, 50000):  "the body ends after 50000 bytes, or its chunks are malformed",
		sized(100000, 0)[:40]: "malformed HTTP request",
	} {
		nc := g.connect()
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(3 * time.Second))
		if _, err := io.WriteString(nc, raw); err != nil {
			t.Fatal(err)
		}
		if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(nc)
		if want := `{"error":"` + says + `"}`; err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 400 ") || !strings.HasSuffix(string(got), want) {
			t.Errorf("%.120q: got %q %v, want %s", raw, got, err, want)
		}
	}
}

func TestABodyThatIsOnlyClaimedCostsNoMemory(t *testing.T) {
	g := newTestGateway(t)
	table := g.mozart()
	large := *table
	large.maxBody = 64 << 20
	g.router.publish(&large)
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	var conns []net.Conn
	for range 32 {
		nc, err := net.Dial("tcp", g.address)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", infer, 64<<20, strings.Repeat(" ", 9000))
		conns = append(conns, nc)
	}
	eventually(t, "all bodies have a place", func() bool { return g.opts.Pool.MappedBytes() >= 32*64<<20 })
	goruntime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("32 claims of 64 MiB took %d bytes of Go's heap", grown)
	}
	for _, nc := range conns {
		nc.Close()
	}
	eventually(t, "the memory is given back", func() bool { return g.opts.Pool.MappedBytes() <= 64<<20 })
}

func TestASlowClientIsAnswered408(t *testing.T) {
	g := newTestGateway(t, func(o *DataOptions) { o.Timeouts.Read = 100 * time.Millisecond })
	table := *g.mozart()
	table.maxBody = 64 << 20 // so large a body may take its time, but has to come
	g.router.publish(&table)
	g.everywhere(t, aSlowClientIsAnswered408)
}

func aSlowClientIsAnswered408(t *testing.T, g *testGateway) {
	for name, raw := range map[string]string{
		"head":           "POST " + infer + " HTTP/1.1\r\nHo",
		"body":           "POST " + infer + " HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
		"long body":      "POST " + infer + " HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat(" ", 50000),
		"claimed body":   "POST " + infer + " HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n" + strings.Repeat(" ", 1000),
		"chunk":          "POST " + infer + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
		"absent body":    "GET /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n",
		"second request": "GET /v2 HTTP/1.1\r\nHost: a\r\n\r\nGET /v2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := g.exchange(raw)
			if i := strings.LastIndex(got, "HTTP/1.1 "); i < 0 || !strings.HasPrefix(got[i:], "HTTP/1.1 408 ") || !strings.Contains(got[i:], `{"error":"the `) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAUnixSocketAnswersTheSame(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	g.start(ln)
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	defer client.CloseIdleConnections()
	response, err := client.Post("http://unix"+infer, "application/json", strings.NewReader(rowsOf(1)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != answered {
		t.Errorf("got %s", body)
	}
}

func TestDrainAnswersWhatWasBegun(t *testing.T) {
	g := newTestGateway(t)
	slow := doubler()
	waiting, release := blocking(t, slow)
	g.put(g.model("mozart", version{name: "1", weight: 1, model: slow}))
	nc, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", infer, len(rowsOf(1)), rowsOf(1))
	eventually(t, "the request is running", func() bool { return waiting.Load() == 1 })
	g.send("GET", "/v2/health/ready", "").want(t, 200, `{"ready":true}`)
	g.NotReady()
	g.send("GET", "/v2/health/ready", "").want(t, 503, `{"ready":false,"error":"the gateway is not ready"}`)
	g.send("GET", "/v2/health/live", "").want(t, 200, `{"live":true}`)
	g.client.CloseIdleConnections()
	drained := make(chan error, 1)
	go func() { drained <- g.Drain(context.Background(), 10*time.Millisecond) }()
	eventually(t, "new connections are refused", func() bool {
		late, err := net.Dial("tcp", g.address)
		if err == nil {
			late.Close()
		}
		return err != nil
	})
	select {
	case err := <-drained:
		t.Fatalf("drained before the request was answered: %v", err)
	default:
	}
	close(release)
	response, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(response.Body); response.StatusCode != 200 || !response.Close || string(body) != answered {
		t.Errorf("%d, close %v: %s", response.StatusCode, response.Close, body)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

func TestDrainGivesUpWhenItsTimeIsOver(t *testing.T) {
	g := newTestGateway(t)
	slow := doubler()
	waiting, release := blocking(t, slow)
	g.put(g.model("mozart", version{name: "1", weight: 1, model: slow}))
	nc, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", infer, len(rowsOf(1)), rowsOf(1))
	eventually(t, "the request is running", func() bool { return waiting.Load() == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := g.Drain(ctx, 0); err == nil || !strings.Contains(err.Error(), "1 requests are still being answered") {
		t.Errorf("got %v", err)
	}
	close(release)
}

func TestAPanicIsOneRequestsEndOnly(t *testing.T) {
	g := newTestGateway(t)
	good := g.mozart()
	bad := *good
	bad.access = nil // which the handler does not expect
	g.router.publish(&bad)
	got := g.exchange("GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 500 ") || !strings.HasSuffix(got, `{"error":"internal error"}`) {
		t.Errorf("got %q", got)
	}
	g.router.publish(good)
	g.send("POST", infer, rowsOf(1)).want(t, 200, answered)
}
