//go:build !race

package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// endlessConn is a client without a kernel: it sends the same request again as
// soon as all of it was read, a number of times, and reads answers at once.
type endlessConn struct {
	net.Conn
	request []byte
	at      int
	left    int
	answers int
}

func (c *endlessConn) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.request[c.at:])
	if c.at += n; c.at == len(c.request) {
		c.at = 0
		c.left--
	}
	return n, nil
}

func (c *endlessConn) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("HTTP/1.1 200 ")) {
		c.answers++
	}
	return len(p), nil
}

func (c *endlessConn) Close() error                     { return nil }
func (c *endlessConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *endlessConn) SetReadDeadline(time.Time) error  { return nil }
func (c *endlessConn) SetWriteDeadline(time.Time) error { return nil }

// tinyRequest is an inference of 32 numbers with six digits.
func tinyRequest() string {
	numbers := make([]string, 32)
	for i := range numbers {
		numbers[i] = fmt.Sprintf("%.6f", float64(i*i%17)/7-1)
	}
	return `{"inputs":[{"name":"x","shape":[1,32],"datatype":"FP32","data":[` + strings.Join(numbers, ",") + `]}]}`
}

// BenchmarkPath is what a request costs in the gateway without the kernel and
// the model's run: the HTTP library, which echo shows alone, and what is ours.
func BenchmarkPath(b *testing.B) {
	g := newTestGateway(b)
	wide := newQuiet()
	wide.sig.Inputs[0].Shape[1] = 32
	g.put(g.model("mozart", version{name: "1", weight: 1, session: wide}))
	body, headerLength := binaryRequest()
	body = append(bytes.Replace(bytes.Replace(body[:headerLength], []byte("[1,3]"), []byte("[1,32]"), 1),
		[]byte(":12}"), []byte(":128}"), 1), make([]byte, 128)...)
	json := rawRequest(infer, []byte(tinyRequest()), jsonType)
	serve := func(s *fasthttp.Server, raw []byte, listener connListener) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			c := &endlessConn{request: raw, left: b.N}
			if err := s.ServeConn(listener.wrap(c)); err != nil {
				b.Fatal(err)
			}
			if c.answers != b.N {
				b.Fatalf("%d answers to %d requests", c.answers, b.N)
			}
		}
	}
	timeouts := connListener{timeouts: Timeouts{}.withDefaults()}
	b.Run("json", serve(g.http, json, timeouts))
	b.Run("binary", serve(g.http, rawRequest(infer, body, fmt.Sprintf("Inference-Header-Content-Length: %d", headerLength+2)), timeouts))
	answer := []byte(answered)
	echo := &fasthttp.Server{NoDefaultServerHeader: true, Handler: func(ctx *fasthttp.RequestCtx) {
		for _, name := range []string{"X-Request-Id", "Segue-Config-Index", "Segue-Model-Version", "Segue-Variant", "Segue-Prediction-Id"} {
			ctx.Response.Header.Set(name, "of some length")
		}
		ctx.Response.Header.SetContentType("application/json")
		ctx.Response.SetBody(answer)
	}}
	b.Run("echo", serve(echo, json, timeouts))
}

// BenchmarkMetricsOfARequest is what counting one answered prediction costs, to
// be held against BenchmarkPath: a request without metrics would cost that much
// less. Writers on several cores do not hinder each other.
func BenchmarkMetricsOfARequest(b *testing.B) {
	counted := func(v *versionMetrics, stripe uint8, now time.Time) {
		for st := range stageCount {
			v.observe(stripe, st, 3000)
		}
		v.attempted(stripe, outcomeOK, true, 3*time.Microsecond, now)
		v.answered(stripe, protocolHTTP, 200, 360, 120)
	}
	m := NewMetrics(prometheus.NewRegistry())
	b.Run("one writer", func(b *testing.B) {
		v, now := m.version("mozart", "1", "stable"), time.Now()
		for b.Loop() {
			counted(v, 0, now)
		}
	})
	b.Run("as many as cores", func(b *testing.B) {
		v, now := m.version("mozart", "2", "stable"), time.Now()
		var writers atomic.Uint32
		b.RunParallel(func(pb *testing.PB) {
			stripe := uint8(writers.Add(1))
			for pb.Next() {
				counted(v, stripe, now)
			}
		})
	})
}
