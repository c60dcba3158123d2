package gateway

import "bytes"

// maxHeaders bounds the header fields of one request.
const maxHeaders = 100

// guard looks at a request's head as it came over the wire and says what is
// wrong with it, "" where nothing is; many reports too many fields, sized that
// the head states the body's length. The parser
// behind it is lenient where leniency lets two servers in a row disagree about
// where a request ends (request smuggling), so the gateway answers 400 and
// closes the connection on: versions other than HTTP/1.0 and 1.1, folded
// lines, bare line feeds, names that are not tokens, Content-Length beside
// Transfer-Encoding, and any transfer coding but chunked.
func guard(protocol, fields []byte) (problem string, many, sized bool) {
	if string(protocol) != "HTTP/1.1" && string(protocol) != "HTTP/1.0" {
		return "the HTTP version is not supported: want HTTP/1.1", false, false
	}
	coding := false
	for n := 0; len(fields) > 0; n++ {
		end := bytes.IndexByte(fields, '\n')
		if end < 1 || fields[end-1] != '\r' {
			return "malformed header: a line does not end in CR LF", false, false
		}
		line := fields[:end-1]
		fields = fields[end+1:]
		if len(line) == 0 {
			break
		}
		if n == maxHeaders {
			return "too many header fields", true, false
		}
		if line[0] == ' ' || line[0] == '\t' {
			return "malformed header: folded lines are not supported", false, false
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 1 || !isToken(line[:colon]) {
			return "malformed header: a field name holds a character that it must not hold", false, false
		}
		switch name := line[:colon]; {
		case len(name) == len("content-length") && bytes.EqualFold(name, []byte("content-length")):
			sized = true
		case len(name) == len("transfer-encoding") && bytes.EqualFold(name, []byte("transfer-encoding")):
			coding = true
			if !bytes.EqualFold(bytes.TrimSpace(line[colon+1:]), []byte("chunked")) {
				return "malformed header: the only supported Transfer-Encoding is chunked", false, false
			}
		}
	}
	if sized && coding {
		return "malformed header: Content-Length and Transfer-Encoding together", false, false
	}
	return "", false, sized
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
