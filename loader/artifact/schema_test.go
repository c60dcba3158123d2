package artifact_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

var update = flag.Bool("update", false, "write the golden files anew")

const schemaFile = "manifest.schema.json"

// reflectManifest is the schema of a manifest, from the Go types and their
// comments.
func reflectManifest(t *testing.T) []byte {
	t.Helper()
	r := &jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, Mapper: func(of reflect.Type) *jsonschema.Schema {
		switch of {
		case reflect.TypeFor[runtime.DataType]():
			names := make([]any, 0, len(runtime.DataTypes()))
			for _, datatype := range runtime.DataTypes() {
				names = append(names, datatype.String())
			}
			return &jsonschema.Schema{Type: "string", Enum: names}
		case reflect.TypeFor[json.RawMessage]():
			return &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{
				AnyOf: []*jsonschema.Schema{{Type: "number"}, {Type: "boolean"}, {Type: "string"}},
			}}
		}
		return nil
	}}
	for path, dir := range map[string]string{"loader/artifact": ".", "runtime": "../../runtime"} {
		if err := r.AddGoComments("github.com/segue-serving/segue/"+path, dir, jsonschema.WithFullComment()); err != nil {
			t.Fatal(err)
		}
	}
	for key, text := range r.CommentMap {
		r.CommentMap[key] = strings.Join(strings.Fields(text), " ")
	}
	s := r.Reflect(new(artifact.Manifest))
	s.ID = "https://github.com/segue-serving/segue/loader/artifact/" + schemaFile
	property := func(of *jsonschema.Schema, name string) *jsonschema.Schema {
		p, ok := of.Properties.Get(name)
		if !ok {
			t.Fatalf("no field %s", name)
		}
		return p
	}
	// What the fields' types do not say.
	one, most := uint64(1), uint64(artifact.MaxFiles)
	s.Required = append(s.Required, "signature")
	property(s, "schema").Const = artifact.Schema
	property(s, "files").MinItems, property(s, "files").MaxItems = &one, &most
	property(s.Definitions["File"], "size").Minimum = "0"
	property(s.Definitions["File"], "sha256").Pattern = "^[0-9a-f]{64}$"
	property(s.Definitions["File"], "path").Pattern = `^[^/\\](/?[^/\\])*$`
	property(s.Definitions["Golden"], "outputs").MinItems = &one
	property(s.Definitions["Signature"], "outputs").MinItems = &one
	property(s.Definitions["Tolerance"], "absolute").Minimum = "0"
	property(s.Definitions["Tolerance"], "relative").Minimum = "0"
	property(s.Definitions["TensorSpec"], "shape").Items.Minimum = "-1"
	property(s.Definitions["TensorData"], "shape").Items.Minimum = "0"
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	must(t, enc.Encode(s))
	return b.Bytes()
}

func TestTheSchemaOfManifestsIsFresh(t *testing.T) {
	got := reflectManifest(t)
	if *update {
		must(t, os.WriteFile(schemaFile, got, 0o644))
	}
	want, err := os.ReadFile(schemaFile)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: run the test with -update", schemaFile)
	}
}

func TestTheSchemaTakesWhatIsPackedAndRefusesWhatItCan(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	must(t, err)
	parsed, err := validator.UnmarshalJSON(bytes.NewReader(text))
	must(t, err)
	c := validator.NewCompiler()
	must(t, c.AddResource(schemaFile, parsed))
	schema, err := c.Compile(schemaFile)
	must(t, err)
	valid := func(manifest []byte) error {
		v, err := validator.UnmarshalJSON(bytes.NewReader(manifest))
		if err != nil {
			return err
		}
		return schema.Validate(v)
	}
	paths, err := filepath.Glob("../../configs/examples/quickstart/models/*/*/manifest.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("no manifests", err)
	}
	for _, path := range paths {
		manifest, err := os.ReadFile(path)
		must(t, err)
		if err := valid(manifest); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	good := string(packed(t))
	if err := valid([]byte(good)); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ old, new string }{
		{`"schema": 1`, `"schema": 2`},
		{`"model": "`, `"name": "`},
		{`"FP32"`, `"FLOAT"`},
		{`"path": "model.onnx"`, `"path": "/model.onnx"`},
		{`"path": "model.onnx"`, `"path": "data//model.onnx"`},
		{`[-1, 2]`, `[-2, 2]`},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good || valid([]byte(bad)) == nil {
			t.Errorf("takes %s in place of %s", c.new, c.old)
		}
	}
}
