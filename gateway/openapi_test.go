package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// apiDocument is the OpenAPI document, ready to hold answers against.
type apiDocument struct {
	mu       sync.Mutex // guards the compiler and what it made
	raw      map[string]any
	paths    []apiPath
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

type apiPath struct {
	pattern string
	match   *regexp.Regexp
	item    map[string]any
}

const documentURL = "https://segue.test/openapi.json"

func readAPIDocument(t testing.TB) *apiDocument {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(strings.NewReader(string(openAPI)))
	if err != nil {
		t.Fatal(err)
	}
	d := &apiDocument{raw: parsed.(map[string]any), compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	if err := d.compiler.AddResource(documentURL, parsed); err != nil {
		t.Fatal(err)
	}
	for pattern, item := range d.raw["paths"].(map[string]any) {
		// A name may be percent-encoded on the wire.
		match := regexp.MustCompile("^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(pattern), `[^/:]+`) + "$")
		d.paths = append(d.paths, apiPath{pattern, match, item.(map[string]any)})
	}
	// Patterns without parameters win: they are longer where it matters.
	slices.SortFunc(d.paths, func(a, b apiPath) int {
		return strings.Count(a.pattern, "{") - strings.Count(b.pattern, "{")
	})
	return d
}

// resolve follows a reference.
func (d *apiDocument) resolve(value any) (resolved map[string]any, pointer string) {
	object := value.(map[string]any)
	reference, ok := object["$ref"].(string)
	if !ok {
		return object, ""
	}
	var at any = d.raw
	for _, name := range strings.Split(strings.TrimPrefix(reference, "#/"), "/") {
		at = at.(map[string]any)[name]
	}
	return at.(map[string]any), reference
}

// check holds one answer against the document: its status is among those of
// the operation, and its body and headers are what stands there.
func (d *apiDocument) check(t testing.TB, method, path string, status int, header http.Header, body []byte) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	i := slices.IndexFunc(d.paths, func(p apiPath) bool { return p.match.MatchString(path) })
	if i < 0 {
		if status != http.StatusNotFound && status != http.StatusUnauthorized && status != http.StatusForbidden {
			t.Errorf("%s %s answers %d and is not in the document", method, path, status)
		}
		return
	}
	operation, ok := d.paths[i].item[strings.ToLower(method)].(map[string]any)
	if !ok {
		if status != http.StatusMethodNotAllowed && status != http.StatusUnauthorized && status != http.StatusForbidden {
			t.Errorf("%s %s answers %d, and the document has no such method", method, d.paths[i].pattern, status)
		}
		return
	}
	documented, ok := operation["responses"].(map[string]any)[strconv.Itoa(status)]
	if !ok {
		t.Errorf("%s %s answers %d, which the document does not say", method, d.paths[i].pattern, status)
		return
	}
	response, reference := d.resolve(documented)
	for name := range asMap(response["headers"]) {
		optional := []string{"Inference-Header-Content-Length", "Retry-After"}
		if header.Get(name) == "" && !slices.Contains(optional, name) {
			t.Errorf("%s %s answers %d without the header %s", method, path, status, name)
		}
	}
	contents := asMap(response["content"])
	if method == http.MethodHead || len(contents) == 0 {
		return
	}
	contentType := header.Get("Content-Type")
	content, ok := contents[contentType].(map[string]any)
	if !ok {
		t.Errorf("%s %s answers %d with Content-Type %q, which the document does not say", method, path, status, contentType)
		return
	}
	if contentType != "application/json" || header.Get("Content-Encoding") != "" {
		return
	}
	var pointer string
	if reference != "" {
		pointer = reference + "/content/application~1json/schema"
	} else {
		pointer = fmt.Sprintf("#/paths/%s/%s/responses/%d/content/application~1json/schema",
			strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(d.paths[i].pattern), strings.ToLower(method), status)
	}
	if content["schema"] == nil {
		return
	}
	schema := d.schema(t, pointer)
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		t.Errorf("%s %s answers %d with a body that is not JSON: %v", method, path, status, err)
		return
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s %s answers %d with a body that the document does not allow: %v", method, path, status, err)
	}
}

// schema compiles the schema at a place of the document, once.
func (d *apiDocument) schema(t testing.TB, pointer string) *jsonschema.Schema {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	schema := d.schemas[pointer]
	if schema == nil {
		var err error
		if schema, err = d.compiler.Compile(documentURL + pointer); err != nil {
			t.Fatalf("schema %s: %v", pointer, err)
		}
		d.schemas[pointer] = schema
	}
	return schema
}

func asMap(value any) map[string]any {
	m, _ := value.(map[string]any)
	return m
}

func TestTheDocumentAndTheRouterSayTheSame(t *testing.T) {
	d := readAPIDocument(t)
	routed := map[string]string{}
	for e := endpointUnknown + 1; e < endpointCount; e++ {
		for _, pattern := range endpoints[e].patterns {
			routed[pattern] = e.allow()
			path := strings.NewReplacer("{model}", "a.b-c", "{version}", "1_0").Replace(pattern)
			var r route
			r.parse([]byte(path))
			if r.endpoint != e {
				t.Errorf("%s is routed to endpoint %d, want %d", path, r.endpoint, e)
			}
			if named := strings.Contains(pattern, "{model}"); named != (string(r.model) == "a.b-c") {
				t.Errorf("%s: model %q", path, r.model)
			}
			if named := strings.Contains(pattern, "{version}"); named != (string(r.version) == "1_0") {
				t.Errorf("%s: version %q", path, r.version)
			}
		}
	}
	for _, p := range d.paths {
		var methods []string
		for _, method := range []string{"get", "head", "post", "put", "delete", "patch", "options"} {
			if _, ok := p.item[method]; ok {
				methods = append(methods, strings.ToUpper(method))
			}
		}
		if got, want := strings.Join(methods, ", "), routed[p.pattern]; got != want {
			t.Errorf("%s: the document has the methods %q, the router %q", p.pattern, got, want)
		}
		delete(routed, p.pattern)
	}
	for pattern := range routed {
		t.Errorf("%s is not in the document", pattern)
	}
}
