package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// arrival is the wait for the one message behind a call's head. Without its end
// a client that sets no deadline and never sends its message would hold a stream
// for ever: the library bounds the head of a connection only. It is guarded by
// the lock of arrivals.
type arrival struct {
	// stream is the call's, by is when the message has to be there where nothing
	// more comes.
	stream grpc.ServerTransportStream
	by     time.Time
	// Each megabyte that comes over conn gives a second more than by, up to
	// largest bytes: the library does not say what came for which of its
	// streams. had is what conn had read before.
	conn         *grpcConn
	had, largest int64
	// late is set where the time was over, and the stream ended.
	late       bool
	list       *arrivals // nil where it is not waited for
	prev, next *arrival
}

// end is when the message has to be there, from what came until now.
func (a *arrival) end() time.Time {
	came := min(a.conn.came.Load()-a.had, a.largest)
	return a.by.Add(time.Duration(float64(came) / slowestBody * float64(time.Second)))
}

// arrivals are the calls whose messages are waited for, in the order in which
// they came. One timer serves all: it is set for the call that has waited
// longest, and when it fires that one has mostly been answered long ago. A timer
// or a context for each call would cost as much as decoding its message.
type arrivals struct {
	mu sync.Mutex
	// ends is the ring's place before the first and behind the last.
	ends  arrival
	timer *time.Timer // nil while nothing is waited for
}

// lookAgain is the least time between two looks at calls whose time moves with
// what comes.
const lookAgain = 20 * time.Millisecond

func newArrivals() *arrivals {
	l := &arrivals{}
	l.ends.prev, l.ends.next = &l.ends, &l.ends
	return l
}

// add waits for the message of a stream, of at most largest bytes, that comes
// over a connection. usual is how long a small one may take, and the same for
// all.
func (l *arrivals) add(a *arrival, stream grpc.ServerTransportStream, conn *grpcConn, now time.Time, usual time.Duration, largest int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.stream, a.by, a.late, a.list = stream, now.Add(usual), false, l
	a.conn, a.had, a.largest = conn, conn.came.Load(), largest
	a.prev, a.next = l.ends.prev, &l.ends
	a.prev.next, l.ends.prev = a, a
	if l.timer == nil {
		l.timer = time.AfterFunc(usual, l.look)
	}
}

// remove ends the wait and reports whether the time was over. The arrival can
// be used again then.
func (l *arrivals) remove(a *arrival) (late bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unlink(a)
	return a.late
}

func (l *arrivals) unlink(a *arrival) {
	if a.list == nil {
		return
	}
	a.prev.next, a.next.prev = a.next, a.prev
	a.stream, a.conn, a.list, a.prev, a.next = nil, nil, nil, nil, nil
}

// lateMessage is what a client is told, and its call counted as.
const lateMessage = "the message did not arrive in time"

// look ends the calls whose time is over, and sets the timer for the next.
func (l *arrivals) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	var again time.Time
	for a := l.ends.next; a != &l.ends; {
		end, next := a.end(), a.next
		if a.by.After(now) {
			end, next = a.by, &l.ends // nobody behind it is late before
		}
		if !end.After(now) {
			a.stop()
			l.unlink(a)
		} else if again.IsZero() || end.Before(again) {
			again = end
		}
		a = next
	}
	l.timer = nil
	if !again.IsZero() {
		l.timer = time.AfterFunc(max(again.Sub(now), lookAgain), l.look)
	}
}

// stop answers a call whose time is over.
func (a *arrival) stop() {
	a.late = true
	// That the library's streams have this is no promise of its interface: what
	// would not end any more fails a test.
	if stream, ok := a.stream.(interface{ WriteStatus(*status.Status) error }); ok {
		// It only fails where the connection has gone, and the wait with it.
		_ = stream.WriteStatus(status.New(grpcCode(http.StatusRequestTimeout), lateMessage))
	}
}

// headed is the context of a call that knows what came before the message.
type headed struct {
	context.Context
	// head is not changed by anybody.
	head metadata.MD
}

type headKey struct{}

// Value finds the head itself, so that it takes no context of its own.
func (h *headed) Value(key any) any {
	if key == (headKey{}) {
		return h
	}
	return h.Context.Value(key)
}

// keepHead is called for every head, by the goroutine that reads the
// connection. The library copies the head for whoever asks later.
func keepHead(ctx context.Context, info *tap.Info) (context.Context, error) {
	return &headed{ctx, info.Header}, nil
}

// headOf is the head of a call, whatever was made of its context.
func headOf(ctx context.Context) metadata.MD {
	return ctx.Value(headKey{}).(*headed).head
}

// await receives the one message of a call, which began now at the latest, and
// reports whether it was not there in time.
func (s *DataServer) await(ctx context.Context, a *arrival, now time.Time, receive func(any) error, message any) (late bool, err error) {
	s.grpc.arrivals.add(a, grpc.ServerTransportStreamFromContext(ctx), connOf(ctx), now, s.opts.Timeouts.withDefaults().Read, s.router.load().maxBody)
	err = receive(message)
	return s.grpc.arrivals.remove(a), err
}

// awaiting makes every method of a service with one message wait for it no
// longer than it may take. Streams of messages may ask when they like.
func (s *DataServer) awaiting(desc grpc.ServiceDesc) *grpc.ServiceDesc {
	methods := make([]grpc.MethodDesc, len(desc.Methods))
	for i, m := range desc.Methods {
		methods[i] = grpc.MethodDesc{MethodName: m.MethodName, Handler: func(srv any, ctx context.Context, receive func(any) error, between grpc.UnaryServerInterceptor) (any, error) {
			return m.Handler(srv, ctx, func(message any) error {
				_, err := s.await(ctx, &arrival{}, time.Now(), receive, message)
				return err
			}, between)
		}}
	}
	streams := make([]grpc.StreamDesc, len(desc.Streams))
	for i, m := range desc.Streams {
		streams[i] = m
		if !m.ClientStreams {
			streams[i].Handler = func(srv any, stream grpc.ServerStream) error {
				return m.Handler(srv, awaitedStream{stream, s})
			}
		}
	}
	desc.Methods, desc.Streams = methods, streams
	return &desc
}

// awaitedStream is a stream to the client.
type awaitedStream struct {
	grpc.ServerStream
	server *DataServer
}

// RecvMsg receives the one message.
func (a awaitedStream) RecvMsg(message any) error {
	_, err := a.server.await(a.Context(), &arrival{}, time.Now(), a.ServerStream.RecvMsg, message)
	return err
}
