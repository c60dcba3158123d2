package artifact

import (
	"bytes"
	"encoding/json"
	"strings"
)

// layOut writes a value as JSON for people: one field a line, but lists of
// numbers and other things without parts side by side, or a golden request
// would take a line for every number.
func layOut(v any) ([]byte, error) {
	var compact bytes.Buffer
	enc := json.NewEncoder(&compact)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	l := layout{src: bytes.TrimSpace(compact.Bytes())}
	l.value("")
	return append(l.dst, '\n'), nil
}

// layout copies well-formed JSON without white space from src to dst.
type layout struct {
	src, dst []byte
	at       int
}

// longList is how many elements stand without a space between them.
const longList = 20

// value writes what begins at the position, its lines indented.
func (l *layout) value(indent string) {
	open := l.src[l.at]
	if open != '{' && open != '[' {
		l.scalar()
		return
	}
	elements, nested := l.survey()
	inner := indent + "  "
	between, before, behind := ",\n"+inner, "\n"+inner, "\n"+indent
	if !nested {
		between, before, behind = ", ", "", ""
		if open == '[' && elements >= longList {
			between = ","
		}
	}
	l.take()
	if elements > 0 {
		l.dst = append(l.dst, before...)
	}
	for i := range elements {
		if i > 0 {
			l.at++ // the comma
			l.dst = append(l.dst, between...)
		}
		if open == '{' {
			l.scalar()
			l.take() // the colon
			l.dst = append(l.dst, ' ')
		}
		l.value(inner)
	}
	if elements > 0 {
		l.dst = append(l.dst, behind...)
	}
	l.take()
}

func (l *layout) take() {
	l.dst = append(l.dst, l.src[l.at])
	l.at++
}

// scalar copies a string, number or word.
func (l *layout) scalar() {
	end := l.at + scalarEnd(l.src[l.at:])
	l.dst = append(l.dst, l.src[l.at:end]...)
	l.at = end
}

func scalarEnd(src []byte) int {
	if src[0] != '"' {
		if end := bytes.IndexAny(src, ",:]}"); end >= 0 {
			return end
		}
		return len(src)
	}
	for i := 1; ; i++ {
		switch src[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// survey counts the elements of the container at the position, and says
// whether one of them is a container too.
func (l *layout) survey() (elements int, nested bool) {
	depth := 0
	for at := l.at; ; {
		switch c := l.src[at]; {
		case c == '{' || c == '[':
			if depth == 1 {
				nested = true
			}
			if depth++; depth == 1 && !strings.ContainsRune("}]", rune(l.src[at+1])) {
				elements = 1
			}
			at++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return elements, nested
			}
			at++
		case c == ',' || c == ':':
			if c == ',' && depth == 1 {
				elements++
			}
			at++
		default:
			at += scalarEnd(l.src[at:])
		}
	}
}
