package configs

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	// maxDocument bounds the bytes of one document.
	maxDocument = 1 << 20
	// maxDepth bounds nesting; the deepest document that means anything has 5.
	maxDepth = 32
)

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	mapNode
	listNode
)

// node is one place of a document, the same for JSON and YAML: both are read
// into this tree, and one decoder judges it.
type node struct {
	kind nodeKind
	// text is a scalar as it was written, or the content of a quoted one.
	text string
	// quoted says that a scalar is text beyond doubt: in quotes, or a block.
	quoted bool
	// flow says that a mapping or list was written in brackets.
	flow bool
	// line and column count from 1; columns count characters.
	line, column int
	// refused says why YAML that is right in itself is not taken here.
	refused string
	// keys and values are the pairs of a mapping, in the order of the text;
	// values alone are the items of a list.
	keys, values []*node
}

// value is the value of a mapping's key, nil where there is none.
func (n *node) value(key string) *node {
	if n == nil {
		return nil
	}
	for i, k := range n.keys {
		if k.kind == scalarNode && k.text == key {
			return n.values[i]
		}
	}
	return nil
}

// parseTree reads a document into nodes. What starts with { is JSON, all else
// is YAML. A problem is in the report where it returns nil.
func parseTree(e Entry, r *report) *node {
	switch {
	case e.Problem != "":
		r.problem("", "%s", e.Problem)
	case len(e.Value) > maxDocument:
		r.problem("", "the document has %d bytes, the most is %d (1MiB)", len(e.Value), maxDocument)
	case bytes.HasPrefix(e.Value, []byte("\xef\xbb\xbf")):
		r.problem("", "the document starts with a byte order mark: save it as UTF-8 without one")
	case !utf8.Valid(e.Value):
		line := 1 + bytes.Count(e.Value[:validPrefix(e.Value)], []byte("\n"))
		r.problemAt(&node{line: line, column: 1}, "", "the document is not UTF-8: save it as UTF-8")
	case len(bytes.TrimSpace(e.Value)) == 0:
		r.problem("", "the document is empty")
	case bytes.TrimSpace(e.Value)[0] == '{':
		return parseJSON(e.Value, r)
	default:
		return parseYAML(e.Value, r)
	}
	return nil
}

func validPrefix(text []byte) int {
	n := 0
	for n < len(text) {
		c, size := utf8.DecodeRune(text[n:])
		if c == utf8.RuneError && size <= 1 {
			break
		}
		n += size
	}
	return n
}

// position is the line and the column, in characters, of a byte offset.
func position(text []byte, offset int) (line, column int) {
	offset = min(offset, len(text))
	start := bytes.LastIndexByte(text[:offset], '\n') + 1
	return 1 + bytes.Count(text[:offset], []byte("\n")), 1 + utf8.RuneCount(text[start:offset])
}

// meaning is what a scalar without quotes means. Text is only what no version
// of YAML reads as anything else, because editors and tools disagree on the
// rest: yes is a truth value in YAML 1.1 and a word in 1.2.
type meaning uint8

const (
	meansText meaning = iota
	meansNull
	meansBool
	meansInteger
	meansNumber
	meansNonFinite
	meansDoubtful
)

var (
	integerPattern = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	numberPattern  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
	// doubtfulPattern is what some YAML reads as a number, a truth value or a
	// date: octal, hexadecimal, binary, digits in groups, a sign of plus,
	// leading or trailing points, times in base 60, dates.
	doubtfulPattern = regexp.MustCompile(`^([-+]?(0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]*|0[bB][01_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|\.[0-9_]+([eE][-+]?[0-9]+)?|[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?)|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?)$`)
)

func meaningOf(n *node) meaning {
	if n.quoted {
		return meansText
	}
	switch n.text {
	case "", "~", "null", "Null", "NULL":
		return meansNull
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return meansBool
	}
	switch strings.ToLower(n.text) {
	case "y", "n", "yes", "no", "on", "off":
		return meansDoubtful
	case ".inf", "-.inf", "+.inf", ".nan", "nan", "inf", "-inf", "+inf", "infinity", "-infinity", "+infinity":
		return meansNonFinite
	}
	switch {
	case integerPattern.MatchString(n.text):
		return meansInteger
	case numberPattern.MatchString(n.text):
		return meansNumber
	case doubtfulPattern.MatchString(n.text):
		return meansDoubtful
	}
	return meansText
}

// describe names what stands at a place, for "expected X, found …".
func describe(n *node) string {
	switch n.kind {
	case mapNode:
		return "a mapping"
	case listNode:
		return "a list"
	}
	switch meaningOf(n) {
	case meansNull:
		return "nothing"
	case meansBool:
		return n.text
	case meansInteger, meansNumber:
		return "the number " + short(n.text)
	case meansNonFinite, meansDoubtful:
		return "the unquoted " + short(n.text)
	}
	return "the text " + quoteShort(n.text)
}

func short(text string) string {
	if quoted := quoteShort(text); len(quoted) != len(text)+2 {
		return quoted
	}
	return text
}

func mustQuote(text string) string { return fmt.Sprintf("quote it: %s", quoteShort(text)) }
