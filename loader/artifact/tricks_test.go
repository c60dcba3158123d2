package artifact_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
)

// places are all the places of a model that may name external data, each as a
// function that hides a tensor there.
func places() map[string]func(tensor []byte) *artifacttest.Model {
	with := func(change func(m *artifacttest.Model, tensor []byte)) func([]byte) *artifacttest.Model {
		return func(tensor []byte) *artifacttest.Model {
			m := artifacttest.Doubler()
			change(m, tensor)
			return m
		}
	}
	node := func(field int32, message []byte) []byte {
		return artifacttest.Node(artifacttest.Attribute{Field: field, Messages: [][]byte{message}})
	}
	sparse := func(tensor []byte) []byte { return artifacttest.Message(nil, 1, tensor) }
	return map[string]func([]byte) *artifacttest.Model{
		"dense":  with(func(m *artifacttest.Model, t []byte) { m.Initializers = [][]byte{t} }),
		"sparse": with(func(m *artifacttest.Model, t []byte) { m.SparseInitializers = [][]byte{sparse(t)} }),
		"sparse indices": with(func(m *artifacttest.Model, t []byte) {
			m.SparseInitializers = [][]byte{artifacttest.Message(nil, 2, t)}
		}),
		"constant":        with(func(m *artifacttest.Model, t []byte) { m.Nodes = append(m.Nodes, node(5, t)) }),
		"list":            with(func(m *artifacttest.Model, t []byte) { m.Nodes = append(m.Nodes, node(10, t)) }),
		"sparse constant": with(func(m *artifacttest.Model, t []byte) { m.Nodes = append(m.Nodes, node(22, sparse(t))) }),
		"sparse list":     with(func(m *artifacttest.Model, t []byte) { m.Nodes = append(m.Nodes, node(23, sparse(t))) }),
		"subgraph": with(func(m *artifacttest.Model, t []byte) {
			m.Nodes = append(m.Nodes, node(6, (&artifacttest.Model{Initializers: [][]byte{t}}).GraphBytes()))
		}),
		"subgraph of a subgraph": with(func(m *artifacttest.Model, t []byte) {
			inner := artifacttest.Model{Nodes: [][]byte{node(11, (&artifacttest.Model{Nodes: [][]byte{node(5, t)}}).GraphBytes())}}
			m.Nodes = append(m.Nodes, node(6, inner.GraphBytes()))
		}),
		"function": with(func(m *artifacttest.Model, t []byte) {
			m.Functions = [][]byte{artifacttest.Message(nil, 7, node(5, t))}
		}),
		"function's default": with(func(m *artifacttest.Model, t []byte) {
			m.Functions = [][]byte{artifacttest.Message(nil, 11, artifacttest.Attribute{Field: 5, Messages: [][]byte{t}}.Bytes())}
		}),
		"training": with(func(m *artifacttest.Model, t []byte) {
			m.Training = [][]byte{artifacttest.Message(nil, 1, (&artifacttest.Model{Initializers: [][]byte{t}}).GraphBytes())}
		}),
	}
}

// Every trick is tried in every place, with a manifest that lists what can be
// listed, as whoever made the artifact would write it, and without one.
func TestExternalDataTricksAreRefused(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("password"), 0o644))
	link := func(make func(old, new string) error, old, new string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			must(t, os.RemoveAll(filepath.Join(dir, new)))
			must(t, make(old, filepath.Join(dir, new)))
		}
	}
	tricks := []struct {
		name, want, location string
		entries              []string
		listed               string // the file that a manifest lists, with the secret's bytes
		change               func(t *testing.T, dir string)
	}{
		{name: "dot-dot", location: "../secret", want: `location "../secret" is not a clean relative path`},
		{name: "inner dot-dot", location: "data/../../secret", want: `is not a clean relative path`},
		{name: "absolute", location: secret, want: `is not a clean relative path`},
		{name: "memory", location: "*/_ORT_MEM_ADDR_/*", want: `is not a clean relative path`},
		{name: "symlink", location: "w.bin", listed: "w.bin", change: link(os.Symlink, secret, "w.bin"), want: "w.bin: path escapes from parent"},
		{name: "inner symlink", location: "w.bin", listed: "w.bin", change: func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, "w.bin"), filepath.Join(dir, "real.bin")))
			must(t, os.Symlink("real.bin", filepath.Join(dir, "w.bin")))
		}, want: "w.bin: external data through the symbolic link w.bin"},
		{name: "folder link", location: "data/secret", listed: "data/secret", change: link(os.Symlink, filepath.Dir(secret), "data"), want: "data/secret: path escapes from parent"},
		{name: "inner folder link", location: "data/w.bin", listed: "data/w.bin", change: func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "real")))
			must(t, os.Symlink("real", filepath.Join(dir, "data")))
		}, want: "data/w.bin: external data through the symbolic link data,"},
		{name: "hard link", location: "w.bin", listed: "w.bin", change: link(os.Link, secret, "w.bin"), want: "hard links, want a file of its own"},
		{name: "device", location: "w.bin", listed: "w.bin", change: link(os.Symlink, "/dev/zero", "w.bin"), want: "w.bin: path escapes from parent"},
		{name: "folder", location: "data", change: func(t *testing.T, dir string) { must(t, os.Mkdir(filepath.Join(dir, "data"), 0o755)) }, want: "data: "},
		{name: "offset behind the end", location: "w.bin", listed: "w.bin", entries: []string{"offset", "9"}, want: "w.bin: external data reaches to byte 17 of a file of 8"},
		{name: "longer than the file", location: "w.bin", listed: "w.bin", entries: []string{"offset", "1"}, want: "external data reaches to byte 9 of a file of 8"},
		{name: "negative offset", location: "w.bin", listed: "w.bin", entries: []string{"offset", "-8"}, want: `offset "-8" is not a size in bytes`},
		{name: "overflow", location: "w.bin", listed: "w.bin", entries: []string{"offset", "9223372036854775807"}, want: "offset 9223372036854775807 and length 8 overflow"},
		{name: "offset beyond 64 bits", location: "w.bin", listed: "w.bin", entries: []string{"offset", "18446744073709551616"}, want: "is not a size in bytes"},
		{name: "two locations", location: "w.bin", listed: "w.bin", entries: []string{"location", "../secret"}, want: `"location" is given twice`},
	}
	tried := 0
	for _, trick := range tricks {
		for place, hide := range places() {
			t.Run(trick.name+" in "+place, func(t *testing.T) {
				files := map[string][]byte{artifact.ModelFile: hide(artifacttest.External("w",
					append([]string{"location", trick.location, "length", "8"}, trick.entries...)...)).Bytes()}
				if trick.listed != "" {
					files[trick.listed] = []byte("password")
				}
				packed, _ := artifacttest.Pack(t, artifacttest.DoublerManifest(), files)
				for _, dir := range []string{packed, artifacttest.Folder(t, files)} {
					if trick.change != nil {
						trick.change(t, dir)
					}
					_, err := artifact.Verify(t.Context(), dir)
					if err == nil || !strings.Contains(err.Error(), trick.want) {
						t.Errorf("got %v, want …%s…", err, trick.want)
					}
					if err != nil && (strings.Contains(err.Error(), secret) && trick.location != secret || strings.Contains(err.Error(), dir)) {
						t.Errorf("%v names a place on the machine", err)
					}
				}
				if _, _, err := (artifact.Reading{}).Pack(t.Context(), packed); err == nil {
					t.Error("it can be packed")
				}
			})
			tried++
		}
	}
	if tried < 33 {
		t.Errorf("only %d tricks", tried)
	}
}

func TestATensorsDataIsAsLongAsTheTensor(t *testing.T) {
	for _, c := range []struct {
		name, want string
		tensor     []byte
	}{
		{"one number of four bytes", "", artifacttest.ExternalOf(1, nil, "w", "location", "w.bin")},
		{"eight bytes", "", artifacttest.ExternalOf(1, []uint64{2}, "w", "location", "w.bin", "length", "8")},
		{"a length of 0 is none", "", artifacttest.ExternalOf(1, []uint64{2, 1}, "w", "location", "w.bin", "length", "0")},
		{"packed shape", "", append(artifacttest.Message(nil, 1, []byte{2, 2}), artifacttest.ExternalOf(10, nil, "w", "location", "w.bin", "length", "8")...)},
		{"four bits each", "", artifacttest.ExternalOf(22, []uint64{15}, "w", "location", "w.bin", "length", "8")},
		{"nothing", "", artifacttest.ExternalOf(1, []uint64{0, 1 << 62}, "w", "location", "w.bin", "offset", "8")},
		{"a type of the future", "", artifacttest.ExternalOf(99, []uint64{2}, "w", "location", "w.bin", "length", "7")},
		{"larger than the file", "external data reaches to byte 12 of a file of 8", artifacttest.ExternalOf(1, []uint64{3}, "w", "location", "w.bin")},
		{"longer than the tensor", "length 8 for a tensor of 4 bytes", artifacttest.ExternalOf(1, []uint64{1}, "w", "location", "w.bin", "length", "8")},
		{"shorter than the tensor", "length 4 for a tensor of 8 bytes", artifacttest.ExternalOf(1, []uint64{2}, "w", "location", "w.bin", "length", "4")},
		{"a negative size", "more elements than can be counted", artifacttest.ExternalOf(1, []uint64{1<<64 - 1}, "w", "location", "w.bin")},
		{"too many", "more elements than can be counted", artifacttest.ExternalOf(1, []uint64{1 << 32, 1 << 31}, "w", "location", "w.bin")},
		{"too many bytes", "more elements than can be counted", artifacttest.ExternalOf(11, []uint64{1 << 58}, "w", "location", "w.bin")},
		{"texts", "a tensor of texts cannot lie outside the model", artifacttest.ExternalOf(8, []uint64{2}, "w", "location", "w.bin")},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := artifacttest.Doubler()
			m.Initializers = [][]byte{c.tensor}
			_, err := artifact.Verify(t.Context(), artifacttest.Folder(t, map[string][]byte{"model.onnx": m.Bytes(), "w.bin": make([]byte, 8)}))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestWhatIsNoModelIsToldByItsLooks(t *testing.T) {
	tar := make([]byte, 1024)
	copy(tar[257:], "ustar")
	for want, body := range map[string][]byte{
		"it is a zip archive (or something kept in one, like a PyTorch checkpoint), and archives are never unpacked": []byte("PK\x03\x04" + strings.Repeat("x", 100)),
		"it is compressed by gzip, and archives are never unpacked":                                                  {0x1f, 0x8b, 8},
		"it is a tar archive, and archives are never unpacked":                                                       tar,
		"it is a pointer of Git LFS: fetch the file itself with git lfs pull":                                        []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"),
		"it is an HTML page, as a store may answer in place of a file":                                               []byte("<!DOCTYPE html><title>Sign in</title>"),
		"the file is empty":     nil,
		"byte 0: field number ": bytes.Repeat([]byte{0}, 100),
	} {
		_, err := artifact.Verify(t.Context(), artifacttest.Folder(t, map[string][]byte{"model.onnx": body}))
		if err == nil || !strings.HasPrefix(err.Error(), "model.onnx: not a readable ONNX model: "+want) {
			t.Errorf("got %v, want …%s", err, want)
		}
	}
	// As large as a bomb, and refused without reading on.
	bomb := filepath.Join(t.TempDir(), "bomb.onnx")
	must(t, os.WriteFile(bomb, []byte("PK\x03\x04"), 0o644))
	must(t, os.Truncate(bomb, 1<<40))
	if _, err := artifact.Verify(t.Context(), bomb); err == nil || !strings.Contains(err.Error(), "a zip archive") {
		t.Errorf("got %v", err)
	}
}

func TestAHundredThousandFilesAreRefused(t *testing.T) {
	m := artifacttest.DoublerManifest()
	files := artifacttest.List(map[string][]byte{artifact.ModelFile: artifacttest.Doubler().Bytes()})
	for i := range 100_000 {
		f := files[0]
		f.Path = fmt.Sprintf("data/%06d.bin", i)
		m.Files = append(m.Files, f)
	}
	body, err := artifact.Marshal(m)
	must(t, err)
	if _, err := artifact.Parse(body); err == nil || err.Error() != "manifest.json: files: 100000 files, more than the 10000 allowed" {
		t.Errorf("got %.200v", err)
	}

	dir, _ := artifacttest.PackDoubler(t, "")
	must(t, os.Mkdir(filepath.Join(dir, "data"), 0o755))
	for i := range artifact.MaxFiles + 1 {
		must(t, os.WriteFile(filepath.Join(dir, "data", fmt.Sprint(i)), nil, 0o644))
	}
	a, err := artifact.Verify(t.Context(), dir)
	must(t, err)
	if len(a.Warnings) != 1 || !strings.HasPrefix(a.Warnings[0], "not listed in the manifest and ignored: data/0, ") || len(a.Warnings[0]) > 1000 {
		t.Errorf("got %.1000q", a.Warnings)
	}
	if _, _, err := (artifact.Reading{}).Pack(t.Context(), dir); err == nil || err.Error() != "more than the 10000 files allowed" {
		t.Errorf("got %v", err)
	}
}
