package configs

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// parseYAML reads one YAML document into nodes. Anchors, aliases, merge keys
// and tags are refused: they make a document longer or other than it looks.
func parseYAML(text []byte, r *report) *node {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var root, second yaml.Node
	err := d.Decode(&root)
	switch {
	case errors.Is(err, io.EOF), err == nil && len(root.Content) == 0:
		r.problem("", "the document is empty")
		return nil
	case err != nil:
		yamlProblem(text, err, r)
		return nil
	}
	if err := d.Decode(&second); err == nil {
		r.problemAt(&node{line: second.Line, column: max(1, second.Column)}, "",
			"a second YAML document starts here: one document each")
		return nil
	} else if !errors.Is(err, io.EOF) {
		yamlProblem(text, err, r)
		return nil
	}
	n, deep := yamlNode(root.Content[0], 1)
	if deep != nil {
		r.problemAt(deep, "", "nested deeper than %d levels", maxDepth)
		return nil
	}
	return n
}

func yamlProblem(text []byte, err error, r *report) {
	// The parser's own words for a tab are about tokens.
	for i, line := range bytes.Split(text, []byte("\n")) {
		indent := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 && len(bytes.TrimSpace(line)) > 0 {
			r.problemAt(&node{line: i + 1, column: tab + 1}, "", "a tab in the indentation: YAML takes spaces only")
			return
		}
	}
	at, message := node{line: 1, column: 1}, strings.TrimPrefix(err.Error(), "yaml: ")
	if bad := (*yaml.ParserError)(nil); errors.As(err, &bad) {
		at.line, message = max(1, bad.Line), bad.Message
		if countsFromZero.MatchString(message) {
			at.line = bad.Line + 1
		}
	}
	r.problemAt(&at, "", "not YAML: %s", message)
}

// countsFromZero matches the errors of the library's parser, whose lines count
// from 0; those of its scanner count from 1.
var countsFromZero = regexp.MustCompile(`^did not find expected (<|node content|'-' indicator|key|',' or )|^found (undefined tag|duplicate %|incompatible YAML)`)

// yamlNode converts a tree. It returns the first place that is nested too
// deeply, and does not go below it.
func yamlNode(y *yaml.Node, depth int) (n, deep *node) {
	n = &node{line: y.Line, column: y.Column, flow: y.Style&yaml.FlowStyle != 0}
	if depth > maxDepth {
		return n, n
	}
	switch {
	case y.Kind == yaml.AliasNode:
		n.refused = "aliases are not taken: write the value out instead of *" + short(y.Value)
		return n, nil
	case y.Anchor != "":
		n.refused = "anchors are not taken: remove &" + short(y.Anchor)
	case y.Style&yaml.TaggedStyle != 0:
		n.refused = "tags are not taken: remove " + short(y.Tag)
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapNode
	case yaml.SequenceNode:
		n.kind = listNode
	default:
		n.text = y.Value
		n.quoted = y.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	}
	for i, below := range y.Content {
		item, tooDeep := yamlNode(below, depth+1)
		if deep == nil {
			deep = tooDeep
		}
		if n.kind == mapNode && i%2 == 0 {
			if !item.quoted && item.text == "<<" {
				item.refused = "merge keys are not taken: write the fields out instead of <<"
			}
			n.keys = append(n.keys, item)
			continue
		}
		n.values = append(n.values, item)
	}
	return n, deep
}
