package artifact_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

// packed returns a valid manifest's bytes.
func packed(t testing.TB) []byte {
	t.Helper()
	dir, _ := artifacttest.PackDoubler(t, "")
	body, err := os.ReadFile(filepath.Join(dir, artifact.ManifestFile))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestManifestSurvivesARoundTrip(t *testing.T) {
	body := packed(t)
	m, err := artifact.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	again, err := artifact.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(body) {
		t.Errorf("got %s, want %s", again, body)
	}
}

func TestDigestIsTheSHA256OfTheBytes(t *testing.T) {
	const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	if got := artifact.Digest(nil); got != empty {
		t.Errorf("got %s, want %s", got, empty)
	}
	for digest, valid := range map[string]bool{
		empty: true, "": false, empty[7:]: false, strings.ToUpper(empty): false, empty + "0": false, empty[:70] + "g": false,
	} {
		if artifact.ValidDigest(digest) != valid {
			t.Errorf("%q: valid is %t", digest, !valid)
		}
	}
}

func TestMalformedManifestsAreRefused(t *testing.T) {
	valid := string(packed(t))
	replace := func(old, new string) string {
		t.Helper()
		if !strings.Contains(valid, old) {
			t.Fatalf("the manifest does not hold %s", old)
		}
		return strings.Replace(valid, old, new, 1)
	}
	// Indentation is the writer's business, so edits are made on the value.
	edit := func(change func(m map[string]any)) string {
		var m map[string]any
		if err := json.Unmarshal([]byte(valid), &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		body, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	object := func(v any, path ...any) map[string]any {
		for _, p := range path {
			switch p := p.(type) {
			case string:
				v = v.(map[string]any)[p]
			case int:
				v = v.([]any)[p]
			}
		}
		return v.(map[string]any)
	}
	set := func(key string, value any, path ...any) string {
		return edit(func(m map[string]any) { object(m, path...)[key] = value })
	}
	golden := []any{"goldens", 0, "inputs", 0}
	for _, c := range []struct{ name, want, body string }{
		{"no JSON", "manifest.json: document: byte 0", "nonsense"},
		{"empty", "unexpected EOF", ""},
		{"truncated", "unexpected EOF", valid[:len(valid)/2]},
		{"a list", "document: want an object", "[]"},
		{"trailing", "something follows the document", valid + "{}"},
		{"unknown field", "manifest.json: extra: unknown field", set("extra", 1)},
		{"other case", "manifest.json: Model: unknown field", replace(`"model"`, `"Model"`)},
		{"nested unknown field", "files[0].mode: unknown field", set("mode", 1, "files", 0)},
		{"duplicate field", "manifest.json: schema: is there twice", replace(`"schema": 1,`, `"schema": 1, "schema": 1,`)},
		{"duplicate label", "labels.y: is there twice", replace(`"y": [`, `"y": [], "y": [`)},
		{"schema", "schema: 2 is not supported, want 1", set("schema", 2)},
		{"wrong type", "cannot unmarshal string into Go struct field File.files.size", set("size", "12", "files", 0)},
		{"no files", "files: no model.onnx is listed", set("files", []any{})},
		{"path out", `files[0].path: "../model.onnx" is not a clean relative path`, set("path", "../model.onnx", "files", 0)},
		{"absolute path", `files[0].path: "/model.onnx" is not`, set("path", "/model.onnx", "files", 0)},
		{"unclean path", `files[0].path: "./model.onnx" is not`, set("path", "./model.onnx", "files", 0)},
		{"backslash", `files[0].path: "data\\w.bin" is not`, set("path", `data\w.bin`, "files", 0)},
		{"line break", `files[0].path: "model.onnx\n" is not`, set("path", "model.onnx\n", "files", 0)},
		{"escape sequence", `files[0].path: "\x1b[2Jmodel.onnx" is not`, set("path", "\x1b[2Jmodel.onnx", "files", 0)},
		{"C1 control", `files[0].path: "\u0085model.onnx" is not`, set("path", "\u0085model.onnx", "files", 0)},
		{"long name", `is not a clean relative path`, set("path", strings.Repeat("a/", 2048)+"model.onnx", "files", 0)},
		{"its signature", "files[0].path: the manifest cannot list itself, nor its signature", set("path", "manifest.json.sig", "files", 0)},
		{"oversized", "manifest.json: 67108865 bytes, more than the 67108864 allowed", valid + strings.Repeat(" ", artifact.MaxManifestBytes+1-len(valid))},
		{"itself", "files[0].path: the manifest cannot list itself", set("path", "manifest.json", "files", 0)},
		{"negative size", "files[0].size: -1 is negative", set("size", -1, "files", 0)},
		{"hash", "files[0].sha256: want 64 lower-case", set("sha256", "ABC", "files", 0)},
		{"no signature", "signature: is missing", edit(func(m map[string]any) { delete(m, "signature") })},
		{"no outputs", "signature.outputs: a model gives at least one", set("outputs", []any{}, "signature")},
		{"datatype", "unknown datatype", set("datatype", "FLOAT", "signature", "inputs", 0)},
		{"no shape", "signature.inputs[0].shape: is missing", edit(func(m map[string]any) { delete(object(m, "signature", "inputs", 0), "shape") })},
		{"size below dynamic", "signature.inputs[0].shape: size -2", set("shape", []int{-2, 2}, "signature", "inputs", 0)},
		{"label of nothing", `labels["z"]: the model has no such output`, set("z", []string{"a"}, "labels")},
		{"label count", `labels["y"]: 3 labels for 2 classes`, set("y", []string{"a", "b", "c"}, "labels")},
		{"tolerance", "tolerance: absolute and relative must not be negative", set("tolerance", map[string]float64{"absolute": -1, "relative": 0})},
		{"golden input unknown", `goldens[0].inputs[0].name: "q" is not in the signature`, set("name", "q", golden...)},
		{"golden input missing", `goldens[0].inputs: "x" is missing`, set("inputs", []any{}, "goldens", 0)},
		{"golden without answer", "goldens[0].outputs: no answer", set("outputs", []any{}, "goldens", 0)},
		{"golden type", "goldens[0].inputs[0].datatype: INT8, but the signature says FP32", set("datatype", "INT8", golden...)},
		{"golden shape", "goldens[0].inputs[0].shape: shape [2] does not match the model's [-1,2]", set("shape", []int{2}, golden...)},
		{"golden count", "goldens[0].inputs[0]: data: 1 elements for shape [1,2]", set("data", []int{1}, golden...)},
		{"golden nested", "data[0]: want a flat list of numbers", set("data", [][]int{{1, 2}}, golden...)},
		{"golden number", `data[1]: "2": want a number`, set("data", []any{1, "2"}, golden...)},
		{"golden null", "data[0]: null: want a number", set("data", []any{nil, 2}, golden...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := artifact.Parse([]byte(c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant …%s…", err, c.want)
			}
		})
	}
}

func TestEveryProblemIsToldAtOnce(t *testing.T) {
	m := artifacttest.DoublerManifest()
	m.Labels["z"] = nil
	for range 100 {
		m.Goldens = append(m.Goldens, artifact.Golden{})
	}
	err := m.Validate()
	if err == nil {
		t.Fatal("got no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if !strings.Contains(err.Error(), "files: ") || !strings.Contains(err.Error(), `labels["z"]`) || !strings.Contains(err.Error(), "goldens[1]") {
		t.Errorf("got %v, want problems of files, labels and goldens", err)
	}
	if len(lines) != 21 || lines[20] != "and more" {
		t.Errorf("got %d lines ending in %q, want 20 and a last one", len(lines), lines[len(lines)-1])
	}
}

func TestExampleArtifactsVerify(t *testing.T) {
	manifests, err := filepath.Glob("../../configs/examples/quickstart/models/*/*/" + artifact.ManifestFile)
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no example artifacts: %v", err)
	}
	for _, path := range manifests {
		a, err := artifact.Verify(t.Context(), filepath.Dir(path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if len(a.Manifest.Goldens) == 0 || len(a.Warnings) > 0 {
			t.Errorf("%s: %d goldens and warnings %q", path, len(a.Manifest.Goldens), a.Warnings)
		}
		// What the graph declares and what the manifest says must agree.
		made, _, err := artifact.Make(t.Context(), filepath.Dir(path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if err := artifact.CompareSignature(made.Signature, a.Manifest.Signature); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzReadManifest(f *testing.F) {
	f.Add(packed(f))
	f.Add([]byte(`{"schema":1,"model":"m","files":[{"path":"model.onnx","size":0,"sha256":"` + strings.Repeat("0", 64) + `"}],
		"signature":{"inputs":[{"name":"s","datatype":"BYTES","shape":[]}],"outputs":[{"name":"h","datatype":"FP16","shape":[-1]}]},
		"goldens":[{"name":"g","inputs":[{"name":"s","datatype":"BYTES","shape":[],"data":["a,\"\\"]}],
		"outputs":[{"name":"h","datatype":"FP16","shape":[3],"data":[65504,"NaN",-1e-7]}]}]}`))
	f.Add([]byte(`{"schema":1,"labels":{"y":["a"]},"tolerance":{"absolute":1e-4,"relative":1e400}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := artifact.Parse(body)
		if err != nil {
			return
		}
		if _, err := m.ModelPath(); err != nil {
			t.Errorf("a parsed manifest has no model: %v", err)
		}
		for _, file := range m.Files {
			if !filepath.IsLocal(file.Path) {
				t.Errorf("file %q leads out of the folder", file.Path)
			}
		}
		// What is written of it must read back as the same.
		written, err := artifact.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		again, err := artifact.Parse(written)
		if err != nil {
			t.Fatalf("%s does not read back: %v", written, err)
		}
		rewritten, err := artifact.Marshal(again)
		if err != nil || string(rewritten) != string(written) {
			t.Errorf("got %s and %v, want %s", rewritten, err, written)
		}
	})
}

// A manifest says the same in any order of its fields, and is another version.
func TestAReorderedManifestIsAnotherVersion(t *testing.T) {
	written := packed(t)
	var m map[string]any
	must(t, json.Unmarshal(written, &m))
	reordered, err := json.Marshal(m) // a map's keys are sorted
	must(t, err)
	first, err := artifact.Parse(written)
	must(t, err)
	second, err := artifact.Parse(reordered)
	must(t, err)
	one, err := artifact.Marshal(first)
	must(t, err)
	other, err := artifact.Marshal(second)
	must(t, err)
	if strings.ReplaceAll(string(one), " ", "") != strings.ReplaceAll(string(other), " ", "") {
		t.Errorf("got\n%s\nand\n%s", one, other)
	}
	if artifact.Digest(written) == artifact.Digest(reordered) {
		t.Error("both have one digest")
	}
}
