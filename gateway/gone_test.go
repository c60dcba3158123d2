package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// dialers are the ways to reach a gateway over HTTP, by name.
func (g *testGateway) dialers() map[string]func() net.Conn {
	g.t.Helper()
	dir := g.t.TempDir()
	unix, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.start(unix)
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writeCertificate(g.t.(*testing.T), certFile, keyFile, 1)
	certificate, err := LoadCertificate(certFile, keyFile, g.opts.Log)
	if err != nil {
		g.t.Fatal(err)
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	g.start(certificate.Listen(secure))
	overTCP := g.dialer("tcp", secure.Addr().String())
	return map[string]func() net.Conn{
		"TCP":  g.dialer("tcp", g.address),
		"Unix": g.dialer("unix", unix.Addr().String()),
		"TLS":  func() net.Conn { return tls.Client(overTCP(), &tls.Config{InsecureSkipVerify: true}) },
	}
}

func (g *testGateway) dialer(network, address string) func() net.Conn {
	return func() net.Conn {
		g.t.Helper()
		c, err := net.Dial(network, address)
		if err != nil {
			g.t.Fatal(err)
		}
		return c
	}
}

// everywhere makes the same test on every listener of HTTP.
func (g *testGateway) everywhere(t *testing.T, test func(*testing.T, *testGateway)) {
	for name, dial := range g.dialers() {
		t.Run(name, func(t *testing.T) {
			there := *g
			there.t, there.connect = t, dial
			test(t, &there)
		})
	}
}

func TestARequestWhoseClientLeftTheQueueIsNotRun(t *testing.T) {
	type closeWriter interface{ CloseWrite() error }
	leave := func(c net.Conn) { c.Close() }
	reset := func(c net.Conn) {
		if over, ok := c.(*tls.Conn); ok {
			c = over.NetConn()
		}
		if over, ok := c.(*net.TCPConn); ok {
			over.SetLinger(0)
		}
		c.Close()
	}
	halfClose := func(c net.Conn) { c.(closeWriter).CloseWrite() }
	stay := func(net.Conn) {}
	for _, c := range []struct {
		listener, name string
		act            func(net.Conn)
		answered       bool
	}{
		{"TCP", "closed", leave, false}, {"TCP", "reset", reset, false}, {"TCP", "patient", stay, true},
		{"Unix", "closed", leave, false}, {"Unix", "half closed", halfClose, true}, {"Unix", "patient", stay, true},
		{"TLS", "closed", leave, false}, {"TLS", "reset", reset, false}, {"TLS", "half closed", halfClose, true}, {"TLS", "patient", stay, true},
	} {
		t.Run(c.listener+" "+c.name, func(t *testing.T) {
			g := newTestGateway(t)
			slow := doubler()
			waiting, release := blocking(t, slow)
			g.put(g.model("mozart", version{name: "1", weight: 1, model: slow}))
			running := []<-chan answer{g.background(infer), g.background(infer)}
			eventually(t, "both permits are taken", func() bool { return waiting.Load() == 2 })
			nc := g.dialers()[c.listener]()
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(10 * time.Second))
			// A second request behind the first is no sign of life, and none of
			// an end.
			fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%sGET", infer, len(rowsOf(1)), rowsOf(1))
			eventually(t, "one request waits", func() bool { return g.executor.Stats().Queued == 1 })
			c.act(nc)
			time.Sleep(20 * time.Millisecond) // over the loopback the kernel knows at once
			close(release)
			for _, done := range running {
				(<-done).want(t, 200, answered)
			}
			if c.answered {
				response, err := http.ReadResponse(bufio.NewReader(nc), nil)
				if err != nil {
					t.Fatal(err)
				}
				if body, err := io.ReadAll(response.Body); string(body) != answered || err != nil {
					t.Errorf("got %s, %v", body, err)
				}
			}
			want := map[string]uint64{"ok": 2, "cancelled": 1}
			if c.answered {
				want = map[string]uint64{"ok": 3}
			}
			eventually(t, "all are counted", func() bool {
				counts := g.attempts("mozart", "1")
				return counts["ok"] == want["ok"] && counts["cancelled"] == want["cancelled"] && len(counts) == len(want)
			})
			if n := waiting.Load(); n != int64(want["ok"]) {
				t.Errorf("%d runs", n)
			}
		})
	}
}

func TestALookForTheClientCostsNothingWhereNothingWaited(t *testing.T) {
	c := &httpCall{} // without a connection to ask
	c.client = client{Context: context.Background(), call: c}
	if c.client.Err() != nil {
		t.Error("gone before it was looked for")
	}
	c.run.Ran = time.Millisecond
	if c.client.Err() != nil {
		t.Error("gone behind a short run")
	}
}
