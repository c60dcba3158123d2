package ort

// #cgo noescape segue_hand_give
// #cgo nocallback segue_hand_give
// #include "errand.h"
// #include "hand.h"
import "C"

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// handNice is how much nicer than the process a hand is: where several threads
// want a core, it has a quarter of what another has.
const handNice = 5

// hand is a thread of C that makes one run after the other.
type hand struct {
	c     *C.segue_hand
	done  *os.File // an eventfd
	count [8]byte  // what is read from it
}

// hands are the threads of an engine for runs that are made aside, as many as
// there ever were such runs at once.
type hands struct {
	api  *C.segue_api
	mu   sync.Mutex
	idle []*hand
}

// run makes a run on a hand and waits for its end as for a socket, so that
// nothing of Go's scheduler is held meanwhile. It reports false where no hand is
// to be had, and then did nothing.
func (all *hands) run(session unsafe.Pointer, frame *C.segue_frame, options unsafe.Pointer) bool {
	h := all.take()
	if h == nil {
		return false
	}
	C.segue_hand_give(h.c, session, frame, options)
	if _, err := h.done.Read(h.count[:]); err != nil {
		panic("ort: an eventfd of our own cannot be read: " + err.Error())
	}
	all.mu.Lock()
	all.idle = append(all.idle, h)
	all.mu.Unlock()
	return true
}

// take returns the hand that was idle for the shortest time, or a new one; nil
// where there can be none.
func (all *hands) take() *hand {
	all.mu.Lock()
	defer all.mu.Unlock()
	if last := len(all.idle) - 1; last >= 0 {
		h := all.idle[last]
		all.idle = all.idle[:last]
		return h
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil
	}
	h := &hand{done: os.NewFile(uintptr(fd), "hand")}
	h.c = C.segue_hand_start(all.api, C.int(min(lowest, int(C.segue_niceness())+handNice)), C.int(fd))
	if h.c == nil {
		_ = h.done.Close() // it was used for nothing
		return nil
	}
	return h
}

// stop ends all hands. No run may be under way.
func (all *hands) stop() {
	for _, h := range all.idle {
		C.segue_hand_stop(h.c)
		_ = h.done.Close() // nobody writes to it any more
	}
	all.idle = nil
}
