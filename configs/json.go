package configs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// parseJSON reads strict JSON into nodes.
func parseJSON(text []byte, r *report) *node {
	// Decoder.Token alone takes some texts that are not JSON; this does not.
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		at := node{line: 1, column: 1}
		if bad := (*json.SyntaxError)(nil); errors.As(err, &bad) {
			at.line, at.column = position(text, max(0, int(bad.Offset)-1))
		}
		message := strings.TrimPrefix(err.Error(), "json: ")
		if strings.Contains(message, "after top-level value") {
			message += ": one document each"
		}
		r.problemAt(&at, "", "not JSON (the document starts with {): %s", message)
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	p := jsonReader{text: text, tokens: d, line: 1, column: 1}
	n, err := p.read(1)
	if err != nil {
		r.problemAt(&node{line: p.line, column: p.column}, "", "%s", err)
		return nil
	}
	return n
}

type jsonReader struct {
	text   []byte
	tokens *json.Decoder
	// line and column are those of the byte at offset, which only moves on.
	offset, line, column int
}

func (p *jsonReader) read(depth int) (*node, error) {
	p.moveTo(int(p.tokens.InputOffset()))
	n := &node{line: p.line, column: p.column}
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	token, err := p.tokens.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		n.flow = true
		n.kind = listNode
		if t == '{' {
			n.kind = mapNode
		}
		err = p.readItems(n, depth)
	case string:
		n.text, n.quoted = t, true
	case json.Number:
		n.text = t.String()
	case bool:
		n.text = fmt.Sprint(t)
	case nil:
		n.text = "null"
	}
	return n, err
}

func (p *jsonReader) readItems(n *node, depth int) error {
	for p.tokens.More() {
		if n.kind == mapNode {
			key, err := p.read(depth + 1)
			if err != nil {
				return err
			}
			n.keys = append(n.keys, key)
		}
		value, err := p.read(depth + 1)
		if err != nil {
			return err
		}
		n.values = append(n.values, value)
	}
	_, err := p.tokens.Token() // the closing bracket
	return err
}

// moveTo goes on to an offset and then over what separates tokens.
func (p *jsonReader) moveTo(offset int) {
	for p.offset < len(p.text) {
		c := p.text[p.offset]
		if p.offset >= offset && !strings.ContainsRune(" \t\r\n,:", rune(c)) {
			return
		}
		p.offset++
		switch {
		case c == '\n':
			p.line, p.column = p.line+1, 1
		case c&0xC0 != 0x80:
			p.column++
		}
	}
}
