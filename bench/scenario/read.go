package scenario

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// read stores a node of the file in a value, notes on which lines what is
// written, and goes on behind every problem: the library's own reading into
// structs tells of Go's types and not of paths.
func (c *checker) read(n *yaml.Node, path string, into reflect.Value) {
	c.lines[path] = n.Line
	if n.Kind == yaml.AliasNode {
		c.unreadable(path, "aliases are not taken: write the value out instead of *%s", n.Value)
		return
	}
	if n.ShortTag() == "!!null" {
		return // as if it were not there
	}
	kind := into.Kind()
	if kind == reflect.Interface {
		kind = map[yaml.Kind]reflect.Kind{yaml.MappingNode: reflect.Map, yaml.SequenceNode: reflect.Slice}[n.Kind]
	}
	switch kind {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		c.read(n, path, into.Elem())
	case reflect.Struct:
		c.readStruct(n, path, into)
	case reflect.Map:
		c.readMap(n, path, into)
	case reflect.Slice:
		c.readSlice(n, path, into)
	default:
		// The library cuts a fraction off.
		fraction := kind == reflect.Int && n.ShortTag() != "!!int"
		if n.Kind != yaml.ScalarNode || fraction || n.Decode(into.Addr().Interface()) != nil {
			c.unreadable(path, "%swant %s", written(n), wanted(into))
		}
	}
}

func (c *checker) readStruct(n *yaml.Node, path string, into reflect.Value) {
	var names []string
	fields := map[string]reflect.Value{}
	for i := range into.NumField() {
		name := into.Type().Field(i).Tag.Get("yaml")
		names = append(names, name)
		fields[name] = into.Field(i)
	}
	c.entries(n, path, func(key, value *yaml.Node, below string) {
		field, ok := fields[key.Value]
		if !ok {
			c.lines[below] = key.Line
			c.unreadable(below, "unknown field: want %s", strings.Join(names, ", "))
			return
		}
		c.read(value, below, field)
	})
}

func (c *checker) readMap(n *yaml.Node, path string, into reflect.Value) {
	of := into.Type()
	if into.Kind() == reflect.Interface {
		of = reflect.TypeFor[map[string]any]()
	}
	m := reflect.MakeMap(of)
	c.entries(n, path, func(key, value *yaml.Node, below string) {
		v := reflect.New(of.Elem()).Elem()
		c.read(value, below, v)
		m.SetMapIndex(reflect.ValueOf(key.Value), v)
	})
	into.Set(m)
}

func (c *checker) readSlice(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		c.unreadable(path, "%swant a list", written(n))
		return
	}
	of := into.Type()
	if into.Kind() == reflect.Interface {
		of = reflect.TypeFor[[]any]()
	}
	list := reflect.MakeSlice(of, len(n.Content), len(n.Content))
	for i, item := range n.Content {
		c.read(item, fmt.Sprintf("%s[%d]", path, i), list.Index(i))
	}
	into.Set(list)
}

// entries yields the fields of a mapping, each with its path.
func (c *checker) entries(n *yaml.Node, path string, yield func(key, value *yaml.Node, below string)) {
	if n.Kind != yaml.MappingNode {
		c.unreadable(path, "%swant fields, as name: value", written(n))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		below := strings.TrimPrefix(path+"."+key.Value, ".")
		switch line, twice := first[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			c.problem(path, "a field's name is no text")
		case twice:
			c.lines[below] = key.Line
			c.unreadable(below, "is there already, on line %d", line)
		default:
			first[key.Value] = key.Line
			yield(key, value, below)
		}
	}
}

// written is what stands in the file, where that is short.
func written(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return ""
	}
	return fmt.Sprintf("%q: ", n.Value)
}

// wanted says in the words of the file what a value may be.
func wanted(v reflect.Value) string {
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return "a duration, such as 500ms or 10s"
	}
	switch v.Kind() {
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	}
	return "a text"
}
