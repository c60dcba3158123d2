package gateway

import (
	"context"
	"time"
)

// hangUpEarly is how long before the deadline that the gateway knows a client
// may hang up because of its own: a client's clock started before the head was
// on its way.
const hangUpEarly = 5 * time.Millisecond

// ranOut reports whether a call's context ended because the deadline passed that
// the client set. Mostly it is the client who says so first, by ending its
// stream, which looks as if it had lost interest: then no guard and no breaker
// would ever see a version that is too slow for the clients of gRPC. Over HTTP a
// context has no deadline.
func ranOut(ctx context.Context) bool {
	by, ok := ctx.Deadline()
	return ok && ctx.Err() != nil && time.Until(by) < hangUpEarly
}
