package configs

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// EndRollout is the text of a document without its rollout, with these weights
// in its place: the one to commit once a rollout has ended. Copies to versions
// that get weight are left out. Everything else stays as it was written where
// that can be done, as with SetWeights.
func EndRollout(e Entry, weights map[string]float64) ([]byte, error) {
	before, _, err := Parse(e)
	if err != nil {
		return nil, err
	}
	want := *before
	want.Rollout = nil
	want.Traffic.Shadow = maps.Clone(before.Traffic.Shadow)
	maps.DeleteFunc(want.Traffic.Shadow, func(version string, _ float64) bool { return weights[version] > 0 })
	if len(want.Traffic.Shadow) == 0 {
		want.Traffic.Shadow = nil
	}
	if err := checkNewWeights(&want, weights); err != nil {
		return nil, err
	}
	want.Traffic.Weights = weights
	e.Value = endRollout(e, &want)
	return e.Value, nil
}

func endRollout(e Entry, want *Document) []byte {
	text := e.Value
	for _, path := range removals(parseTree(e, newReport()), want) {
		e.Value = text
		text = removeField(text, parseTree(e, newReport()), path)
	}
	e.Value = text
	text = editWeights(text, parseTree(e, newReport()), want.Traffic.Weights)
	e.Value = text
	if after, _, err := Parse(e); err == nil && sameDocument(after, want) {
		return text
	}
	return Canonical(want)
}

// removals are the paths of the fields that must go. A mapping that would be
// empty goes as a whole.
func removals(root *node, want *Document) [][]string {
	paths := [][]string{{"rollout"}}
	traffic := root.value("traffic")
	shadow := traffic.value("shadow")
	switch {
	case shadow == nil || len(want.Traffic.Shadow) == len(shadow.keys):
	case len(want.Traffic.Shadow) > 0:
		for _, key := range shadow.keys {
			if _, stays := want.Traffic.Shadow[key.text]; !stays {
				paths = append(paths, []string{"traffic", "shadow", key.text})
			}
		}
	case len(traffic.keys) == 1:
		paths = append(paths, []string{"traffic"})
	default:
		paths = append(paths, []string{"traffic", "shadow"})
	}
	return paths
}

// removeField cuts a field out of a text. It may cut too much or too little
// where a text is strange: whoever calls reads it back.
func removeField(text []byte, root *node, path []string) []byte {
	parent := root
	for _, name := range path[:len(path)-1] {
		parent = parent.value(name)
	}
	if parent == nil {
		return text
	}
	i := slices.IndexFunc(parent.keys, func(k *node) bool { return k.text == path[len(path)-1] })
	if i < 0 {
		return text
	}
	from, to := blockField(text, parent, i)
	if parent.flow {
		from, to = flowField(text, parent, i)
	}
	return slices.Concat(text[:from], text[to:])
}

// flowField is where a field in braces lies, with the comma that goes with it.
func flowField(text []byte, parent *node, i int) (from, to int) {
	from = offsetOf(text, parent.keys[i])
	if i+1 < len(parent.keys) {
		return from, offsetOf(text, parent.keys[i+1])
	}
	if comma := bytes.LastIndexByte(text[:from], ','); i > 0 && comma >= 0 {
		from = comma
	}
	return from, closing(text, offsetOf(text, parent.keys[i]))
}

// closing is where the braces around an offset are closed.
func closing(text []byte, offset int) int {
	depth, quote := 0, byte(0)
	for i := offset; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == '\\' && quote == '"':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i
			}
			depth--
		}
	}
	return len(text)
}

// blockField is where a field on lines of its own lies. Comments and empty
// lines before what follows stay with that.
func blockField(text []byte, parent *node, i int) (from, to int) {
	key := parent.keys[i]
	from = lineStart(text, key.line)
	last, line := key.line, key.line+1
	for ; ; line++ {
		start := lineStart(text, line)
		if start >= len(text) {
			break
		}
		end := len(text)
		if n := bytes.IndexByte(text[start:], '\n'); n >= 0 {
			end = start + n
		}
		content := strings.TrimRight(string(text[start:end]), "\r")
		trimmed := strings.TrimLeft(content, " ")
		indent := len(content) - len(trimmed)
		switch {
		case trimmed == "" || trimmed[0] == '#' && indent < key.column:
			continue // whose it is the next line decides
		case indent < key.column && !(indent == key.column-1 && strings.HasPrefix(trimmed, "- ")):
			return from, lineStart(text, last+1)
		}
		last = line
	}
	return from, lineStart(text, last+1)
}

// lineStart is the offset of a line that counts from 1.
func lineStart(text []byte, line int) int { return offsetOf(text, &node{line: line, column: 1}) }
