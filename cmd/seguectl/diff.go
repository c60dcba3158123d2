package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/segue-serving/segue/configs"
)

// difference is what a write would change, as a gateway would see it and as
// text.
type difference struct {
	// Change is "none" (the same bytes), "create", "update", "delete" or
	// "text" (other bytes of the same content: comments, layout).
	Change   string         `json:"change"`
	Versions versionsDiff   `json:"versions,omitzero"`
	Weights  []weightChange `json:"weights,omitempty"`
	// Fields are all other settings that change, by path.
	Fields []fieldChange `json:"fields,omitempty"`
	// Text is the unified diff.
	Text string `json:"diff,omitempty"`
}

type versionsDiff struct {
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []string `json:"changed,omitempty"`
}

// weightChange is one version's part of the requests that name no version, in
// percent before and after.
type weightChange struct {
	Version string  `json:"version"`
	Before  float64 `json:"before_percent"`
	After   float64 `json:"after_percent"`
}

type fieldChange struct {
	Path   string `json:"path"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// compare says what changes from before to after; either may be nil. Before
// counts as having no content where only its bytes are known.
func compare(before, after *document) difference {
	d := difference{Change: "update"}
	var old, new []byte
	oldName, newName := "nothing", "nothing"
	if before != nil {
		old, oldName = before.value, before.from
	}
	if after != nil {
		new, newName = after.value, after.from
	}
	switch {
	case before != nil && after != nil && bytes.Equal(old, new), before == nil && after == nil:
		d.Change = "none"
		return d
	case before == nil:
		d.Change = "create"
	case after == nil:
		d.Change = "delete"
	}
	d.Text = unified(oldName, old, newName, new)
	oldModel, newModel := before.content(), after.content()
	d.Versions = compareVersions(oldModel, newModel)
	d.Weights = compareWeights(oldModel, newModel)
	d.Fields = compareFields(before, after, d.Versions)
	if d.Change == "update" && before.parsed() && d.Versions.empty() && len(d.Weights) == 0 && len(d.Fields) == 0 {
		d.Change = "text"
	}
	return d
}

// content is the model's document as gateways see it, nil where there is none.
func (d *document) content() *configs.Document { return d.effective() }

// parsed reports that the document's content is known.
func (d *document) parsed() bool { return d != nil && (d.model != nil || d.settings != nil) }

func (v versionsDiff) empty() bool { return len(v.Added)+len(v.Removed)+len(v.Changed) == 0 }

func unified(oldName string, old []byte, newName string, new []byte) string {
	text := diff.Diff(oldName, withNewline(old), newName, withNewline(new))
	// The first line repeats the names as a command.
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	return string(rest)
}

func withNewline(text []byte) []byte {
	if len(text) == 0 || text[len(text)-1] == '\n' {
		return text
	}
	return append(slices.Clip(text), '\n')
}

func compareVersions(before, after *configs.Document) versionsDiff {
	var d versionsDiff
	old, new := versionsOf(before), versionsOf(after)
	for _, name := range sortedVersions(old, new) {
		was, had := old[name]
		is, has := new[name]
		switch {
		case !had:
			d.Added = append(d.Added, name)
		case !has:
			d.Removed = append(d.Removed, name)
		case was != is:
			d.Changed = append(d.Changed, name)
		}
	}
	return d
}

func versionsOf(d *configs.Document) map[string]configs.Version {
	if d == nil {
		return nil
	}
	return d.Versions
}

// sortedVersions are the names in both, as people order them.
func sortedVersions[V any](both ...map[string]V) []string {
	names := map[string]struct{}{}
	for _, one := range both {
		for name := range one {
			names[name] = struct{}{}
		}
	}
	return slices.SortedFunc(maps.Keys(names), configs.CompareVersions)
}

// shares are the parts, 0–1, of the versions that a document names.
func shares(d *configs.Document) map[string]float64 {
	if d == nil {
		return nil
	}
	parts := make(map[string]float64, len(d.Versions))
	for name := range d.Versions {
		parts[name] = d.Share(name)
	}
	return parts
}

func compareWeights(before, after *configs.Document) []weightChange {
	var changes []weightChange
	old, new := shares(before), shares(after)
	for _, name := range sortedVersions(old, new) {
		if old[name] != new[name] {
			changes = append(changes, weightChange{name, 100 * old[name], 100 * new[name]})
		}
	}
	return changes
}

// losing are the versions that answer before and no longer after.
func losing(before, after map[string]float64) []string {
	var names []string
	for _, name := range sortedVersions(before) {
		if before[name] > 0 && after[name] == 0 {
			names = append(names, name)
		}
	}
	return names
}

// compareFields compares the canonical forms leaf by leaf. Weights and whole
// versions that come or go are reported elsewhere.
func compareFields(before, after *document, versions versionsDiff) []fieldChange {
	old, new := leaves(before), leaves(after)
	paths := map[string]struct{}{}
	for path := range old {
		paths[path] = struct{}{}
	}
	for path := range new {
		paths[path] = struct{}{}
	}
	var changes []fieldChange
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if elsewhere(path, versions) || jsonText(old[path]) == jsonText(new[path]) {
			continue
		}
		changes = append(changes, fieldChange{path, old[path], new[path]})
	}
	return changes
}

func elsewhere(path string, versions versionsDiff) bool {
	if path == "model" || strings.HasPrefix(path, "traffic.weights.") {
		return true
	}
	for _, name := range append(slices.Clip(versions.Added), versions.Removed...) {
		if strings.HasPrefix(path, "versions."+name+".") {
			return true
		}
	}
	return false
}

// leaves are the values of a document's canonical form by path. Lists are
// leaves.
func leaves(d *document) map[string]any {
	all := map[string]any{}
	var text []byte
	switch {
	case !d.parsed():
		return all
	case d.settings != nil:
		text = configs.CanonicalSettings(d.settings)
	default:
		text = configs.Canonical(d.model)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		panic(fmt.Sprintf("canonical form of %s: %v", d.name, err))
	}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		branch, ok := value.(map[string]any)
		if !ok || len(branch) == 0 {
			all[path] = value
			return
		}
		for name, below := range branch {
			walk(strings.TrimPrefix(path+"."+name, "."), below)
		}
	}
	walk("", tree)
	return all
}

func jsonText(value any) string {
	if value == nil {
		return "-"
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

func (d difference) writeText(w io.Writer) {
	v := d.Versions
	for _, group := range []struct {
		sign  string
		names []string
	}{{"+", v.Added}, {"-", v.Removed}, {"~", v.Changed}} {
		for _, name := range group.names {
			fmt.Fprintf(w, "  %s version %s\n", group.sign, name)
		}
	}
	for _, change := range d.Weights {
		fmt.Fprintf(w, "  ~ weight of %s: %s%% → %s%%\n", change.Version, number(change.Before), number(change.After))
	}
	for _, change := range d.Fields {
		fmt.Fprintf(w, "  ~ %s: %s → %s\n", change.Path, jsonText(change.Before), jsonText(change.After))
	}
	if d.Change == "text" {
		fmt.Fprintln(w, "  only comments or layout: nothing changes for the gateways")
	}
}
