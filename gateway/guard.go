package gateway

import "bytes"

// maxHeaders bounds the header fields of one request.
const maxHeaders = 100

// headField is a field that the gateway itself looks at with every request.
type headField uint8

const (
	fieldRequestID headField = iota
	fieldAuthorization
	fieldTimeout
	fieldContentEncoding
	fieldAcceptEncoding
	fieldHeaderLength
	headFieldCount
)

var headFieldNames = [headFieldCount]string{"X-Request-Id", "Authorization", "X-Request-Timeout-Ms", "Content-Encoding",
	"Accept-Encoding", "Inference-Header-Content-Length"}

// headFieldByLength finds the only field whose name has a length, with one for
// none. It is constant.
var headFieldByLength = func() (at [32]headField) {
	for i := range at {
		at[i] = headFieldCount
	}
	for f, name := range headFieldNames {
		at[len(name)] = headField(f)
	}
	return at
}()

// head is what a request's head says, read in one pass.
type head struct {
	// problem is why the request is refused, "" where nothing is wrong; many
	// reports too many fields.
	problem string
	many    bool
	// sized reports that the head states the body's length.
	sized bool
	// values are the first values of the known fields, nil for those that are
	// not there. They lie in the head.
	values [headFieldCount][]byte
}

// read looks at a request's head as it came over the wire. The parser behind it
// is lenient where leniency lets two servers in a row disagree about where a
// request ends (request smuggling), so the gateway answers 400 and closes the
// connection on: versions other than HTTP/1.0 and 1.1, folded lines, bare line
// feeds, names that are not tokens, Content-Length beside Transfer-Encoding,
// and any transfer coding but chunked.
func (h *head) read(protocol, fields []byte) {
	*h = head{}
	if string(protocol) != "HTTP/1.1" && string(protocol) != "HTTP/1.0" {
		h.problem = "the HTTP version is not supported: want HTTP/1.1"
		return
	}
	coding := false
	for n := 0; len(fields) > 0; n++ {
		end := bytes.IndexByte(fields, '\n')
		if end < 1 || fields[end-1] != '\r' {
			h.problem = "malformed header: a line does not end in CR LF"
			return
		}
		line := fields[:end-1]
		fields = fields[end+1:]
		if len(line) == 0 {
			break
		}
		if n == maxHeaders {
			h.problem, h.many = "too many header fields", true
			return
		}
		if line[0] == ' ' || line[0] == '\t' {
			h.problem = "malformed header: folded lines are not supported"
			return
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 1 || !isToken(line[:colon]) {
			h.problem = "malformed header: a field name holds a character that it must not hold"
			return
		}
		switch name := line[:colon]; {
		case len(name) == len("content-length") && bytes.EqualFold(name, []byte("content-length")):
			h.sized = true
		case len(name) == len("transfer-encoding") && bytes.EqualFold(name, []byte("transfer-encoding")):
			coding = true
			if !bytes.EqualFold(trimField(line[colon+1:]), []byte("chunked")) {
				h.problem = "malformed header: the only supported Transfer-Encoding is chunked"
				return
			}
		case len(name) < len(headFieldByLength):
			f := headFieldByLength[len(name)]
			if f < headFieldCount && h.values[f] == nil && bytes.EqualFold(name, []byte(headFieldNames[f])) {
				h.values[f] = trimField(line[colon+1:])
			}
		}
	}
	if h.sized && coding {
		h.problem = "malformed header: Content-Length and Transfer-Encoding together"
	}
}

// trimField takes the white space off a field's value. What is left is not nil.
func trimField(value []byte) []byte {
	for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
		value = value[1:]
	}
	for len(value) > 0 && (value[len(value)-1] == ' ' || value[len(value)-1] == '\t') {
		value = value[:len(value)-1]
	}
	return value
}

// tokenBytes marks the characters of a token (RFC 9110, 5.6.2). It is constant.
var tokenBytes = func() (set [256]bool) {
	for c := range set {
		set[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), byte(c)) >= 0
	}
	return set
}()

func isToken(name []byte) bool {
	for _, c := range name {
		if !tokenBytes[c] {
			return false
		}
	}
	return true
}
