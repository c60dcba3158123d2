package main

import (
	"go/parser"
	"go/token"
	"strconv"
	"testing"
)

// importsOf returns the imports of a Go file by the name that they have there,
// the path itself where they keep their own.
func importsOf(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		alias := imported
		if spec.Name != nil {
			alias = spec.Name.Name
		}
		out[alias] = imported
	}
	return out
}
