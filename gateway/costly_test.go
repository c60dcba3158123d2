//go:build !race

package gateway

import (
	"bytes"
	"compress/gzip"
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
)

// The race detector's own memory would be counted, so that this runs without.

// No request may cost more memory than 20 times its bytes, whatever they are;
// a compressed one's are what the limit of the body lets it become.
func TestNoRequestCostsMoreThanTwentyTimesItsBytes(t *testing.T) {
	g := newTestGateway(t)
	limit := int(g.mozart().maxBody)
	sized := func(body string, headers ...string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s", infer, len(body),
			strings.Join(append(headers, ""), "\r\n"), body)
	}
	bomb := func(of string) string {
		var packed bytes.Buffer
		w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(of))
		w.Close()
		return sized(packed.String(), "Content-Encoding: gzip")
	}
	tensor := func(data string) string {
		return `{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":` + data + `}]}`
	}
	for _, c := range []struct {
		name, raw string
		status    string
		bytes     int // 0 where they are those of raw
	}{
		{"65,536 chunks of one byte", "POST " + infer + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" +
			strings.Repeat("1\r\n \r\n", 1<<16) + "0\r\n\r\n", "400", 0},
		{"deep JSON", sized(strings.Repeat("[", 1<<19)), "400", 0},
		{"deep data", sized(tensor(strings.Repeat("[", 1<<18) + strings.Repeat("]", 1<<18))), "400", 0},
		{"deep parameters", sized(`{"parameters":` + strings.Repeat(`{"a":`, 1<<16) + "1" + strings.Repeat("}", 1<<16) + "}"), "400", 0},
		{"many inputs", sized(`{"inputs":[` + strings.TrimSuffix(strings.Repeat("{},", 1<<17), ",") + "]}"), "400", 0},
		{"many outputs", sized(`{"outputs":[` + strings.TrimSuffix(strings.Repeat(`{"name":"y"},`, 1<<15), ",") + "]}"), "400", 0},
		{"many numbers", sized(tensor("[" + strings.TrimSuffix(strings.Repeat("1,", 1<<18), ",") + "]")), "400", 0},
		{"a large shape", sized(strings.Replace(tensor("[1]"), "[1,3]", "[4611686018427387904,3]", 1)), "400", 0},
		{"a bomb over the limit", bomb(strings.Repeat(" ", 64<<20)), "413", limit},
		{"a bomb of brackets", bomb(strings.Repeat("[", limit)), "400", limit},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.bytes == 0 {
				c.bytes = len(c.raw)
			}
			once := func() (grown uint64) {
				var before, after goruntime.MemStats
				goruntime.ReadMemStats(&before)
				got := g.exchange(c.raw)
				goruntime.ReadMemStats(&after)
				if !strings.HasPrefix(got, "HTTP/1.1 "+c.status+" ") {
					t.Errorf("got %.300q, want %s", got, c.status)
				}
				return after.TotalAlloc - before.TotalAlloc
			}
			once()                   // what is kept for all requests
			const beside = 128 << 10 // the connection's buffers, and the test's own
			if grown := once(); grown > uint64(20*c.bytes+beside) {
				t.Errorf("%d bytes took %d of memory", c.bytes, grown)
			}
		})
	}
}
