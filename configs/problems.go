package configs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxProblems bounds how many problems of one document are reported.
const maxProblems = 100

// Problem is one thing that is wrong with a document.
type Problem struct {
	// Path names the place: field names joined by dots, keys of a mapping in
	// quotes, positions in a list in brackets: traffic.weights."3",
	// keys[0].sha256. It is empty for the document as a whole.
	Path string `json:"path"`
	// Message says what is wrong and how to mend it.
	Message string `json:"message"`
	// Line and Column count from 1; 0 where there is no place in the text.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// String is "line 4, column 13: traffic.weights."3": message", without the
// parts that are not known.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Warning is something in an accepted document that is probably not meant.
type Warning Problem

// String is that of Problem.
func (w Warning) String() string { return Problem(w).String() }

// Problems is why a document was refused: all that is wrong with it. It is the
// error of Parse, ParseSettings and ParseOverride.
type Problems struct {
	// Where is Entry.Where.
	Where string
	// List holds at least one problem, in the order of the text.
	List []Problem
	// Omitted counts further problems that were left out of a very long List.
	Omitted int
}

// Error is all problems on one line, joined by semicolons.
func (p *Problems) Error() string {
	parts := make([]string, 0, len(p.List)+1)
	for _, one := range p.List {
		parts = append(parts, one.String())
	}
	if p.Omitted > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", p.Omitted))
	}
	text := strings.Join(parts, "; ")
	if p.Where == "" {
		return text
	}
	return p.Where + ": " + text
}

// report collects the problems and warnings of one document. Positions are
// looked up by path, so that a check of the finished values can name the line
// they came from.
type report struct {
	problems []Problem
	warnings []Warning
	at       map[string]*node
}

func newReport() *report { return &report{at: map[string]*node{}} }

// problem reports one at a path. The position is that of the path, or of the
// nearest place that contains it.
func (r *report) problem(path, format string, args ...any) {
	p := Problem{Path: path, Message: fmt.Sprintf(format, args...)}
	p.Line, p.Column = r.position(path)
	r.problems = append(r.problems, p)
}

// problemAt reports one at a place of the text.
func (r *report) problemAt(n *node, path, format string, args ...any) {
	r.problems = append(r.problems, Problem{path, fmt.Sprintf(format, args...), n.line, n.column})
}

func (r *report) warn(path, format string, args ...any) {
	w := Warning{Path: path, Message: fmt.Sprintf(format, args...)}
	w.Line, w.Column = r.position(path)
	r.warnings = append(r.warnings, w)
}

func (r *report) position(path string) (line, column int) {
	for {
		if n, ok := r.at[path]; ok {
			return n.line, n.column
		}
		if path == "" {
			return 0, 0
		}
		path = parentPath(path)
	}
}

// spoilt reports whether there is a problem already at a path or below it, so
// that a check which needs the whole value would only repeat it.
func (r *report) spoilt(path string) bool {
	return slices.ContainsFunc(r.problems, func(p Problem) bool {
		rest, ok := strings.CutPrefix(p.Path, path)
		return ok && (path == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// err is nil or *Problems, sorted by place and path.
func (r *report) err(where string) error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if a.Column != b.Column {
			return a.Column - b.Column
		}
		if a.Path != b.Path {
			return strings.Compare(a.Path, b.Path)
		}
		return strings.Compare(a.Message, b.Message)
	})
	list := slices.Compact(r.problems)
	p := &Problems{Where: where, List: list}
	if len(list) > maxProblems {
		p.List, p.Omitted = list[:maxProblems], len(list)-maxProblems
	}
	return p
}

func fieldPath(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

func keyPath(parent, key string) string { return fieldPath(parent, strconv.Quote(key)) }

func indexPath(parent string, i int) string { return parent + "[" + strconv.Itoa(i) + "]" }

// parentPath cuts the last step off a path made by the three above. A quoted
// key may hold dots, brackets and escaped quotes.
func parentPath(path string) string {
	quoted := false
	last := 0
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '.' || c == '['):
			last = i
		}
	}
	return path[:last]
}
