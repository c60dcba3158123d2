package artifacttest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// Doubler is a model that takes FP32 "x" and gives FP32 "y", both [-1,2].
func Doubler() *Model {
	return &Model{
		Inputs:  []Value{{Name: "x", ElemType: 1, Shape: []int64{-1, 2}}},
		Outputs: []Value{{Name: "y", ElemType: 1, Shape: []int64{-1, 2}}},
		Nodes:   [][]byte{Node()},
	}
}

// DoublerManifest describes Doubler, with one golden and without files.
func DoublerManifest() *artifact.Manifest {
	spec := func(name string) []runtime.TensorSpec {
		return []runtime.TensorSpec{{Name: name, Type: runtime.FP32, Shape: []int64{-1, 2}}}
	}
	data := func(name, values string) []artifact.TensorData {
		return []artifact.TensorData{{Name: name, Type: runtime.FP32, Shape: []int64{1, 2}, Data: json.RawMessage(values)}}
	}
	return &artifact.Manifest{
		Schema:    artifact.Schema,
		Model:     "doubler",
		Signature: &runtime.Signature{Inputs: spec("x"), Outputs: spec("y")},
		Labels:    map[string][]string{"y": {"first", "second"}},
		Goldens:   []artifact.Golden{{Name: "one and two", Inputs: data("x", "[1,2]"), Outputs: data("y", "[2,4]")}},
	}
}

// Folder writes files into a new folder that the test removes, and returns
// it.
func Folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Pack writes an artifact into a new folder: the files, and the manifest with
// all of them listed. It returns the folder and the artifact's digest.
func Pack(t testing.TB, manifest *artifact.Manifest, files map[string][]byte) (dir, digest string) {
	t.Helper()
	dir = Folder(t, files)
	m := *manifest
	m.Files = List(files)
	digest, err := artifact.Write(dir, &m)
	if err != nil {
		t.Fatal(err)
	}
	return dir, digest
}

// List describes files as a manifest does, sorted by path.
func List(files map[string][]byte) []artifact.File {
	listed := make([]artifact.File, 0, len(files))
	for name, body := range files {
		sum := sha256.Sum256(body)
		listed = append(listed, artifact.File{Path: name, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])})
	}
	slices.SortFunc(listed, func(a, b artifact.File) int {
		if a.Path < b.Path {
			return -1
		}
		return 1
	})
	return listed
}

// PackDoubler writes a Doubler whose bytes, and so digest, differ by salt.
func PackDoubler(t testing.TB, salt string) (dir, digest string) {
	t.Helper()
	model := Doubler()
	model.Initializers = [][]byte{Tensor("salt", []byte(salt))}
	return Pack(t, DoublerManifest(), map[string][]byte{artifact.ModelFile: model.Bytes()})
}
