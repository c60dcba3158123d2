package configs

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decoder fills Go values from nodes and reports all that does not fit. The
// types' json tags say which fields there are and, lacking omitempty and
// omitzero, which are required, so that parser, schema and types are one.
type decoder struct {
	*report
	root reflect.Type
}

// decode fills target, a pointer to a struct, from the tree.
func decode(n *node, target any, r *report) {
	v := reflect.ValueOf(target).Elem()
	decoder{r, v.Type()}.value(n, v, "")
}

func (d decoder) value(n *node, v reflect.Value, path string) {
	if _, ok := d.at[path]; !ok {
		d.at[path] = n
	}
	if n.refused != "" {
		d.problemAt(n, path, "%s", n.refused)
		if n.kind == scalarNode {
			return
		}
	}
	switch target := v.Addr().Interface().(type) {
	case *Duration:
		d.text(n, path, "a duration like 250ms or 30s", target.UnmarshalText)
		return
	case *Size:
		d.text(n, path, "a size like 512KiB or 64MiB", target.UnmarshalText)
		return
	case *FollowPolicy:
		d.policy(n, target, path)
		return
	case *time.Time:
		d.text(n, path, "a time like 2026-01-31T12:00:00Z", func(text []byte) (err error) {
			if *target, err = time.Parse(time.RFC3339Nano, string(text)); err != nil {
				return fmt.Errorf("%s is not a time: write it like 2026-01-31T12:00:00Z", quoteShort(string(text)))
			}
			return nil
		})
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path)
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.String:
		d.stringValue(n, v, path)
	case reflect.Bool:
		d.boolean(n, v, path)
	case reflect.Int:
		d.integer(n, v, path)
	case reflect.Float64:
		d.number(n, v, path)
	default:
		panic(fmt.Sprintf("configs: field %s has the undecodable type %s", path, v.Type()))
	}
}

// expected reports that something of another kind stands there.
func (d decoder) expected(n *node, path, what string) {
	if n.kind == scalarNode && meaningOf(n) == meansNull {
		d.problemAt(n, path, "expected %s, found nothing: give a value or leave the field out", what)
		return
	}
	d.problemAt(n, path, "expected %s, found %s", what, describe(n))
}

// text hands a scalar's text on, quoted or not: what it means is for read.
func (d decoder) text(n *node, path, what string, read func([]byte) error) {
	if n.kind != scalarNode || meaningOf(n) == meansNull {
		d.expected(n, path, what)
		return
	}
	if err := read([]byte(n.text)); err != nil {
		d.problemAt(n, path, "%s", err)
	}
}

func (d decoder) structure(n *node, v reflect.Value, path string) {
	if n.kind != mapNode {
		d.expected(n, path, "a mapping")
		return
	}
	fields := fieldsOf(v.Type())
	seen := map[string]*node{}
	for i, key := range n.keys {
		if !d.isKey(key, path, "a field") {
			continue
		}
		below := fieldPath(path, short(key.text))
		if first := seen[key.text]; first != nil {
			d.problemAt(key, below, "given twice: first on line %d", first.line)
			continue
		}
		seen[key.text] = key
		field, ok := fields[key.text]
		if !ok {
			d.problemAt(key, below, "%s", d.unknown(key.text, path, fields))
			continue
		}
		d.value(n.values[i], v.FieldByIndex(field.index), below)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name].required && seen[name] == nil {
			d.problemAt(n, fieldPath(path, name), "missing")
		}
	}
}

// isKey reports a key that cannot be a name.
func (d decoder) isKey(key *node, path, of string) bool {
	switch {
	case key.refused != "":
		d.problemAt(key, path, "%s", key.refused)
	case key.kind != scalarNode:
		d.problemAt(key, path, "expected the name of %s, found %s", of, describe(key))
	default:
		return true
	}
	return false
}

// unknown says what to do about a field that does not exist.
func (d decoder) unknown(name, path string, fields map[string]field) string {
	if path == "rollout.guards" {
		return "no such guard, only " + nameList(fields) + didYouMean(name, slices.Collect(maps.Keys(fields)))
	}
	names := slices.Collect(maps.Keys(fields))
	if nearest(name, names) == "" {
		if elsewhere := findField(d.root, name, ""); elsewhere != "" {
			return "unknown field: did you mean " + elsewhere + "?"
		}
	}
	return "unknown field" + didYouMean(name, names)
}

// policy reads the forms of a follow block's policy.
func (d decoder) policy(n *node, p *FollowPolicy, path string) {
	const forms = `latest, {latest: 3}, ["1", "2"] or {aliases: [champion]}`
	switch {
	case n.kind == listNode:
		d.list(n, reflect.ValueOf(&p.Versions).Elem(), path)
	case n.kind == mapNode:
		var fields struct {
			Latest  int      `json:"latest,omitempty"`
			Aliases []string `json:"aliases,omitempty"`
		}
		d.structure(n, reflect.ValueOf(&fields).Elem(), path)
		p.Latest, p.Aliases = fields.Latest, fields.Aliases
		if len(n.keys) != 1 && !d.spoilt(path) {
			d.problemAt(n, path, "has %d fields: write one of %s", len(n.keys), forms)
		}
	case n.kind == scalarNode && meaningOf(n) == meansText && n.text == LatestVersion:
		p.Latest = 1
	case n.kind == scalarNode && meaningOf(n) == meansText:
		d.problemAt(n, path, "%s is not a policy: write one of %s", quoteShort(n.text), forms)
	default:
		d.expected(n, path, "one of "+forms)
	}
}

func (d decoder) mapping(n *node, v reflect.Value, path string) {
	if n.kind != mapNode {
		d.expected(n, path, "a mapping")
		return
	}
	if len(n.keys) == 0 {
		return
	}
	m := reflect.MakeMap(v.Type())
	first := map[string]*node{}
	for i, key := range n.keys {
		if !d.isKey(key, path, "a version") {
			continue
		}
		below := keyPath(path, key.text)
		if before := first[key.text]; before != nil {
			d.problemAt(key, below, "given twice: first on line %d", before.line)
			continue
		}
		first[key.text] = key
		if meant := meaningOf(key); meant != meansText && meant != meansInteger {
			d.problemAt(key, below, "ambiguous as the name of a version: %s", mustQuote(key.text))
		} else if err := CheckName(key.text); err != nil {
			d.problemAt(key, below, "%s", err)
		}
		d.at[below] = key
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(n.values[i], item, below)
		m.SetMapIndex(reflect.ValueOf(key.text), item)
	}
	v.Set(m)
}

func (d decoder) list(n *node, v reflect.Value, path string) {
	if n.kind != listNode {
		d.expected(n, path, "a list")
		return
	}
	if len(n.values) == 0 {
		return
	}
	s := reflect.MakeSlice(v.Type(), len(n.values), len(n.values))
	for i, item := range n.values {
		d.value(item, s.Index(i), indexPath(path, i))
	}
	v.Set(s)
}

func (d decoder) stringValue(n *node, v reflect.Value, path string) {
	if n.kind == scalarNode && meaningOf(n) == meansText {
		v.SetString(n.text)
		return
	}
	if n.kind == scalarNode && meaningOf(n) != meansNull {
		d.problemAt(n, path, "expected text, found %s: %s", describe(n), mustQuote(n.text))
		return
	}
	d.expected(n, path, "text")
}

func (d decoder) boolean(n *node, v reflect.Value, path string) {
	if n.kind != scalarNode || meaningOf(n) != meansBool {
		d.expected(n, path, "true or false")
		return
	}
	v.SetBool(strings.EqualFold(n.text, "true"))
}

func (d decoder) integer(n *node, v reflect.Value, path string) {
	if n.kind != scalarNode || meaningOf(n) != meansInteger {
		d.expected(n, path, "a whole number"+unquoteHint(n))
		return
	}
	i, err := strconv.Atoi(n.text)
	if err != nil {
		d.problemAt(n, path, "%s is too large a number", short(n.text))
		return
	}
	v.SetInt(int64(i))
}

func (d decoder) number(n *node, v reflect.Value, path string) {
	meant := meaningOf(n)
	if n.kind == scalarNode && meant == meansNonFinite {
		d.problemAt(n, path, "must be a finite number, found %s", short(n.text))
		return
	}
	if n.kind != scalarNode || meant != meansInteger && meant != meansNumber {
		d.expected(n, path, "a number"+unquoteHint(n))
		return
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil || math.IsInf(f, 0) {
		d.problemAt(n, path, "must be a finite number, found %s", short(n.text))
		return
	}
	v.SetFloat(f)
}

func unquoteHint(n *node) string {
	if n.kind == scalarNode && n.quoted && numberPattern.MatchString(n.text) {
		return " without quotes"
	}
	return ""
}

// field is one field of a struct type as its json tag names it.
type field struct {
	index    []int
	required bool
}

func fieldsOf(t reflect.Type) map[string]field {
	fields := map[string]field{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue // its own fields are among those visible
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = field{f.Index, !strings.Contains(options, "omit")}
	}
	return fields
}

// findField is the path of a field of that name anywhere in a type, below
// structs only.
func findField(t reflect.Type, name, path string) string {
	fields := fieldsOf(t)
	if _, ok := fields[name]; ok && path != "" {
		return fieldPath(path, name)
	}
	for _, below := range slices.Sorted(maps.Keys(fields)) {
		f := t.FieldByIndex(fields[below].index)
		if f.Type.Kind() != reflect.Struct || f.Type == reflect.TypeFor[time.Time]() {
			continue
		}
		if found := findField(f.Type, name, fieldPath(path, below)); found != "" {
			return found
		}
	}
	return ""
}
