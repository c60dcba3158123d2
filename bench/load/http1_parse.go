package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// What an answer may be at most, far above any that is asked for.
const (
	mostHead = 64 << 10
	mostBody = 256 << 20
	// firstRead is the memory that a connection begins with, mostGrowth how
	// much it gets at once before it doubles.
	firstRead  = 4 << 10
	mostGrowth = 1 << 20
)

// responseReader reads one HTTP/1.1 answer, RFC 9112, from pieces of any size.
// It is strict: what two readers could take for two different answers is an
// error. The answer lies in its memory until the next reset.
type responseReader struct {
	answer
	// closing is set where the server will send no other answer.
	closing bool

	buffer []byte
	filled int
	phase  phase
	// at is where the next part begins, wanted how much must be there to read
	// it.
	at, wanted int
	// Offsets, since the memory moves when it grows.
	headAt, headEnd, bodyAt, bodyEnd int
}

// phase is what of an answer comes next.
type phase uint8

const (
	phaseHead phase = iota
	phaseBody
	phaseChunk
	phaseTrailer
	phaseToEnd
)

// errMore is an answer that goes on behind its end.
var errMore = errors.New("bytes behind the answer")

// reset forgets the last answer.
func (r *responseReader) reset() {
	*r = responseReader{buffer: r.buffer}
}

// space returns where the next bytes are to be put, never empty.
func (r *responseReader) space() []byte {
	if need := max(r.wanted, r.filled+1, firstRead); need > len(r.buffer) {
		// A server that promises more than it sends gets no memory for it.
		grown := make([]byte, max(min(need, mostGrowth), 2*len(r.buffer)))
		copy(grown, r.buffer[:r.filled])
		r.buffer = grown
	}
	return r.buffer[r.filled:]
}

// received takes n bytes that were put into space. After an error or when it is
// done, it is of no use before a reset.
func (r *responseReader) received(n int) (done bool, err error) {
	r.filled += n
	for {
		var going bool
		switch r.phase {
		case phaseHead:
			going, err = r.readHead()
		case phaseBody:
			if done = r.filled >= r.bodyEnd; done {
				r.at = r.bodyEnd
			}
		case phaseChunk:
			going, err = r.readChunk()
		case phaseTrailer:
			going, done, err = r.readTrailer()
		case phaseToEnd:
			if r.bodyEnd = r.filled; r.bodyEnd-r.bodyAt > mostBody {
				err = errTooLong("body")
			}
		}
		switch {
		case err != nil:
			return false, err
		case done && r.filled > r.at:
			return false, errMore
		case done:
			r.finish()
			return true, nil
		case !going:
			return false, nil
		}
	}
}

// hungUp is called when nothing more will come. It reports whether that is how
// the answer ends, and otherwise what is missing.
func (r *responseReader) hungUp() error {
	switch {
	case r.phase == phaseToEnd:
		r.finish()
		return nil
	case r.filled == 0:
		return io.EOF
	}
	return io.ErrUnexpectedEOF
}

func (r *responseReader) finish() {
	r.head, r.body = r.buffer[r.headAt:r.headEnd], r.buffer[r.bodyAt:r.bodyEnd]
}

func errTooLong(what string) error { return fmt.Errorf("a %s that is too long", what) }

// line returns the next line without its end.
func (r *responseReader) line() (line []byte, ok bool, err error) {
	i := bytes.Index(r.buffer[r.at:r.filled], []byte("\r\n"))
	if i < 0 {
		if r.filled-r.at > mostHead {
			err = errTooLong("line")
		}
		return nil, false, err
	}
	line = r.buffer[r.at : r.at+i]
	r.at += i + 2
	return line, true, nil
}

// readHead reads the status line and the headers, once all are there, and skips
// answers that only say that another is to come.
func (r *responseReader) readHead() (going bool, err error) {
	text := r.buffer[r.at:r.filled]
	i := bytes.Index(text, []byte("\r\n\r\n"))
	if i < 0 {
		if len(text) > mostHead {
			err = errTooLong("head")
		}
		return false, err
	}
	if !onlyWholeLines(text[:i+2]) {
		return false, errors.New("a line break that is not CR LF")
	}
	line, fields := cutLine(text[:i+2])
	old, err := r.readStatus(line)
	if err != nil {
		return false, err
	}
	r.headAt, r.headEnd, r.at = r.at+len(line)+2, r.at+i+2, r.at+i+4
	if r.code < 200 {
		if r.code == 101 {
			return false, errors.New("the server speaks another protocol from here on")
		}
		return true, nil
	}
	framing, err := readFields(fields)
	if err != nil {
		return false, err
	}
	if framing.chunked && old {
		return false, errors.New("a transfer encoding in HTTP/1.0")
	}
	r.closing = framing.closing || old
	r.bodyAt, r.bodyEnd = r.at, r.at
	switch {
	case framing.chunked:
		r.phase = phaseChunk
	case r.code == 204 || r.code == 304:
		r.phase = phaseBody
	case framing.length >= 0:
		r.phase = phaseBody
		r.bodyEnd += framing.length
		r.wanted = r.bodyEnd
	default:
		r.phase, r.closing = phaseToEnd, true
	}
	return true, nil
}

// onlyWholeLines reports whether every CR is followed by an LF and no LF stands
// alone.
func onlyWholeLines(text []byte) bool {
	ends := bytes.Count(text, []byte("\r\n"))
	return bytes.Count(text, []byte("\r")) == ends && bytes.Count(text, []byte("\n")) == ends
}

// readStatus reads the status line; old is HTTP/1.0, whose connections serve
// one request.
func (r *responseReader) readStatus(line []byte) (old bool, err error) {
	const version = "HTTP/1.1 "
	if len(line) < len(version)+3 || (string(line[:len(version)]) != version && string(line[:len(version)]) != "HTTP/1.0 ") ||
		(len(line) > len(version)+3 && line[len(version)+3] != ' ') {
		return false, fmt.Errorf("a status line %.100q", line)
	}
	r.code = 0
	for _, c := range line[len(version) : len(version)+3] {
		if c < '0' || c > '9' {
			return false, fmt.Errorf("a status line %.100q", line)
		}
		r.code = 10*r.code + int(c-'0')
	}
	if r.code < 100 {
		return false, fmt.Errorf("a status line %.100q", line)
	}
	return line[len("HTTP/1.")] == '0', nil
}

// framing is what headers say about where an answer ends; a length of -1 is
// none.
type framing struct {
	length           int
	chunked, closing bool
}

func readFields(fields []byte) (f framing, err error) {
	f.length = -1
	for len(fields) > 0 {
		var line []byte
		line, fields = cutLine(fields)
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || bytes.ContainsAny(line[:colon], " \t") {
			return f, fmt.Errorf("a header line %.100q", line)
		}
		value := bytes.Trim(line[colon+1:], " \t")
		switch {
		case colon == len("Content-Length") && sameName(line, "Content-Length"):
			n, err := strconv.ParseUint(string(value), 10, 32)
			if err != nil || n > mostBody || (f.length >= 0 && f.length != int(n)) {
				return f, fmt.Errorf("a content length %.100q", value)
			}
			f.length = int(n)
		case colon == len("Transfer-Encoding") && sameName(line, "Transfer-Encoding"):
			if f.chunked || len(value) != len("chunked") || !sameName(value, "chunked") {
				return f, fmt.Errorf("a transfer encoding %.100q", value)
			}
			f.chunked = true
		case colon == len("Connection") && sameName(line, "Connection"):
			for option := range bytes.SplitSeq(value, []byte(",")) {
				option = bytes.Trim(option, " \t")
				f.closing = f.closing || (len(option) == len("close") && sameName(option, "close"))
			}
		}
	}
	if f.chunked && f.length >= 0 {
		return f, errors.New("a content length beside a transfer encoding")
	}
	return f, nil
}

// readChunk moves one chunk behind those before it, once all of it is there.
func (r *responseReader) readChunk() (going bool, err error) {
	from := r.at
	line, ok, err := r.line()
	if !ok || err != nil {
		return false, err
	}
	digits, _, _ := bytes.Cut(line, []byte(";"))
	digits = bytes.TrimRight(digits, " \t")
	size, err := strconv.ParseUint(string(digits), 16, 32)
	if err != nil || int(size)+r.bodyEnd-r.bodyAt > mostBody {
		return false, fmt.Errorf("a chunk's size %.100q", line)
	}
	if size == 0 {
		r.phase = phaseTrailer
		return true, nil
	}
	end := r.at + int(size)
	if r.filled < end+2 {
		r.at, r.wanted = from, end+2
		return false, nil
	}
	if r.buffer[end] != '\r' || r.buffer[end+1] != '\n' {
		return false, errors.New("a chunk that is longer than its size")
	}
	r.bodyEnd += copy(r.buffer[r.bodyEnd:], r.buffer[r.at:end])
	r.at = end + 2
	return true, nil
}

// readTrailer skips the lines behind the last chunk.
func (r *responseReader) readTrailer() (going, done bool, err error) {
	line, ok, err := r.line()
	return ok, ok && len(line) == 0, err
}
