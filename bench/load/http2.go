package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/net/http2/hpack"
)

const (
	// ownWindow is how much a server may send before it is told to go on: of
	// one answer as much as it likes, of a connection half of what is possible
	// between two words.
	ownWindow = mostMessage
	// mostUnsent is how much is put into frames ahead of the socket.
	mostUnsent = 256 << 10
	// mostRead is how much one read takes at most.
	mostRead = 64 << 10
	// mostStreams is where a connection has had enough calls.
	mostStreams = 1 << 30
)

// http2 makes unary calls over HTTP/2 with prior knowledge, RFC 9113, one at a
// time on a connection.
type http2 struct {
	calls *calls
	heads requestHeads
	reply reply

	out     []byte
	written int
	in      []byte
	filled  int
	eager   bool // the last read filled all there was

	// stream is the last call's, calling while that has no end; failure is why
	// it ended without an answer.
	stream, next uint32
	calling      bool
	failure      error
	leaving      bool // the server takes no more calls

	// rest is what of the message is to be sent, as windows and frames allow.
	rest                     []byte
	window, connectionWindow int
	initialWindow, frameSize int
	// consumed is what came on the connection since the server was told so.
	consumed int

	decoder *hpack.Decoder
	wrong   error  // of a field
	block   []byte // of a head that comes in several frames
	pending frame  // the first of them, kind 0 without any
}

func newHTTP2(c *calls) *http2 {
	return &http2{calls: c, heads: requestHeads{heads: c.heads, known: make([]knownHead, len(c.heads))}}
}

func (h *http2) open() {
	*h = http2{calls: h.calls, heads: h.heads, reply: h.reply, out: h.out[:0], in: h.in, block: h.block[:0],
		next: 1, window: defaultWindow, connectionWindow: defaultWindow, initialWindow: defaultWindow, frameSize: defaultFrameSize}
	h.heads.open()
	h.decoder = hpack.NewDecoder(defaultTableSize, h.field)
	h.decoder.SetMaxStringLength(mostHead)
	h.out = append(h.out, preface...)
	h.out = appendFrame(h.out, 2*6, frameSettings, 0, 0)
	h.out = appendSetting(h.out, settingPush, 0)
	h.out = appendSetting(h.out, settingInitialWindow, ownWindow)
	h.widen(mostWindow - defaultWindow)
}

// widen lets the server send so much more on this connection.
func (h *http2) widen(by int) {
	h.out = appendFrame(h.out, 4, frameWindowUpdate, 0, 0)
	h.out = binary.BigEndian.AppendUint32(h.out, uint32(by))
}

func (h *http2) send(i int) {
	h.stream, h.next = h.next, h.next+2
	h.calling, h.failure, h.window = true, nil, h.initialWindow
	h.reply.reset()
	block := h.heads.encode(i)
	flags := byte(0)
	kind := byte(frameHeaders)
	for ; len(block) > h.frameSize; block, kind = block[h.frameSize:], frameContinuation {
		h.out = append(appendFrame(h.out, h.frameSize, kind, flags, h.stream), block[:h.frameSize]...)
	}
	h.out = append(appendFrame(h.out, len(block), kind, flagEndHeaders, h.stream), block...)
	h.rest = h.calls.messages[i]
}

func (h *http2) unsent() []byte {
	for len(h.rest) > 0 && len(h.out)-h.written < mostUnsent {
		n := min(len(h.rest), h.frameSize, h.window, h.connectionWindow)
		if n <= 0 {
			break
		}
		flags := byte(0)
		if n == len(h.rest) {
			flags = flagEndStream
		}
		h.out = append(appendFrame(h.out, n, frameData, flags, h.stream), h.rest[:n]...)
		h.rest = h.rest[n:]
		h.window -= n
		h.connectionWindow -= n
	}
	return h.out[h.written:]
}

func (h *http2) sent(n int) {
	if h.written += n; h.written == len(h.out) {
		h.out, h.written = h.out[:0], 0
	}
}

func (h *http2) space() []byte {
	if need := max(firstRead, h.filled+1); need > len(h.in) || (h.eager && len(h.in) < mostRead) {
		grown := make([]byte, max(need, 2*len(h.in)))
		copy(grown, h.in[:h.filled])
		h.in = grown
	}
	return h.in[h.filled:]
}

func (h *http2) received(n int) (done bool, err error) {
	h.filled += n
	h.eager = h.filled == len(h.in)
	waiting := h.calling
	at := 0
	for {
		f, length, err := cutFrame(h.in[at:h.filled])
		if err != nil {
			return false, err
		}
		if length == 0 {
			break
		}
		at += length
		if err := h.take(f); err != nil {
			return false, err
		}
	}
	h.filled = copy(h.in, h.in[at:h.filled])
	if h.leaving && !waiting {
		return false, errors.New("the server takes no more calls")
	}
	return waiting && !h.calling, nil
}

func (h *http2) hungUp() error { return io.ErrUnexpectedEOF }

func (h *http2) answer() (*answer, error) { return &h.reply.answer, h.failure }

func (h *http2) reusable() bool { return !h.leaving && h.next < mostStreams }

// take takes one frame. An error ends the connection.
func (h *http2) take(f frame) error {
	if (h.pending.kind != 0) != (f.kind == frameContinuation) || (f.kind == frameContinuation && f.stream != h.pending.stream) {
		return f.wrong()
	}
	switch f.kind {
	case frameData:
		return h.takeData(f)
	case frameHeaders:
		if err := f.unpad(); err != nil {
			return err
		}
		if f.has(flagEndHeaders) {
			return h.takeHead(f, f.payload)
		}
		h.pending, h.block = f, append(h.block[:0], f.payload...)
	case frameContinuation:
		if h.block = append(h.block, f.payload...); len(h.block) > mostHead {
			return errTooLong("head")
		}
		if f.has(flagEndHeaders) {
			first := h.pending
			h.pending = frame{}
			return h.takeHead(first, h.block)
		}
	case frameReset:
		code, err := f.word()
		if err != nil {
			return err
		}
		if h.current(f) {
			h.end(fmt.Errorf("the call was reset with code %d", code))
		}
	case frameSettings:
		return h.takeSettings(f)
	case framePing:
		if len(f.payload) != 8 {
			return f.wrong()
		}
		if !f.has(flagAck) {
			h.out = append(appendFrame(h.out, 8, framePing, flagAck, 0), f.payload...)
		}
	case frameGoAway:
		if len(f.payload) < 8 {
			return f.wrong()
		}
		h.leaving = true
		if last := binary.BigEndian.Uint32(f.payload) &^ (1 << 31); h.calling && h.stream > last {
			return fmt.Errorf("the server goes away with code %d: %.100q", binary.BigEndian.Uint32(f.payload[4:]), f.payload[8:])
		}
	case frameWindowUpdate:
		return h.takeWindow(f)
	case framePush:
		return f.wrong()
	}
	return nil
}

// current reports whether a frame is about the call that is under way: those of
// calls that have ended may still come.
func (h *http2) current(f frame) bool { return h.calling && f.stream == h.stream }

func (h *http2) takeData(f frame) error {
	if h.consumed += len(f.payload); h.consumed > mostWindow/2 {
		h.widen(h.consumed)
		h.consumed = 0
	}
	if err := f.unpad(); err != nil {
		return err
	}
	if !h.current(f) {
		return nil
	}
	if !h.reply.headed {
		return f.wrong()
	}
	h.reply.data = append(h.reply.data, f.payload...)
	switch {
	case len(h.reply.data) > mostMessage:
		return errTooLong("message")
	case f.has(flagEndStream):
		h.end(h.reply.end())
	}
	return nil
}

// takeHead reads initial metadata or trailers. Those of calls that have ended
// are read for the table's sake.
func (h *http2) takeHead(f frame, block []byte) error {
	if !h.current(f) {
		h.decoder.SetEmitEnabled(false)
		defer h.decoder.SetEmitEnabled(true)
	}
	h.wrong = nil
	_, err := h.decoder.Write(block)
	if err = errors.Join(err, h.decoder.Close(), h.wrong); err != nil || !h.current(f) {
		return err
	}
	last := f.has(flagEndStream)
	switch {
	case !h.reply.headed && h.reply.http/100 == 1 && !last:
		return nil
	case !h.reply.headed:
		if err := h.reply.initial(last); err != nil {
			return err
		}
	case !last:
		return f.wrong()
	}
	if last {
		h.end(h.reply.end())
	}
	return nil
}

// field is called with every field of a head.
func (h *http2) field(f hpack.HeaderField) {
	if err := h.reply.field(f.Name, f.Value); err != nil && h.wrong == nil {
		h.wrong = err
	}
}

// end ends the call. A message that the server did not wait for is not sent to
// its end.
func (h *http2) end(failure error) {
	h.calling, h.failure = false, failure
	if len(h.rest) > 0 {
		h.rest = nil
		h.out = appendFrame(h.out, 4, frameReset, 0, h.stream)
		h.out = binary.BigEndian.AppendUint32(h.out, 0)
	}
}

func (h *http2) takeSettings(f frame) error {
	if f.has(flagAck) {
		return nil
	}
	if len(f.payload)%6 != 0 {
		return f.wrong()
	}
	for s := f.payload; len(s) > 0; s = s[6:] {
		switch value := binary.BigEndian.Uint32(s[2:]); binary.BigEndian.Uint16(s) {
		case settingTableSize:
			h.heads.limit(value)
		case settingInitialWindow:
			if value > mostWindow {
				return f.wrong()
			}
			h.window += int(value) - h.initialWindow
			h.initialWindow = int(value)
		case settingFrameSize:
			if value < defaultFrameSize || value >= 1<<24 {
				return f.wrong()
			}
			h.frameSize = int(value)
		}
	}
	h.out = appendFrame(h.out, 0, frameSettings, flagAck, 0)
	return nil
}

func (h *http2) takeWindow(f frame) error {
	by, err := f.word()
	if err != nil || by == 0 || by > mostWindow {
		return f.wrong()
	}
	window := &h.connectionWindow
	if f.stream != 0 {
		if !h.current(f) {
			return nil
		}
		window = &h.window
	}
	if *window += int(by); *window > mostWindow {
		return f.wrong()
	}
	return nil
}
