package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// startFakeGRPC answers the message of every call, or the error that it names.
func startFakeGRPC(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.ForceServerCodecV2(encoded{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		var body []byte
		if err := stream.RecvMsg(&body); err != nil {
			return err
		}
		switch string(body) {
		case "full":
			return status.Error(codes.ResourceExhausted, "no more")
		case "gone":
			return status.Error(codes.Unavailable, "not here")
		}
		if err := stream.SetHeader(metadata.Pairs("mark", "m")); err != nil {
			return err
		}
		return stream.SendMsg(body)
	}))
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestCallsAreCheckedAsRequestsAre(t *testing.T) {
	target := Target{GRPC: true, Addr: startFakeGRPC(t), Timeout: 10 * time.Second,
		Requests: []Request{{Path: "/a.B/C", Body: []byte("one")}, {Path: "/a.B/C", Body: []byte("longer")}, {Path: "/a.B/C", Body: []byte("full")}}}
	target.Check = func(i int, a Answer, _ time.Time) error {
		switch {
		case !a.IsMessage():
			return errors.New("no message")
		case i == 2 && a.Code() == 429 && string(a.Body()) == "no more" && len(a.Header("mark")) == 0:
			return fmt.Errorf("%w: %s", ErrRefused, a.Body())
		case a.Code() != 200 || string(a.Body()) != string(target.Requests[i].Body) || string(a.Header("Mark")) != "m":
			return fmt.Errorf("%d: %d %q %q", i, a.Code(), a.Body(), a.Header("mark"))
		}
		return nil
	}
	out, err := Open(context.Background(), target, OpenOptions{Rate: 300, Arrivals: Even, Connections: 3, Duration: 100 * time.Millisecond, Keep: true})
	if err != nil || out.Answered != 20 || out.Refused != 10 || out.Failed != 0 || out.Refusal.Count() != 10 || len(out.Samples) != 30 {
		t.Fatalf("%+v, %v", out, err)
	}
	for i, s := range out.Samples {
		if want := time.Duration(float64(i) / 300 * float64(time.Second)); s.Due != want || s.Latency <= 0 || (s.Kind == Refused) != (i%3 == 2) {
			t.Errorf("sample %d is %+v", i, s)
		}
	}
	closed, err := Closed(context.Background(), target, ClosedOptions{Connections: 1, Duration: time.Second})
	if err != nil || closed.Answered == 0 || closed.Refused == 0 || closed.Failed != 0 {
		t.Errorf("a closed loop ends with a refusal: %+v, %v", closed, err)
	}
}

func TestACallWithoutAnAnswerFails(t *testing.T) {
	target := Target{GRPC: true, Addr: startFakeGRPC(t), Timeout: 10 * time.Second, Requests: []Request{{Path: "/a.B/C", Body: []byte("gone")}}}
	if err := Once(target, 0, func(Answer) error { return nil }); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("got %v", err)
	}
}

// encoded is a codec for bytes as they are.
type encoded struct{}

func (encoded) Name() string { return "proto" }

func (encoded) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (encoded) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
