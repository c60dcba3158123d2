package scenario

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Parse reads one scenario. The error joins every problem that was found, each
// with its line and its path, in the order of the lines.
func Parse(text []byte) (*Scenario, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := d.Decode(&document); errors.Is(err, io.EOF) || err == nil && len(document.Content) == 0 {
		return nil, errors.New("the file is empty")
	} else if err != nil {
		return nil, fmt.Errorf("not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("a second document: one scenario each")
	}
	var s Scenario
	c := &checker{lines: map[string]int{}}
	c.read(document.Content[0], "", reflect.ValueOf(&s).Elem())
	c.scenario(&s)
	if err := c.err(); err != nil {
		return nil, err
	}
	return &s, nil
}

// checker gathers the problems of one file.
type checker struct {
	problems []problem
	// lines is where every path is written.
	lines map[string]int
	// unread are the paths whose values could not be read: what else would be
	// said of them is of a value that nobody wrote.
	unread []string
}

type problem struct {
	line       int
	path, text string
}

func (c *checker) require(ok bool, path, format string, arguments ...any) {
	if !ok && !slices.ContainsFunc(c.unread, func(unread string) bool { return within(path, unread) || within(unread, path) }) {
		c.problem(path, format, arguments...)
	}
}

func (c *checker) problem(path, format string, arguments ...any) {
	c.problems = append(c.problems, problem{c.line(path), path, fmt.Sprintf(format, arguments...)})
}

// unreadable notes a value that has not been read.
func (c *checker) unreadable(path, format string, arguments ...any) {
	c.problem(path, format, arguments...)
	c.unread = append(c.unread, path)
}

// line is where a path is written, or what should hold it.
func (c *checker) line(path string) int {
	for path != "" {
		if line, ok := c.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return c.lines[""]
}

// within reports whether a path is another or lies below it.
func within(path, other string) bool {
	rest, ok := strings.CutPrefix(path, other)
	return ok && (other == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

func (c *checker) err() error {
	slices.SortStableFunc(c.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var all []error
	for _, p := range c.problems {
		where := fmt.Sprintf("line %d", p.line)
		if p.path != "" {
			where += ": " + p.path
		}
		all = append(all, fmt.Errorf("%s: %s", where, p.text))
	}
	return errors.Join(all...)
}

func (c *checker) oneOf(path, value string, allowed ...string) {
	c.require(slices.Contains(allowed, value), path, "%q: want %s", value, strings.Join(allowed, ", "))
}

// A name becomes the name of a file and of a plot's series.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

func (c *checker) name(path, name string) {
	c.require(nameForm.MatchString(name), path, "%q: want lower-case letters, digits and '-'", name)
}

func (c *checker) scenario(s *Scenario) {
	c.name("name", s.Name)
	c.require(s.Title != "", "title", "is missing")
	c.require(s.Rounds >= 1, "rounds", "%d: want 1 or more", s.Rounds)
	c.require(s.Round > 0, "round", "want a duration over 0, such as 10s")
	c.require(s.Warmup >= 0, "warmup", "is negative")
	kinds := 0
	for _, there := range []bool{s.Changes != nil, s.Throughput != nil, s.Offered != nil} {
		if there {
			kinds++
		}
	}
	c.require(kinds == 1, "changes, throughput, offered", "want exactly one of them")
	if s.Changes != nil {
		c.changes(s.Changes)
	}
	if s.Throughput != nil {
		c.throughput(s.Throughput)
	}
	if s.Offered != nil {
		c.offered(s.Offered)
	}
}

func (c *checker) changes(o *Changes) {
	c.require(o.Model != "", "changes.model", "is missing")
	c.require(len(o.Versions) == 2 && o.Versions[0] != o.Versions[1] && !slices.Contains(o.Versions, ""),
		"changes.versions", "%q: want two that differ", o.Versions)
	c.wire("changes", o.Protocol, o.Transport)
	c.require(o.Connections >= 1, "changes.connections", "%d: want 1 or more", o.Connections)
	c.require(o.CapacityConnections >= 1, "changes.capacity_connections", "%d: want 1 or more", o.CapacityConnections)
	c.require(o.Load > 0 && o.Load < 1, "changes.load", "%v: want a part of the capacity, between 0 and 1", o.Load)
	c.oneOf("changes.arrivals", o.Arrivals, "poisson", "even")
	c.require(len(o.Phases) > 0 && o.Phases[0].Change == ChangeNothing, "changes.phases", "the first must change nothing: the others are compared with it")
	seen := map[string]bool{}
	for i, p := range o.Phases {
		path := fmt.Sprintf("changes.phases[%d]", i)
		c.name(path+".name", p.Name)
		c.require(!seen[p.Name], path+".name", "%q is there twice", p.Name)
		seen[p.Name] = true
		c.oneOf(path+".change", p.Change, ChangeNothing, ChangeVersion, ChangeWeights)
		still := p.Change == ChangeNothing
		c.require(still || p.Every > 0, path+".every", "want a duration over 0, such as 500ms")
		c.require(!still || p.Every == 0 && p.AimP99 == 0 && p.Within == 0 && p.AimRatio == 0, path, "every, within and aims are for phases that change something")
		c.require(p.Within >= 0 && p.AimRatio >= 0, path, "within or aim_ratio is negative")
		c.require(p.AimP99 >= 0, path+".aim_p99", "is negative")
	}
}
