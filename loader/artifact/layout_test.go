package artifact_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
)

// The pipelines write the manifests of the quickstart in Python. Read and written
// here they are the same bytes, but for labels of nothing and a form of numbers.
func TestManifestsLookLikeThoseOfThePipelines(t *testing.T) {
	paths, err := filepath.Glob("../../configs/examples/quickstart/models/*/*/manifest.json")
	if err != nil || len(paths) == 0 {
		t.Fatal("no manifests", err)
	}
	for _, path := range paths {
		want, err := os.ReadFile(path)
		must(t, err)
		m, err := artifact.Parse(want)
		must(t, err)
		got, err := artifact.Marshal(m)
		must(t, err)
		want = bytes.Replace(bytes.Replace(want, []byte("  \"labels\": {},\n"), nil, 1), []byte("1e-05"), []byte("0.00001"), 1)
		if !bytes.Equal(got, want) {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			t.Errorf("%s: byte %d: got %.60s, want %.60s", path, at, got[max(0, at-20):], want[max(0, at-20):])
		}
	}
}

func TestAManifestIsLaidOutForPeople(t *testing.T) {
	m := &artifact.Manifest{Schema: 1, Model: `<a "b", {c}]\`, Files: []artifact.File{}, Labels: map[string][]string{"y": {"a,b", "]"}},
		Goldens: []artifact.Golden{{Name: "g", Inputs: []artifact.TensorData{{Name: "x", Shape: []int64{}, Data: json.RawMessage("[" + "1, 2" + ",3" + `,"NaN"]`)}}}}}
	got, err := artifact.Marshal(m)
	must(t, err)
	const want = `{
  "schema": 1,
  "model": "<a \"b\", {c}]\\",
  "files": [],
  "labels": {
    "y": ["a,b", "]"]
  },
  "goldens": [
    {
      "name": "g",
      "inputs": [
        {
          "name": "x",
          "datatype": "INVALID",
          "shape": [],
          "data": [1, 2, 3, "NaN"]
        }
      ],
      "outputs": null
    }
  ]
}
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
