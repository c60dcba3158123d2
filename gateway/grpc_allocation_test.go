//go:build !race

package gateway

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

// endless is a client that makes one call again and again over a connection of
// its own, and allocates nothing.
type endless struct {
	conn net.Conn
	// stream is the number of the next call.
	stream uint32
	// call is a HEADERS and a DATA frame, data where the second begins.
	call   []byte
	data   int
	answer []byte
}

// calls connects such a client for ModelInfer.
func (g *testGateway) calls(message proto.Message) *endless {
	g.t.Helper()
	content, err := proto.Marshal(message)
	if err != nil {
		g.t.Fatal(err)
	}
	var head, call bytes.Buffer
	encoder := hpack.NewEncoder(&head)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/inference.GRPCInferenceService/ModelInfer"},
		{":authority", "segue"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		// Not indexed, so that the bytes are the same for every call.
		if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true}); err != nil {
			g.t.Fatal(err)
		}
	}
	c := &endless{stream: 1, answer: make([]byte, 16<<10)}
	if c.conn, err = net.Dial("tcp", strings.TrimPrefix(g.dial(nil).Target(), "passthrough:///")); err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.conn.Close() })
	begin := bytes.NewBufferString(http2.ClientPreface)
	if err := http2.NewFramer(begin, nil).WriteSettings(); err != nil {
		g.t.Fatal(err)
	}
	if _, err := c.conn.Write(begin.Bytes()); err != nil {
		g.t.Fatal(err)
	}
	framer := http2.NewFramer(&call, nil)
	if err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true}); err != nil {
		g.t.Fatal(err)
	}
	c.data = call.Len()
	if err := framer.WriteData(1, true, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(content))), content...)); err != nil {
		g.t.Fatal(err)
	}
	c.call = call.Bytes()
	return c
}

const (
	// frameHead is how long a frame's head is, frameType, frameFlags and
	// frameStream are where in it.
	frameHead   = 9
	frameType   = 3
	frameFlags  = 4
	frameStream = 5
)

// once makes one call and returns the bytes of its answer's message.
func (c *endless) once() (message int, err error) {
	binary.BigEndian.PutUint32(c.call[frameStream:], c.stream)
	binary.BigEndian.PutUint32(c.call[c.data+frameStream:], c.stream)
	c.stream += 2
	if _, err := c.conn.Write(c.call); err != nil {
		return 0, err
	}
	for {
		head := c.answer[:frameHead]
		if _, err := io.ReadFull(c.conn, head); err != nil {
			return 0, err
		}
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if http2.FrameType(head[frameType]) == http2.FrameData {
			message += size
		}
		ended := http2.FrameType(head[frameType]) == http2.FrameHeaders && http2.Flags(head[frameFlags]).Has(http2.FlagHeadersEndStream)
		if _, err := io.ReadFull(c.conn, c.answer[:size]); err != nil {
			return 0, err
		}
		if ended {
			return message, nil
		}
	}
}

// mostAllocations is what a call over gRPC allocates: six of them the gateway,
// for its head, two ids, and the answer with what the library wants around it;
// the others the library.
const mostAllocations = 63

func TestACallOverGRPCAllocatesLittleBeyondTheLibrary(t *testing.T) {
	g := newTestGateway(t)
	g.put(g.model("mozart", version{name: "1", weight: 1, session: newQuiet()}))
	client := g.calls(rowsMessage(1))
	want := 5 + proto.Size(doubled(1))
	once := func() {
		if got, err := client.once(); err != nil || got != want {
			t.Fatalf("a message of %d bytes, want %d, %v", got, want, err)
		}
	}
	for range 100 {
		once()
	}
	if n := testing.AllocsPerRun(500, once); n > mostAllocations {
		t.Errorf("%v allocations a call, want %d at most", n, mostAllocations)
	}
}
