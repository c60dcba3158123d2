package load

import "bytes"

// Answer is an answer read whole, valid only while it is being checked. What its
// methods return is not to be changed.
type Answer struct{ from *answer }

// answer is what a connection keeps of its last answer, in memory that it uses
// again.
type answer struct {
	code int
	// head is a line for each header, name: value CR LF; of a gRPC call its
	// initial metadata in the same form.
	head []byte
	body []byte
	// message is set where the body is a protocol buffer.
	message bool
}

// Code returns the HTTP status; of a gRPC call the one that means the same.
func (a Answer) Code() int { return a.from.code }

// IsMessage reports whether the body is a protocol buffer.
func (a Answer) IsMessage() bool { return a.from.message }

// Body returns the body; of a gRPC call the message, or what its error says.
func (a Answer) Body() []byte { return a.from.body }

// Header returns the value of a header, empty without one; over gRPC that of the
// initial metadata. Upper and lower case are the same. It allocates nothing.
func (a Answer) Header(name string) []byte {
	for rest := a.from.head; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		if len(line) > len(name) && line[len(name)] == ':' && sameName(line, name) {
			return bytes.Trim(line[len(name)+1:], " \t")
		}
	}
	return nil
}

// EachHeader calls f with every header of the answer; over gRPC with its initial
// metadata.
func (a Answer) EachHeader(f func(name, value string)) {
	for rest := a.from.head; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		name, value, _ := bytes.Cut(line, []byte(":"))
		f(string(name), string(bytes.Trim(value, " \t")))
	}
}

// cutLine splits lines that each end with CR LF after the first.
func cutLine(lines []byte) (line, rest []byte) {
	i := bytes.IndexByte(lines, '\n')
	return lines[:i-1], lines[i+1:]
}

// sameName reports whether line begins with a header's name, which is no longer
// than it.
func sameName(line []byte, name string) bool {
	for i := range len(name) {
		if lower(line[i]) != lower(name[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
