package load

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// http1 speaks HTTP/1.1 with connections that are kept.
type http1 struct {
	// requests are all requests as they are written, shared by all
	// connections.
	requests [][]byte

	out     []byte
	in      responseReader
	waiting bool
}

// encodeHTTP1 writes requests as they are sent.
func encodeHTTP1(requests []Request) [][]byte {
	all := make([][]byte, len(requests))
	for i := range requests {
		r := &requests[i]
		text := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\n", r.Path)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			text = fmt.Appendf(text, "%s: %s\r\n", name, r.Header[name])
		}
		all[i] = append(fmt.Appendf(text, "Content-Length: %d\r\n\r\n", len(r.Body)), r.Body...)
	}
	return all
}

func (h *http1) open() { h.waiting = false }

func (h *http1) send(i int) {
	h.out, h.waiting = h.requests[i], true
	h.in.reset()
}

func (h *http1) unsent() []byte { return h.out }

func (h *http1) sent(n int) { h.out = h.out[n:] }

func (h *http1) space() []byte { return h.in.space() }

func (h *http1) received(n int) (done bool, err error) {
	if !h.waiting {
		return false, errors.New("an answer to no request")
	}
	done, err = h.in.received(n)
	if done {
		h.waiting = false
	}
	return done, err
}

func (h *http1) hungUp() error { return h.in.hungUp() }

func (h *http1) answer() (*answer, error) { return &h.in.answer, nil }

// reusable says no also where the server has answered a request that it has not
// read whole: what it would read next is the rest of it.
func (h *http1) reusable() bool { return !h.in.closing && len(h.out) == 0 }
