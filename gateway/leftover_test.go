package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// headFor is the head of a prediction for a model that nobody knows, whose body
// is refused unread.
func headFor(length int, fields string) string {
	return fmt.Sprintf("POST /v2/models/haydn/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n", length, fields)
}

// next reads an answer.
func next(t *testing.T, from *bufio.Reader) (response *http.Response) {
	t.Helper()
	response, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response
}

func TestARefusalWaitsForNoBodyAndTheNextRequestIsFoundBehindIt(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	g.everywhere(t, aRefusalWaitsForNoBodyAndTheNextRequestIsFoundBehindIt)
}

func aRefusalWaitsForNoBodyAndTheNextRequestIsFoundBehindIt(t *testing.T, g *testGateway) {
	nc := g.connect()
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	answers := bufio.NewReader(nc)
	say := func(what string) {
		t.Helper()
		if _, err := io.WriteString(nc, what); err != nil {
			t.Fatal(err)
		}
	}
	// What would be a request of its own, were it not a body.
	body := strings.Repeat("GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n", leftoverBytes/29+1)
	for _, length := range []int{1, 100, 9_000, 262_295, leftoverBytes} {
		for _, sent := range []int{1, max(1, length/2), length} {
			say(headFor(length, "") + body[:sent])
			if response := next(t, answers); response.StatusCode != 404 || response.Close {
				t.Fatalf("%d of %d bytes: %d, closed: %v", sent, length, response.StatusCode, response.Close)
			}
			// The rest comes in pieces, the last with the next request.
			half := (length-sent)/2 + sent
			say(body[sent:half])
			say(body[half:length] + "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
			if response := next(t, answers); response.StatusCode != 200 {
				t.Fatalf("behind %d of %d bytes: %d", sent, length, response.StatusCode)
			}
		}
	}
}

func TestBehindALargerBodyOrTheLastTheConnectionIsClosedInOrder(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	g.everywhere(t, func(t *testing.T, g *testGateway) {
		for name, raw := range map[string]string{
			"large": headFor(leftoverBytes+1, "") + strings.Repeat("x", leftoverBytes/2),
			"last":  headFor(200_000, "Connection: close\r\n") + strings.Repeat("x", 100_000),
			"old":   strings.Replace(headFor(200_000, ""), "HTTP/1.1", "HTTP/1.0", 1) + strings.Repeat("x", 100_000),
		} {
			got := g.exchange(raw)
			if !strings.HasPrefix(got, "HTTP/1.1 404 ") || !strings.Contains(got, "Connection: close\r\n") || strings.Count(got, "HTTP/1.1 ") != 1 {
				t.Errorf("%s: got %q", name, got)
			}
		}
	})
}

func TestALeftoverThatDoesNotComeIsAwaitedAsLongAsARequest(t *testing.T) {
	g := newTestGateway(t, func(o *DataOptions) { o.Timeouts.Idle = 200 * time.Millisecond })
	g.mozart()
	g.everywhere(t, func(t *testing.T, g *testGateway) {
		got := g.exchange(headFor(leftoverBytes, "") + "x") // returns when the gateway closes
		if !strings.HasPrefix(got, "HTTP/1.1 404 ") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("got %q", got)
		}
	})
}

func TestAClientThatLeavesInsteadOfSendingTheRestIsForgotten(t *testing.T) {
	g := newTestGateway(t)
	g.mozart()
	g.everywhere(t, func(t *testing.T, g *testGateway) {
		var conns []net.Conn
		for range 8 {
			nc := g.connect()
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.WriteString(nc, headFor(leftoverBytes, "")+"x"); err != nil {
				t.Fatal(err)
			}
			next(t, bufio.NewReader(nc))
			conns = append(conns, nc)
		}
		for _, nc := range conns {
			nc.Close()
		}
		eventually(t, "the connections are closed", func() bool { return g.http.GetCurrentConcurrency() == 0 })
	})
}
