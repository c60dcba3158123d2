package configs

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SetWeights is the text of a document with other weights: versions that
// weights does not name get 0. Everything else stays as it was written,
// comments, order and spaces included; where that cannot be done the text is
// Canonical. The error is *Problems: what is wrong with the document as it is,
// or with the weights.
func SetWeights(e Entry, weights map[string]float64) ([]byte, error) {
	before, _, err := Parse(e)
	if err != nil {
		return nil, err
	}
	if err := checkNewWeights(before, weights); err != nil {
		return nil, err
	}
	want := *before
	want.Traffic.Weights = weights
	edited := editWeights(e.Value, parseTree(e, newReport()), weights)
	e.Value = edited
	// Only an edit that reads back as what was asked for is one.
	if after, _, err := Parse(e); err == nil && sameDocument(after, &want) {
		return edited, nil
	}
	return Canonical(&want), nil
}

func checkNewWeights(d *Document, weights map[string]float64) error {
	r := newReport()
	if d.Rollout != nil {
		r.problem("rollout", "moves the weights: change or remove it, or hold weights beside it")
		return r.err("")
	}
	if len(weights) == 0 {
		r.problem("traffic.weights", "empty: name at least one version")
		return r.err("")
	}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		path := keyPath("traffic.weights", name)
		checkVersionName(d, name, path, r)
		if w := weights[name]; w-w != 0 {
			r.problem(path, "must be a finite number, found %v", w)
		} else if w > 0 && d.Traffic.Shadow[name] > 0 {
			r.problem(path, "gets %v percent of copies, which are for versions without weight: take it out of traffic.shadow", d.Traffic.Shadow[name])
		}
	}
	checkWeights(weights, "traffic.weights", r)
	return r.err("")
}

// sameDocument compares two documents; a weight of 0 is as good as none.
func sameDocument(a, b *Document) bool {
	x, y := *a, *b
	x.Traffic.Weights, y.Traffic.Weights = withoutZeros(x.Traffic.Weights), withoutZeros(y.Traffic.Weights)
	return reflect.DeepEqual(x, y)
}

func withoutZeros(weights map[string]float64) map[string]float64 {
	left := maps.Clone(weights)
	maps.DeleteFunc(left, func(_ string, w float64) bool { return w == 0 })
	return left
}

// textEdit replaces some bytes at an offset.
type textEdit struct {
	offset, remove int
	insert         string
}

func editWeights(text []byte, root *node, weights map[string]float64) []byte {
	var edits []textEdit
	traffic := root.value("traffic")
	old := traffic.value("weights")
	switch {
	case old != nil && len(old.keys) > 0:
		edits = replaceWeights(text, old, weights)
	case old != nil: // {}
		edits = []textEdit{{offsetOf(text, old), len("{}"), flowWeights(weights)}}
	case traffic != nil && len(traffic.keys) > 0:
		edits = []textEdit{insertFirst(text, traffic, "weights", flowWeights(weights))}
	case traffic != nil: // {}
		edits = []textEdit{{offsetOf(text, traffic), len("{}"), `{"weights": ` + flowWeights(weights) + "}"}}
	default:
		edits = []textEdit{insertLast(text, root, "traffic", `{"weights": `+flowWeights(weights)+"}")}
	}
	slices.SortFunc(edits, func(a, b textEdit) int { return b.offset - a.offset })
	for _, e := range edits {
		if e.offset+e.remove > len(text) {
			continue
		}
		text = slices.Concat(text[:e.offset], []byte(e.insert), text[e.offset+e.remove:])
	}
	return text
}

// replaceWeights puts new numbers in the place of the old ones and appends
// versions that had none.
func replaceWeights(text []byte, old *node, weights map[string]float64) []textEdit {
	var edits []textEdit
	for i, key := range old.keys {
		value := old.values[i]
		edits = append(edits, textEdit{offsetOf(text, value), len(value.text), number(weights[key.text])})
	}
	lastKey, lastValue := old.keys[len(old.keys)-1], old.values[len(old.values)-1]
	at := offsetOf(text, lastValue) + len(lastValue.text)
	separator := ", "
	if indent, ok := indentOf(text, lastKey); ok && old.flow {
		separator = ",\n" + indent
	} else if !old.flow {
		// After whatever else stands on the line: a comment.
		separator = "\n" + strings.Repeat(" ", lastKey.column-1)
		if end := bytes.IndexByte(text[min(at, len(text)):], '\n'); end >= 0 {
			at += end
		} else {
			at = len(text)
		}
	}
	var added strings.Builder
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		if old.value(name) == nil && weights[name] != 0 {
			added.WriteString(separator + strconv.Quote(name) + ": " + number(weights[name]))
		}
	}
	if added.Len() > 0 {
		edits = append(edits, textEdit{at, 0, added.String()})
	}
	return edits
}

// insertFirst puts a field before the first one of a mapping.
func insertFirst(text []byte, m *node, name, value string) textEdit {
	first := m.keys[0]
	separator := ", "
	indent, alone := indentOf(text, first)
	if alone && m.flow {
		separator = ",\n" + indent
	}
	if m.flow {
		return textEdit{offsetOf(text, first), 0, strconv.Quote(name) + ": " + value + separator}
	}
	return textEdit{offsetOf(text, first), 0, name + ": " + value + "\n" + strings.Repeat(" ", first.column-1)}
}

// insertLast puts a field at the end of a document's outermost mapping, or
// first where it is in braces.
func insertLast(text []byte, root *node, name, value string) textEdit {
	if root.flow {
		return insertFirst(text, root, name, value)
	}
	insert := strings.Repeat(" ", root.keys[0].column-1) + name + ": " + value + "\n"
	if !bytes.HasSuffix(text, []byte("\n")) {
		insert = "\n" + insert
	}
	return textEdit{len(text), 0, insert}
}

// indentOf is the white space before a place, and whether nothing else stands
// before it on its line.
func indentOf(text []byte, n *node) (string, bool) {
	offset := offsetOf(text, n)
	line := string(text[bytes.LastIndexByte(text[:offset], '\n')+1 : offset])
	return line, strings.TrimLeft(line, " \t") == ""
}

// offsetOf is the byte offset of a place, at most the length of the text.
func offsetOf(text []byte, n *node) int {
	offset := 0
	for line := 1; line < n.line; line++ {
		end := bytes.IndexByte(text[offset:], '\n')
		if end < 0 {
			return len(text)
		}
		offset += end + 1
	}
	for column := 1; column < n.column && offset < len(text); column++ {
		_, size := utf8.DecodeRune(text[offset:])
		offset += size
	}
	return offset
}

func flowWeights(weights map[string]float64) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(name) + ": " + number(weights[name]))
	}
	return "{" + b.String() + "}"
}

// number is a weight as JSON and YAML both read it.
func number(weight float64) string {
	text, err := json.Marshal(weight)
	if err != nil {
		return "0" // not finite, which SetWeights refuses before
	}
	return string(text)
}
