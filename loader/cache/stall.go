package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// stallBytes is the least that a store has to send in every span of
// Options.Stall, so that one byte now and then does not count as a transfer.
const stallBytes = 16 << 10

var errStalled = errors.New("the store stalled")

// watch ends its context when a store that is being waited for sends too
// little for too long: a connection that is half open gives no error by
// itself, and a slow one may go on for days.
type watch struct {
	ctx  context.Context
	span time.Duration

	mu     sync.Mutex
	cancel context.CancelCauseFunc
	timer  *time.Timer
	armed  bool
	moved  int64
}

func newWatch(ctx context.Context, span time.Duration) *watch {
	w := &watch{span: span}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(span, w.due)
	w.timer.Stop()
	return w
}

// arm begins to wait for the store; disarm says that the next move is ours.
func (w *watch) arm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed, w.moved = true, 0
	w.timer.Reset(w.span)
}

func (w *watch) disarm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	w.timer.Stop()
}

// fed says that bytes came.
func (w *watch) fed(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moved += int64(n)
}

func (w *watch) due() {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !w.armed:
	case w.moved >= stallBytes:
		w.moved = 0
		w.timer.Reset(w.span)
	default:
		w.cancel(fmt.Errorf("%w: %d bytes in %s", errStalled, w.moved, w.span))
	}
}

// cause replaces an error by what the context was ended for.
func (w *watch) cause(err error) error {
	if err != nil && w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	return err
}

// end frees what the watch holds.
func (w *watch) end() {
	w.disarm()
	w.cancel(context.Canceled)
}
