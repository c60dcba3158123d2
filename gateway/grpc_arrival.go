package gateway

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"
)

// arrival is the context of a call, which bounds how long the message behind
// the call's head may take to come. Without it a client that sets no deadline
// and never sends its message would hold a stream for ever: the library bounds
// the head of a connection only.
type arrival struct {
	context.Context
	cancel context.CancelFunc
	// head is what came before the message. It is not changed.
	head metadata.MD
	late atomic.Bool
	// What follows is guarded by the lock of arrivals. by is when the message
	// has to be there.
	by         time.Time
	list       *arrivals // nil once it is not waited for any more
	prev, next *arrival
}

type arrivalKey struct{}

// Value finds the arrival itself, so that it takes no context of its own.
func (a *arrival) Value(key any) any {
	if key == (arrivalKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// arrivals are the calls whose messages are waited for, in the order in which
// they came. One timer serves all: it is set for the call that has waited
// longest, and when it fires that one has mostly been answered long ago. A timer
// for each call would cost as much as decoding its message.
type arrivals struct {
	mu sync.Mutex
	// ends is the ring's place before the first and behind the last.
	ends  arrival
	timer *time.Timer // nil while nothing is waited for
}

func newArrivals() *arrivals {
	l := &arrivals{}
	l.ends.prev, l.ends.next = &l.ends, &l.ends
	return l
}

// add waits for a message for so long. Where a new limit made the time shorter,
// a call may wait as long as the ones before it.
func (l *arrivals) add(a *arrival, within time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.by, a.list = time.Now().Add(within), l
	a.prev, a.next = l.ends.prev, &l.ends
	a.prev.next, l.ends.prev = a, a
	if l.timer == nil {
		l.timer = time.AfterFunc(within, l.look)
	}
}

// remove ends the wait. It may be called again.
func (l *arrivals) remove(a *arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unlink(a)
}

func (l *arrivals) unlink(a *arrival) {
	if a.list == nil {
		return
	}
	a.prev.next, a.next.prev = a.next, a.prev
	a.list, a.prev, a.next = nil, nil, nil
}

// look ends the calls whose time is over.
func (l *arrivals) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for first := l.ends.next; ; first = l.ends.next {
		if first == &l.ends {
			l.timer = nil
			return
		}
		if left := first.by.Sub(now); left > 0 {
			l.timer = time.AfterFunc(left, l.look)
			return
		}
		l.unlink(first)
		first.late.Store(true)
		first.cancel()
	}
}

// await begins the time of a call's message. It is called for every head, by
// the goroutine that reads the connection.
func (s *DataServer) await(ctx context.Context, info *tap.Info) (context.Context, error) {
	// The library's own context is this one's parent, and ends with the call.
	ctx, cancel := context.WithCancel(ctx)
	a, usual := &arrival{Context: ctx, cancel: cancel, head: info.Header}, s.opts.Timeouts.withDefaults().Read
	s.grpc.arrivals.add(a, cmp.Or(bodyTime(usual, -1, s.router.load().maxBody), usual))
	return a, nil
}

// arrivalOf is the arrival of a call, whatever was made of its context.
func arrivalOf(ctx context.Context) *arrival {
	a, _ := ctx.Value(arrivalKey{}).(*arrival)
	return a
}

// arrived ends the time of a call's message and reports whether it was over.
func (s *DataServer) arrived(ctx context.Context) (late bool) {
	a := arrivalOf(ctx)
	s.grpc.arrivals.remove(a)
	return a.late.Load()
}

// Methods with one message are called when it is there; streams may ask when
// they like. ModelInfer, a stream here, reads its message itself, unless it is
// refused before.
func (s *DataServer) unaryArrived(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	s.arrived(ctx)
	return handle(ctx, request)
}

func (s *DataServer) streamArrived(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if info.IsClientStream {
		s.arrived(stream.Context())
		return handle(srv, stream)
	}
	defer s.arrived(stream.Context())
	return handle(srv, stream)
}
