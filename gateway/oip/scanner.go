package oip

import "fmt"

// DefaultMaxDepth is how deep JSON may nest where Limits say nothing.
const DefaultMaxDepth = 64

// scanner walks over one JSON text. pos is the next byte to read; text takes
// the strings that have escapes and so cannot be read in place, run the numbers
// that were scanned and not converted yet.
type scanner struct {
	b        []byte
	pos      int
	depth    int
	maxDepth int
	text     []byte
	run      *numberRun // nil before the first run of numbers
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// peek skips white space and returns the next byte without taking it, 0 at the
// end of the text.
func (s *scanner) peek() byte {
	for s.pos < len(s.b) {
		c := s.b[s.pos]
		if !isSpace(c) {
			return c
		}
		s.pos++
	}
	return 0
}

// malformed says that the text is not JSON at a byte, and what was expected
// there.
func (s *scanner) malformed(at int, expected string) error {
	if at >= len(s.b) {
		return refuse("malformed JSON at byte %d: the text ends, expected %s", len(s.b), expected)
	}
	return refuse("malformed JSON at byte %d: found %s, expected %s", at, found(s.b[at]), expected)
}

// badNumber says that a number breaks JSON's grammar at a byte.
func (s *scanner) badNumber(at int) error {
	if at < len(s.b) && s.b[at]-'0' <= 9 {
		return refuse("malformed JSON at byte %d: a number has a leading zero", at)
	}
	return s.malformed(at, "a digit")
}

// found names a byte for a message. A byte of a longer character is shown by
// its number.
func found(c byte) string {
	if c < 0x20 || c > 0x7e {
		return fmt.Sprintf("byte 0x%02x", c)
	}
	return "'" + string(rune(c)) + "'"
}

// kind names the value that starts at the next byte, for messages.
func (s *scanner) kind() string {
	c := s.peek()
	rest := s.b[s.pos:]
	begins := func(word string) bool { return len(rest) >= len(word) && string(rest[:len(word)]) == word }
	switch {
	case c == '{':
		return "an object"
	case c == '[':
		return "a list"
	case c == '"':
		return "a string"
	case begins("true") || begins("false"):
		return "a boolean"
	case begins("null"):
		return "null"
	case c == '-' || c >= '0' && c <= '9' || begins("NaN") || begins("Infinity"):
		return "a number"
	}
	return noValue
}

// noValue is the kind of what no value begins with.
const noValue = "no value"

// want says that the next value is not of the expected kind, or that there is
// none.
func (s *scanner) want(what, expected string) error {
	kind := s.kind()
	if kind == noValue {
		return s.malformed(s.pos, expected)
	}
	return refuse("%s must be %s, found %s at byte %d", what, expected, kind, s.pos)
}

func (s *scanner) take(c byte, expected string) error {
	if s.peek() != c {
		return s.malformed(s.pos, expected)
	}
	s.pos++
	return nil
}

// enter and leave count the nesting of objects and lists.
func (s *scanner) enter() error {
	if s.depth++; s.depth > s.maxDepth {
		return refuse("JSON nests deeper than %d at byte %d", s.maxDepth, s.pos)
	}
	return nil
}

func (s *scanner) leave() { s.depth-- }

// object walks over the members of the object that comes next. It calls
// member with each key when pos is at the key's value; member must consume the
// value. what names the object in messages. The key is valid only during the
// call.
func (s *scanner) object(what string, member func(key []byte) error) error {
	if s.peek() != '{' {
		return s.want(what, "an object")
	}
	if err := s.enter(); err != nil {
		return err
	}
	s.pos++
	if s.peek() == '}' {
		s.pos++
		s.leave()
		return nil
	}
	for {
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case '}':
			s.pos++
			s.leave()
			return nil
		default:
			return s.malformed(s.pos, "',' or '}'")
		}
	}
}

// key takes a member's key and the colon behind it.
func (s *scanner) key() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.malformed(s.pos, "a member's name in quotes")
	}
	key, err := s.str()
	if err != nil {
		return nil, err
	}
	return key, s.take(':', "':'")
}

// list walks over the elements of the list that comes next. It calls element
// with each index; element must consume the value.
func (s *scanner) list(what string, element func(i int) error) error {
	if s.peek() != '[' {
		return s.want(what, "a list")
	}
	if err := s.enter(); err != nil {
		return err
	}
	s.pos++
	if s.peek() == ']' {
		s.pos++
		s.leave()
		return nil
	}
	for i := 0; ; i++ {
		if err := element(i); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.pos++
		case ']':
			s.pos++
			s.leave()
			return nil
		default:
			return s.malformed(s.pos, "',' or ']'")
		}
	}
}

// literal takes a word such as true where it comes next.
func (s *scanner) literal(word string) bool {
	if len(s.b)-s.pos < len(word) || string(s.b[s.pos:s.pos+len(word)]) != word {
		return false
	}
	s.pos += len(word)
	return true
}

// null takes null where it comes next.
func (s *scanner) null() bool { return s.peek() == 'n' && s.literal("null") }

// skip passes over any value and checks that it is one. Strings need only be
// closed, so that keys and values that nobody reads cost no decoding.
func (s *scanner) skip() error {
	switch c := s.peek(); c {
	case '{':
		return s.object("value", func([]byte) error { return s.skip() })
	case '[':
		return s.list("value", func(int) error { return s.skip() })
	case '"':
		return s.skipString()
	case 't', 'f', 'n', 'N', 'I':
		for _, word := range [...]string{"true", "false", "null", "NaN", "Infinity"} {
			if s.literal(word) {
				return nil
			}
		}
	default:
		if s.literal("-Infinity") {
			return nil
		}
		if _, _, end, _ := scanNumber(s.b, s.pos); end > s.pos {
			s.pos = end
			return nil
		} else if c == '-' || c >= '0' && c <= '9' {
			return s.badNumber(^end)
		}
	}
	return s.malformed(s.pos, "a value")
}

// end checks that nothing but white space follows.
func (s *scanner) end() error {
	if s.peek(); s.pos != len(s.b) {
		return s.malformed(s.pos, "the end")
	}
	return nil
}

// hop passes over an element of a list, or a member's value, that is read
// again later: it only counts brackets and knows strings, and leaves every
// other check to the second reading. It stops before the ',' ']' or '}' behind
// the value.
func (s *scanner) hop() error {
	open := 0
	for s.pos < len(s.b) {
		switch bracketOf[s.b[s.pos]] {
		case opens:
			open++
		case closes:
			if open--; open < 0 {
				return nil
			}
		case parts:
			if open == 0 {
				return nil
			}
		case quotes:
			if err := s.skipString(); err != nil {
				return err
			}
			continue
		}
		s.pos++
	}
	return s.malformed(s.pos, "',' or ']'")
}

const (
	opens = iota + 1
	closes
	parts
	quotes
)

// bracketOf classes the bytes that matter to hop; all others are 0.
var bracketOf = [256]uint8{'[': opens, '{': opens, ']': closes, '}': closes, ',': parts, '"': quotes}
