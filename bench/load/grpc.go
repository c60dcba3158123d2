package load

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// grpcConnection makes unary calls over one HTTP/2 connection, one at a time.
type grpcConnection struct {
	target *Target
	client *grpc.ClientConn
	last   answer
	head   metadata.MD
}

const (
	// mostMessage is far above any message that is sent.
	mostMessage = 256 << 20
	grpcWindow  = 1 << 20
)

func dialGRPC(t *Target) (*grpcConnection, error) {
	// Windows of a fixed size: measuring them would send a ping with nearly
	// every answer.
	client, err := grpc.NewClient("passthrough:///"+t.Addr, grpc.WithInitialWindowSize(grpcWindow), grpc.WithInitialConnWindowSize(4*grpcWindow),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(Encoded{}), grpc.MaxCallRecvMsgSize(mostMessage), grpc.MaxCallSendMsgSize(mostMessage)))
	if err != nil {
		return nil, fmt.Errorf("a gRPC client for %s: %w", t.Addr, err)
	}
	return &grpcConnection{target: t, client: client}, nil
}

func (c *grpcConnection) do(i int) (at time.Time, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.target.Timeout)
	defer cancel()
	request := &c.target.Requests[i]
	clear(c.head)
	c.last.head, c.last.message = c.last.head[:0], true
	err = c.client.Invoke(ctx, request.Path, request.Body, &c.last.body, grpc.Header(&c.head))
	at = time.Now()
	code := status.Code(err)
	meaning, said := statusOf(code)
	if !said {
		return at, fmt.Errorf("no answer: %w", err)
	}
	c.last.code = meaning
	if err != nil {
		c.last.body = append(c.last.body[:0], status.Convert(err).Message()...)
	}
	for name, values := range c.head {
		c.last.head = fmt.Appendf(c.last.head, "%s: %s\r\n", name, values[0])
	}
	return at, c.target.Check(i, Answer{&c.last}, at)
}

// statusOf returns the HTTP status that says what a code does where a server
// that sheds load, or that knows no such model, gives one.
func statusOf(c codes.Code) (status int, said bool) {
	switch c {
	case codes.OK:
		return 200, true
	case codes.InvalidArgument:
		return 400, true
	case codes.NotFound:
		return 404, true
	case codes.ResourceExhausted:
		return 429, true
	case codes.Internal:
		return 500, true
	}
	// Unavailable and DeadlineExceeded come from the client too, without any
	// answer.
	return 0, false
}

// close ends the connection. An error says that it had ended before.
func (c *grpcConnection) close() { _ = c.client.Close() }

// Encoded is the codec for messages that are encoded already, so that the
// client's part is as small as the library lets it be. A message is a []byte
// where it is sent, and a *[]byte where it is received, whose memory is used
// again.
type Encoded struct{}

var _ encoding.CodecV2 = Encoded{}

// Name is that of the protocol buffers which the bytes are.
func (Encoded) Name() string { return "proto" }

// Marshal gives the bytes as they are.
func (Encoded) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

// Unmarshal copies the bytes of an answer.
func (Encoded) Unmarshal(data mem.BufferSlice, v any) error {
	body := v.(*[]byte)
	if n := data.Len(); cap(*body) < n {
		*body = make([]byte, n)
	} else {
		*body = (*body)[:n]
	}
	data.CopyTo(*body)
	return nil
}
