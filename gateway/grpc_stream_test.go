package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/oip/oippb"
)

func TestMessagesOfAStreamAreAnsweredInTheirOrder(t *testing.T) {
	g := newTestGateway(t)
	limited := g.model("limited", version{name: "1", weight: 1, model: doubler()})
	limited.limiter = rate.NewLimiter(0.001, 1)
	g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()}), limited)
	stream, err := g.rpc().ModelStreamInfer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request := func(id, model string, rows int) *oippb.ModelInferRequest {
		m := rowsMessage(rows)
		m.Id, m.ModelName = id, model
		return m
	}
	type reply struct {
		request *oippb.ModelInferRequest
		rows    int
		says    string
	}
	var replies []reply
	for i := range 20 {
		replies = append(replies, reply{request(fmt.Sprint(i), "mozart", 1+i%4), 1 + i%4, ""})
	}
	short := request("short", "mozart", 1)
	short.RawInputContents[0] = short.RawInputContents[0][:8]
	replies = append(replies,
		reply{request("u", "haydn", 1), 0, `unknown model "haydn"`},
		reply{short, 0, `input "x": raw_input_contents[0] has 8 bytes, but shape [1,3] of FP32 takes 12`},
		reply{request("one", "limited", 1), 1, ""},
		reply{request("two", "limited", 1), 0, `model "limited": the rate limit of 0.001 requests a second is reached`},
		reply{request("", "mozart", 2), 2, ""})
	go func() {
		for _, r := range replies {
			if err := stream.Send(r.request); err != nil {
				t.Error(err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
	}()
	for _, r := range replies {
		got, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		want := &oippb.ModelStreamInferResponse{ErrorMessage: r.says, InferResponse: &oippb.ModelInferResponse{Id: r.request.Id}}
		if r.says == "" {
			want.InferResponse = doubled(r.rows)
			want.InferResponse.Id, want.InferResponse.ModelName = r.request.Id, r.request.ModelName
		}
		if !proto.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
	if counts := g.attempts("mozart", "1"); counts["ok"] != 21 || counts["client_error"] != 1 {
		t.Errorf("attempts %v", counts)
	}
	if ok, unknown, over := g.requestsWith("200"), g.requestsWith("404"), g.requestsWith("429"); ok < 22 || unknown != 1 || over != 1 {
		t.Errorf("counted %d, %d and %d", ok, unknown, over)
	}
}

func TestAStreamIsHeldToItsKeyMessageByMessage(t *testing.T) {
	g := newTestGateway(t)
	table := *g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()}), g.model("haydn", version{name: "1", weight: 1, model: doubler()}))
	key := keyOf("haydn", []string{"haydn"}, "predict")
	key.Rate = 0.01
	table.access = mustAccess(t, &configs.Settings{Keys: []configs.Key{key}})
	g.router.publish(&table)
	stream, err := g.rpc().ModelStreamInfer(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer haydn"))
	if err != nil {
		t.Fatal(err)
	}
	for model, says := range map[string]string{"mozart": "the API key has no permission for this model"} {
		m := rowsMessage(1)
		m.ModelName = model
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || got.ErrorMessage != says {
			t.Errorf("%v, %v", got, err)
		}
	}
	for _, says := range []string{"", "this API key: the rate limit of 0.01 requests a second is reached"} {
		m := rowsMessage(1)
		m.ModelName = "haydn"
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || got.ErrorMessage != says {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestAMessageThatDoesNotComeIsNotWaitedForLonger(t *testing.T) {
	g := newTestGateway(t, func(o *DataOptions) { o.Timeouts.Read = 50 * time.Millisecond })
	g.mozart()
	conn := g.dial(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, method := range []string{"inference.GRPCInferenceService/ModelInfer", "inference.GRPCInferenceService/ModelMetadata", "grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch"} {
		// A stream to the client, so that the head goes out without a message.
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/"+method)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := stream.RecvMsg(&oippb.ModelInferResponse{}); ctx.Err() != nil || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %v after %v", method, err, time.Since(began))
		} else {
			wantStatus(t, err, codes.DeadlineExceeded, "the message did not arrive in time")
		}
	}
	eventually(t, "it is counted", func() bool { return g.requestsWith("408") == 1 })
	// The stream of predictions waits for as long as the client likes.
	stream, err := oippb.NewGRPCInferenceServiceClient(conn).ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond)
	if err := stream.Send(rowsMessage(1)); err != nil {
		t.Fatal(err)
	}
	if got, err := stream.Recv(); err != nil || !proto.Equal(got.InferResponse, doubled(1)) {
		t.Errorf("%v, %v", got, err)
	}
}

// dribbling is a connection that, once told, sends a byte at a time.
type dribbling struct {
	net.Conn
	slow *atomic.Bool
}

func (d dribbling) Write(p []byte) (n int, err error) {
	for ; d.slow.Load() && n < len(p) && err == nil; n++ {
		time.Sleep(20 * time.Millisecond)
		_, err = d.Conn.Write(p[n : n+1])
	}
	if n < len(p) && err == nil {
		var more int
		more, err = d.Conn.Write(p[n:])
		n += more
	}
	return n, err
}

func TestAMessageThatDribblesIsNotGivenTheTimeOfTheLargest(t *testing.T) {
	g := newTestGateway(t, func(o *DataOptions) { o.Timeouts.Read = 100 * time.Millisecond })
	table := *g.mozart()
	table.maxBody = 64 << 20
	g.router.publish(&table)
	var slow atomic.Bool
	conn := g.dial(nil, grpc.WithContextDialer(func(_ context.Context, address string) (net.Conn, error) {
		nc, err := net.Dial("tcp", address)
		return dribbling{nc, &slow}, err
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/inference.GRPCInferenceService/ModelInfer")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the head is there", func() bool { return g.grpc.active.Load() == 1 })
	slow.Store(true)
	// Whether it is sent whole shows in the answer.
	_ = stream.SendMsg(rowsMessage(4))
	wantStatus(t, stream.RecvMsg(&oippb.ModelInferResponse{}), codes.DeadlineExceeded, "the message did not arrive in time")
	slow.Store(false)
	eventually(t, "it is counted", func() bool { return g.requestsWith("408") == 1 })
}

func TestConnectionsOverGRPCAreBounded(t *testing.T) {
	g := newTestGateway(t, func(o *DataOptions) { o.MaxConnections = 2 })
	g.mozart()
	first, second := g.dial(nil), g.dial(nil)
	live := func(c *grpc.ClientConn) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := oippb.NewGRPCInferenceServiceClient(c).ServerLive(ctx, &oippb.ServerLiveRequest{})
		return err
	}
	if err := errors.Join(live(first), live(second)); err != nil {
		t.Fatal(err)
	}
	third := g.dial(nil)
	if err := live(third); err == nil || !strings.Contains(err.Error(), codes.Unavailable.String()) {
		t.Errorf("a third connection: %v", err)
	}
	if err := errors.Join(live(first), live(second), first.Close()); err != nil {
		t.Error(err)
	}
	eventually(t, "there is room again", func() bool { return live(third) == nil })
}

func TestACompressedMessageIsUnpackedToTheLimitOnly(t *testing.T) {
	for _, coding := range []string{gzip.Name, deflateName} {
		t.Run(coding, func(t *testing.T) {
			g := newTestGateway(t)
			g.mozart()
			client := g.rpc()
			bomb := rowsMessage(1)
			bomb.Parameters = map[string]*oippb.InferParameter{"p": {ParameterChoice: &oippb.InferParameter_StringParam{StringParam: strings.Repeat("a", 4<<20)}}}
			_, err := client.ModelInfer(t.Context(), bomb, grpc.UseCompressor(coding))
			wantStatus(t, err, codes.ResourceExhausted, "grpc: received message after decompression larger than max 1048576")
			eventually(t, "it is counted", func() bool { return g.requestsWith("413") == 1 })
			if n := g.metrics.unknown.total().bytesIn; n != 0 {
				t.Errorf("%d bytes of it were taken", n)
			}
			got, err := client.ModelInfer(t.Context(), rowsMessage(1), grpc.UseCompressor(coding))
			wantMessage(t, got, err, doubled(1))
		})
	}
}
