package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

const (
	// mostMessage is far above any message that is asked for.
	mostMessage = 256 << 20
	// messagePrefix is a byte that says whether a message is compressed, and
	// its length in four.
	messagePrefix = 5
)

// calls are all requests as they are sent over gRPC, shared by all connections.
type calls struct {
	heads    [][]hpack.HeaderField
	messages [][]byte
}

// encodeCalls writes requests as they are sent. A call says how long it may
// take, as those of clients do; always in the same words, so that they are
// indexed with the rest of the head.
func encodeCalls(t *Target) *calls {
	c := &calls{}
	for i := range t.Requests {
		r := &t.Requests[i]
		head := []hpack.HeaderField{
			{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: r.Path}, {Name: ":authority", Value: t.Addr},
			{Name: "content-type", Value: contentType + "+proto"}, {Name: "te", Value: "trailers"}, {Name: "grpc-timeout", Value: timeoutText(t.Timeout)},
		}
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			head = append(head, hpack.HeaderField{Name: strings.ToLower(name), Value: r.Header[name]})
		}
		message := binary.BigEndian.AppendUint32(make([]byte, 1, messagePrefix+len(r.Body)), uint32(len(r.Body)))
		c.heads, c.messages = append(c.heads, head), append(c.messages, append(message, r.Body...))
	}
	return c
}

const contentType = "application/grpc"

// timeoutText writes a time as the protocol does, in at most eight digits.
func timeoutText(d time.Duration) string {
	const most = 99_999_999
	if ms := (d + time.Millisecond - 1).Milliseconds(); ms <= most {
		return strconv.FormatInt(ms, 10) + "m"
	}
	return strconv.FormatInt(min(int64(d.Seconds()), most), 10) + "S"
}

// statusOf returns the HTTP status that says what a code does where a server
// that sheds load, or that knows no such model, gives one.
func statusOf(c codes.Code) (status int, said bool) {
	switch c {
	case codes.OK:
		return 200, true
	case codes.InvalidArgument:
		return 400, true
	case codes.NotFound:
		return 404, true
	case codes.ResourceExhausted:
		return 429, true
	case codes.Internal:
		return 500, true
	}
	// Unavailable and DeadlineExceeded come from proxies and clients too,
	// without any answer of the server.
	return 0, false
}

// reply is what one call has been answered so far.
type reply struct {
	answer
	// http is the status of the HTTP answer, status that of the call, -1 before
	// either was read.
	http, status int
	kind         string
	said         []byte
	// data is the message with its prefix.
	data []byte
	// headed is set behind the initial metadata.
	headed bool
}

// reset forgets the last call, and keeps the memory.
func (r *reply) reset() {
	*r = reply{answer: answer{head: r.head[:0], message: true}, http: -1, status: -1, said: r.said[:0], data: r.data[:0]}
}

// field takes a header or a trailer.
func (r *reply) field(name, value string) error {
	var err error
	switch {
	case name == "":
		err = errors.New("no name")
	case name == ":status":
		r.http, err = strconv.Atoi(value)
	case name == "grpc-status":
		r.status, err = strconv.Atoi(value)
	case name == "grpc-message":
		r.said = appendUnescaped(r.said[:0], value)
	case r.headed || name[0] == ':' || strings.HasPrefix(name, "grpc-"):
	case strings.ContainsAny(name, ":\r\n") || strings.ContainsAny(value, "\r\n"):
		err = errors.New("a line break")
	default:
		if name == "content-type" {
			r.kind = value
		}
		r.head = append(r.head, name...)
		r.head = append(r.head, ": "...)
		r.head = append(r.head, value...)
		r.head = append(r.head, "\r\n"...)
	}
	if err != nil {
		return fmt.Errorf("header %q: %w", name, err)
	}
	return nil
}

// initial is called behind the initial metadata, or behind trailers that come
// alone, which have none.
func (r *reply) initial(alone bool) error {
	if r.http != 200 {
		return fmt.Errorf("HTTP status %d", r.http)
	}
	if !strings.HasPrefix(r.kind, contentType) {
		return fmt.Errorf("content type %q", r.kind)
	}
	r.headed = true
	if alone {
		r.head = r.head[:0]
	}
	return nil
}

// end is called behind the trailers. An error says that the server did not
// answer the call.
func (r *reply) end() error {
	if r.status < 0 {
		return errors.New("a call that ends without a status")
	}
	code := codes.Code(r.status)
	var said bool
	if r.code, said = statusOf(code); !said {
		return fmt.Errorf("%s: %s", code, r.said)
	}
	if code != codes.OK {
		r.body = r.said
		return nil
	}
	if len(r.data) < messagePrefix || r.data[0] != 0 || uint64(binary.BigEndian.Uint32(r.data[1:])) != uint64(len(r.data)-messagePrefix) {
		return fmt.Errorf("not one message in %d bytes of data", len(r.data))
	}
	r.body = r.data[messagePrefix:]
	return nil
}

// appendUnescaped reads a percent-encoded text. What is not encoded as it should
// be stays as it is.
func appendUnescaped(to []byte, text string) []byte {
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if c, err := strconv.ParseUint(text[i+1:i+3], 16, 8); err == nil {
				to = append(to, byte(c))
				i += 2
				continue
			}
		}
		to = append(to, text[i])
	}
	return to
}
