//go:build !race

package gateway

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// The race detector makes pools forget on purpose, so that allocations are
// counted without it only.

func TestLookingUpAPathAllocatesNothing(t *testing.T) {
	var r route
	plain, escaped := []byte("/v2/models/mozart/versions/12/infer"), []byte("/v2/models/moz%61rt/versions/1%32/infer")
	r.parse(escaped)
	if n := testing.AllocsPerRun(100, func() { r.parse(plain); r.parse(escaped) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPredictionIDIsMadeWithoutAllocation(t *testing.T) {
	names, now := hashNames("mozart", "2", "canary"), time.Now()
	buf := make([]byte, 0, 64)
	for name, maker := range map[string]*idMaker{"checksum": newIDMaker(nil), "mac": newIDMaker([]byte("0123456789abcdef"))} {
		// The pool of MACs may be emptied by the garbage collector.
		if n := testing.AllocsPerRun(200, func() { buf = maker.append(buf[:0], names, idNote{class: 1}, now) }); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// quiet is a doubler that answers always the same, without an allocation.
type quiet struct {
	sig *runtime.Signature
	out []runtime.Tensor
}

func newQuiet() quiet {
	return quiet{&doubler().Signature, []runtime.Tensor{runtimetest.FP32("y", []int64{1, 3}, 2, 4, 6)}}
}

func (q quiet) Signature() *runtime.Signature { return q.sig }
func (q quiet) Close() error                  { return nil }
func (q quiet) Run(context.Context, []runtime.Tensor, []int) (runtime.Result, error) {
	return runtime.NewResult(q.out, nil), nil
}

// binaryRequest is an inference request in binary form.
func binaryRequest() (body []byte, headerLength int) {
	head := `{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}],"parameters":{"binary_data_output":true}}`
	body = []byte(head)
	for _, f := range []float32{1, 2, 3} {
		body = binary.LittleEndian.AppendUint32(body, math.Float32bits(f))
	}
	return body, len(head)
}

// rawRequest is a request as it goes over the wire.
func rawRequest(path string, body []byte, headers ...string) []byte {
	raw := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: segue\r\nContent-Length: %d\r\n", path, len(body))
	for _, h := range headers {
		raw = append(append(raw, h...), "\r\n"...)
	}
	return append(append(raw, "\r\n"...), body...)
}

// repeat returns what sends one request again and again over one connection
// and allocates nothing itself. All answers must be as long as the first.
func (g *testGateway) repeat(raw []byte) (once func()) {
	nc, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { nc.Close() })
	buf := make([]byte, 4096)
	if _, err := nc.Write(raw); err != nil {
		g.t.Fatal(err)
	}
	n, err := nc.Read(buf)
	if err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200 ")) {
		g.t.Fatalf("%q, %v", buf[:n], err)
	}
	return func() {
		if _, err := nc.Write(raw); err != nil {
			g.t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, buf[:n]); err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200 ")) {
			g.t.Fatalf("%q, %v", buf[:n], err)
		}
	}
}

func TestAPredictionInSteadyStateAllocatesNothing(t *testing.T) {
	g := newTestGateway(t)
	m := g.model("mozart", version{name: "1", weight: 1, session: newQuiet()}, version{name: "2", weight: 1, session: newQuiet()})
	m.stickyHeader = "X-User-Id"
	for _, v := range m.versions {
		v.breaker = newBreaker(nil)
	}
	recorder := rollout.NewRecorder("r", "w")
	recorder.Begin(0, 1)
	m.rollout = &rolloutRoute{recorder: recorder, stable: "1", canary: "2", seed: 7, judge: func() {}}
	g.put(m)
	body, headerLength := binaryRequest()
	length := fmt.Sprintf("Inference-Header-Content-Length: %d", headerLength)
	for name, raw := range map[string][]byte{
		"binary":        rawRequest(infer, body, length),
		"binary, keyed": rawRequest(infer, body, length, "X-User-Id: 17", "X-Request-Id: abc", "X-Request-Timeout-Ms: 1000", "Content-Type: application/octet-stream"),
		"JSON":          rawRequest(infer, []byte(rowsOf(1)), jsonType),
		"V1":            rawRequest(predict, []byte(instances), jsonType),
	} {
		once := g.repeat(raw)
		for range 100 {
			once()
		}
		// A collection may empty the pools in between, so the mean is not
		// quite zero.
		if n := testing.AllocsPerRun(500, once); n >= 1 {
			t.Errorf("%s: %v allocations a request", name, n)
		}
	}
}

func BenchmarkPrediction(b *testing.B) {
	g := newTestGateway(b)
	g.put(g.model("mozart", version{name: "1", weight: 1, session: newQuiet()}))
	body, headerLength := binaryRequest()
	for name, raw := range map[string][]byte{
		"binary": rawRequest(infer, body, fmt.Sprintf("Inference-Header-Content-Length: %d", headerLength)),
		"json":   rawRequest(infer, []byte(rowsOf(1)), jsonType),
		"live":   bytes.Replace(rawRequest("/v2/health/live", nil), []byte("POST"), []byte("GET"), 1),
	} {
		b.Run(name, func(b *testing.B) {
			once := g.repeat(raw)
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
		})
	}
}
