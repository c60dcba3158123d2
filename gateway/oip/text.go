package oip

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// plainLength returns how many bytes from the start of b are neither a quote,
// a backslash nor a control character, eight bytes at a time. The second
// result tells whether they are all ASCII.
func plainLength(b []byte) (n int, ascii bool) {
	var seen uint64
	for len(b)-n >= 8 {
		v := binary.LittleEndian.Uint64(b[n:])
		quotes := v ^ 0x22*lowBits
		slashes := v ^ 0x5c*lowBits
		// A byte below a bound borrows into its high bit; &^ keeps bytes that
		// had that bit before from counting. Only the lowest mark is exact.
		special := ((quotes - lowBits) &^ quotes) | ((slashes - lowBits) &^ slashes) | ((v - 0x20*lowBits) &^ v)
		if special &= highBits; special != 0 {
			k := bits.TrailingZeros64(special) / 8
			seen |= v & (1<<(8*k) - 1)
			return n + k, seen&highBits == 0
		}
		seen |= v
		n += 8
	}
	for ; n < len(b); n++ {
		if c := b[n]; c == '"' || c == '\\' || c < 0x20 {
			break
		}
		seen |= uint64(b[n])
	}
	return n, seen&highBits == 0
}

// str takes the string that comes next; pos must be at its quote. The result
// lies in the scanned text where the string has no escapes, in s.text where it
// has. A string that is not valid UTF-8, or has half a surrogate pair, is
// refused: it could not be given back.
func (s *scanner) str() ([]byte, error) {
	start := s.pos + 1
	n, ascii := plainLength(s.b[start:])
	end := start + n
	if end < len(s.b) && s.b[end] == '"' {
		if !ascii && !utf8.Valid(s.b[start:end]) {
			return nil, refuse("the string at byte %d is not valid UTF-8", s.pos)
		}
		s.pos = end + 1
		return s.b[start:end:end], nil
	}
	first := len(s.text)
	for {
		s.text = append(s.text, s.b[start:end]...)
		if end >= len(s.b) {
			return nil, s.malformed(end, "the string's closing quote")
		}
		switch s.b[end] {
		case '"':
			decoded := s.text[first:len(s.text):len(s.text)]
			if !utf8.Valid(decoded) {
				return nil, refuse("the string at byte %d is not valid UTF-8", s.pos)
			}
			s.pos = end + 1
			return decoded, nil
		case '\\':
			next, err := s.escape(end)
			if err != nil {
				return nil, err
			}
			start = next
		default:
			return nil, s.bareControl(end)
		}
		n, _ := plainLength(s.b[start:])
		end = start + n
	}
}

// escape decodes the escape sequence whose backslash is at the position at
// into s.text and returns the position behind it.
func (s *scanner) escape(at int) (next int, err error) {
	if at+1 >= len(s.b) {
		return 0, s.malformed(at+1, "an escape")
	}
	switch c := s.b[at+1]; c {
	case '"', '\\', '/':
		s.text = append(s.text, c)
	case 'b':
		s.text = append(s.text, '\b')
	case 'f':
		s.text = append(s.text, '\f')
	case 'n':
		s.text = append(s.text, '\n')
	case 'r':
		s.text = append(s.text, '\r')
	case 't':
		s.text = append(s.text, '\t')
	case 'u':
		return s.unicodeEscape(at)
	default:
		return 0, s.malformed(at+1, "one of \"\\/bfnrtu after a backslash")
	}
	return at + 2, nil
}

func (s *scanner) unicodeEscape(at int) (next int, err error) {
	r, ok := hex4(s.b, at+2)
	if !ok {
		return 0, refuse("malformed JSON at byte %d: four hexadecimal digits must follow \\u", at)
	}
	next = at + 6
	if utf16.IsSurrogate(r) {
		low, ok := rune(0), next+1 < len(s.b) && s.b[next] == '\\' && s.b[next+1] == 'u'
		if ok {
			low, ok = hex4(s.b, next+2)
		}
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return 0, refuse("the escape at byte %d is half a surrogate pair", at)
		}
		next += 6
	}
	s.text = utf8.AppendRune(s.text, r)
	return next, nil
}

func hex4(b []byte, at int) (r rune, ok bool) {
	if at+4 > len(b) {
		return 0, false
	}
	for _, c := range b[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// skipString passes over a string; pos must be at its quote.
func (s *scanner) skipString() error {
	at := s.pos + 1
	for {
		n, _ := plainLength(s.b[at:])
		at += n
		switch {
		case at >= len(s.b):
			return s.malformed(at, "the string's closing quote")
		case s.b[at] == '"':
			s.pos = at + 1
			return nil
		case s.b[at] == '\\':
			at = min(at+2, len(s.b)) // the text may end in a backslash
		default:
			return s.bareControl(at)
		}
	}
}

func (s *scanner) bareControl(at int) error {
	return refuse("malformed JSON at byte %d: control character 0x%02x stands in a string without an escape", at, s.b[at])
}

// appendText appends a JSON string. Bytes that are not valid UTF-8 become
// U+FFFD, so that who must not lose any checks with utf8.Valid first.
func appendText[T string | []byte](dst []byte, text T) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, size := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		i++
	}
	return append(dst, '"')
}
