package gateway

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"
)

// arrival bounds how long the message behind a call's head may take to come.
// Without it a client that sets no deadline and never sends its message would
// hold a stream for ever: the library bounds the head of a connection only.
type arrival struct {
	timer *time.Timer
	late  atomic.Bool
}

type arrivalKey struct{}

// await begins the time of a call's message. It is called for every head, by
// the goroutine that reads the connection.
func (s *DataServer) await(ctx context.Context, _ *tap.Info) (context.Context, error) {
	ctx, cancel := context.WithCancel(ctx)
	a, usual := &arrival{}, s.opts.Timeouts.withDefaults().Read
	a.timer = time.AfterFunc(cmp.Or(bodyTime(usual, -1, s.router.load().maxBody), usual), func() {
		a.late.Store(true)
		cancel()
	})
	// The library's own context is this one's parent, and ends with the call.
	return context.WithValue(ctx, arrivalKey{}, a), nil
}

// arrived ends the time of a call's message and reports whether it was over.
func arrived(ctx context.Context) (late bool) {
	a, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok {
		return false
	}
	a.timer.Stop()
	return a.late.Load()
}

// Methods with one message are called when it is there; streams may ask when
// they like. ModelInfer, a stream here, reads its message itself.
func unaryArrived(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	arrived(ctx)
	return handle(ctx, request)
}

func streamArrived(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if info.IsClientStream {
		arrived(stream.Context())
	}
	return handle(srv, stream)
}
