package runtimetest

import (
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

//go:embed testdata/*.onnx testdata/answers.json
var testdata embed.FS

// Fixtures lists the names of the fixture models, in alphabetical order. Those
// that begin with "refused_" are valid ONNX that no engine of ours serves.
func Fixtures() []string {
	entries, err := testdata.ReadDir("testdata")
	if err != nil {
		panic("runtimetest: embedded folder: " + err.Error())
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".onnx"); ok {
			names = append(names, name)
		}
	}
	return names
}

// ModelBytes returns the named fixture's ONNX file. It panics on an unknown
// name.
func ModelBytes(name string) []byte {
	data, err := testdata.ReadFile("testdata/" + name + ".onnx")
	if err != nil {
		panic(fmt.Sprintf("runtimetest: no fixture %q", name))
	}
	return data
}

// Model writes the named fixture into a folder of the test and returns its
// path, which ends in <name>.onnx.
func Model(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".onnx")
	if err := os.WriteFile(path, ModelBytes(name), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Answer is one request to a fixture and what ONNX Runtime answers to it.
type Answer struct {
	Model, Case     string
	Inputs, Outputs []runtime.Tensor
}

// Answers returns every recorded answer. The tensors are the caller's; their
// data lies in Go's heap (see Place).
func Answers() []Answer {
	raw, err := testdata.ReadFile("testdata/answers.json")
	if err != nil {
		panic("runtimetest: embedded answers: " + err.Error())
	}
	type tensor struct {
		Name     string
		Datatype runtime.DataType
		Shape    []int64
		Data     []byte
		Strings  []string
	}
	var recorded []struct {
		Model, Case     string
		Inputs, Outputs []tensor
	}
	if err := json.Unmarshal(raw, &recorded); err != nil {
		panic("runtimetest: embedded answers: " + err.Error())
	}
	convert := func(from []tensor) []runtime.Tensor {
		to := make([]runtime.Tensor, len(from))
		for i, f := range from {
			to[i] = runtime.Tensor{Name: f.Name, Type: f.Datatype, Shape: f.Shape, Data: f.Data}
			if f.Datatype == runtime.BYTES {
				to[i].Data, to[i].Strings = nil, make([][]byte, len(f.Strings))
			}
			for j, s := range f.Strings {
				decoded, err := base64.StdEncoding.DecodeString(s)
				if err != nil {
					panic("runtimetest: embedded answers: " + err.Error())
				}
				to[i].Strings[j] = decoded
			}
		}
		return to
	}
	answers := make([]Answer, len(recorded))
	for i, r := range recorded {
		answers[i] = Answer{Model: r.Model, Case: r.Case, Inputs: convert(r.Inputs), Outputs: convert(r.Outputs)}
	}
	return answers
}
