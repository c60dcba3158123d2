package gateway

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"
)

// gzipped is a text as a body with Content-Encoding: gzip.
func gzipped(t *testing.T, text string) string {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

func TestOnlySoMuchLiesDecompressedAtOnce(t *testing.T) {
	g := newTestGateway(t)
	limit := g.mozart().maxBody
	bomb := gzipped(t, strings.Repeat(" ", int(limit)))
	codecs := &g.codec
	held := make([]unpacked, unpackedBodies)
	for i := range held {
		if err := codecs.decompress(&held[i], codingGzip, []byte(bomb), limit); err != nil {
			t.Fatalf("body %d: %v", i+1, err)
		}
	}
	mapped := g.opts.Pool.MappedBytes()
	var over unpacked
	if err := codecs.decompress(&over, codingGzip, []byte(bomb), limit); !errors.Is(err, errNoRoom) {
		t.Errorf("one more: %v", err)
	}
	got := g.send("POST", infer, bomb, "Content-Encoding: gzip")
	got.want(t, 503, `{"error":"the gateway is decompressing as much as it may"}`)
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
	if n := g.metrics.shed[shedInFlight].Load(); n != 1 {
		t.Errorf("%d requests count as shed", n)
	}
	if now := g.opts.Pool.MappedBytes(); now != mapped {
		t.Errorf("what was refused took %d bytes", now-mapped)
	}
	g.send("POST", infer, gzipped(t, rowsOf(1)), "Content-Encoding: gzip").want(t, 200, answered)

	codecs.release(&over)
	for i := range held {
		codecs.release(&held[i])
	}
	g.send("POST", infer, bomb, "Content-Encoding: gzip").want(t, 400, `{"error":"malformed JSON at byte 1048576: the text ends, expected an object"}`)
	eventually(t, "all room is given back", func() bool { return codecs.unpacked.Load() == 0 })
}
