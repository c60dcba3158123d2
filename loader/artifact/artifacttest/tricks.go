package artifacttest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
)

// Trick is a way to make an engine read what is not the model's.
type Trick struct {
	Name string
	// Want is part of the reason for which it must be refused.
	Want string

	location string
	entries  []string
	listed   string // the file that a manifest lists, with the secret's bytes
	change   func(t testing.TB, dir, secret string)
}

// Places are all the places of a model that may name external data, each as a
// function that hides a tensor there.
func Places() map[string]func(tensor []byte) *Model {
	with := func(change func(m *Model, tensor []byte)) func([]byte) *Model {
		return func(tensor []byte) *Model {
			m := Doubler()
			change(m, tensor)
			return m
		}
	}
	node := func(field int32, message []byte) []byte {
		return Node(Attribute{Field: field, Messages: [][]byte{message}})
	}
	sparse := func(tensor []byte) []byte { return Message(nil, 1, tensor) }
	return map[string]func([]byte) *Model{
		"dense":  with(func(m *Model, t []byte) { m.Initializers = [][]byte{t} }),
		"sparse": with(func(m *Model, t []byte) { m.SparseInitializers = [][]byte{sparse(t)} }),
		"sparse indices": with(func(m *Model, t []byte) {
			m.SparseInitializers = [][]byte{Message(nil, 2, t)}
		}),
		"constant":        with(func(m *Model, t []byte) { m.Nodes = append(m.Nodes, node(5, t)) }),
		"list":            with(func(m *Model, t []byte) { m.Nodes = append(m.Nodes, node(10, t)) }),
		"sparse constant": with(func(m *Model, t []byte) { m.Nodes = append(m.Nodes, node(22, sparse(t))) }),
		"sparse list":     with(func(m *Model, t []byte) { m.Nodes = append(m.Nodes, node(23, sparse(t))) }),
		"subgraph": with(func(m *Model, t []byte) {
			m.Nodes = append(m.Nodes, node(6, (&Model{Initializers: [][]byte{t}}).GraphBytes()))
		}),
		"subgraph of a subgraph": with(func(m *Model, t []byte) {
			inner := Model{Nodes: [][]byte{node(11, (&Model{Nodes: [][]byte{node(5, t)}}).GraphBytes())}}
			m.Nodes = append(m.Nodes, node(6, inner.GraphBytes()))
		}),
		"function": with(func(m *Model, t []byte) {
			m.Functions = [][]byte{Message(nil, 7, node(5, t))}
		}),
		"function's default": with(func(m *Model, t []byte) {
			m.Functions = [][]byte{Message(nil, 11, Attribute{Field: 5, Messages: [][]byte{t}}.Bytes())}
		}),
		"training": with(func(m *Model, t []byte) {
			m.Training = [][]byte{Message(nil, 1, (&Model{Initializers: [][]byte{t}}).GraphBytes())}
		}),
	}
}

// Tricks are what is tried with external data.
func Tricks() []Trick {
	link := func(make func(old, new string) error, new string) func(t testing.TB, dir, secret string) {
		return func(t testing.TB, dir, secret string) {
			t.Helper()
			must(t, os.RemoveAll(filepath.Join(dir, new)))
			must(t, make(secret, filepath.Join(dir, new)))
		}
	}
	within := func(old, new, target string) func(t testing.TB, dir, secret string) {
		return func(t testing.TB, dir, _ string) {
			t.Helper()
			must(t, os.Rename(filepath.Join(dir, old), filepath.Join(dir, new)))
			must(t, os.Symlink(target, filepath.Join(dir, old)))
		}
	}
	folder := func(old, new string) error { return os.Symlink(filepath.Dir(old), new) }
	device := func(_, new string) error { return os.Symlink("/dev/zero", new) }
	const unclean, outside = "is not a clean relative path", "path escapes from parent"
	return []Trick{
		{Name: "dot-dot", location: "../secret", Want: `location "../secret" ` + unclean},
		{Name: "inner dot-dot", location: "data/../../secret", Want: unclean},
		{Name: "absolute", location: "/etc/hostname", Want: unclean},
		{Name: "memory", location: "*/_ORT_MEM_ADDR_/*", Want: unclean},
		{Name: "symlink", location: "w.bin", listed: "w.bin", change: link(os.Symlink, "w.bin"), Want: "w.bin: " + outside},
		{Name: "inner symlink", location: "w.bin", listed: "w.bin", change: within("w.bin", "real.bin", "real.bin"),
			Want: "w.bin: external data through the symbolic link w.bin"},
		{Name: "folder link", location: "data/secret", listed: "data/secret", change: link(folder, "data"), Want: "data/secret: " + outside},
		{Name: "inner folder link", location: "data/w.bin", listed: "data/w.bin", change: within("data", "real", "real"),
			Want: "data/w.bin: external data through the symbolic link data,"},
		{Name: "hard link", location: "w.bin", listed: "w.bin", change: link(os.Link, "w.bin"), Want: "hard links, want a file of its own"},
		{Name: "device", location: "w.bin", listed: "w.bin", change: link(device, "w.bin"), Want: "w.bin: " + outside},
		{Name: "folder", location: "data", Want: "data: ", change: func(t testing.TB, dir, _ string) { must(t, os.Mkdir(filepath.Join(dir, "data"), 0o755)) }},
		{Name: "offset behind the end", location: "w.bin", listed: "w.bin", entries: []string{"offset", "9"},
			Want: "w.bin: external data reaches to byte 17 of a file of 8"},
		{Name: "longer than the file", location: "w.bin", listed: "w.bin", entries: []string{"offset", "1"},
			Want: "external data reaches to byte 9 of a file of 8"},
		{Name: "negative offset", location: "w.bin", listed: "w.bin", entries: []string{"offset", "-8"}, Want: `offset "-8" is not a size in bytes`},
		{Name: "overflow", location: "w.bin", listed: "w.bin", entries: []string{"offset", "9223372036854775807"},
			Want: "offset 9223372036854775807 and length 8 overflow"},
		{Name: "offset beyond 64 bits", location: "w.bin", listed: "w.bin", entries: []string{"offset", "18446744073709551616"}, Want: "is not a size in bytes"},
		{Name: "two locations", location: "w.bin", listed: "w.bin", entries: []string{"location", "../secret"}, Want: `"location" is given twice`},
	}
}

// Play writes an artifact with the trick in the place that hide stands for, and
// a file outside that it is after. Packed gives it a manifest that lists what can
// be listed, as whoever made the artifact would.
func (trick Trick) Play(t testing.TB, hide func(tensor []byte) *Model, packed bool) (dir string) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("password"), 0o644))
	tensor := External("w", append([]string{"location", trick.location, "length", "8"}, trick.entries...)...)
	files := map[string][]byte{artifact.ModelFile: hide(tensor).Bytes()}
	if trick.listed != "" {
		files[trick.listed] = []byte("password")
	}
	if packed {
		dir, _ = Pack(t, DoublerManifest(), files)
	} else {
		dir = Folder(t, files)
	}
	if trick.change != nil {
		trick.change(t, dir, secret)
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
