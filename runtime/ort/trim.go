package ort

// #include "api.h"
import "C"

// trimmer gives memory that closed sessions left in the C heap back to the
// system, in its own goroutine because that locks the heap's arenas one after
// the other. Requests that arrive while it works are answered by one more
// round. Without it the resident set grows with every swap of a model.
type trimmer struct {
	wanted chan struct{}
	done   chan struct{}
}

func startTrimmer() *trimmer {
	t := &trimmer{wanted: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		for range t.wanted {
			C.segue_malloc_trim()
		}
	}()
	return t
}

// request asks for a round and does not wait for it.
func (t *trimmer) request() {
	select {
	case t.wanted <- struct{}{}:
	default: // a round that has not begun will do
	}
}

// stop does what was asked for and ends. No request may follow.
func (t *trimmer) stop() {
	close(t.wanted)
	<-t.done
}
