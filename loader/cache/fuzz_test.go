package cache

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/store"
)

// outside fails the test where anything lies beside the cache's folder.
func outside(t *testing.T, parent string) {
	t.Helper()
	if all := names(parent); len(all) != 1 {
		t.Fatalf("beside the cache there is %v", all)
	}
}

// FuzzManifest fetches by a manifest that anybody may have written: the end is
// a whole artifact or an error, and nothing is written elsewhere.
func FuzzManifest(f *testing.F) {
	model := artifacttest.Doubler().Bytes()
	m := artifacttest.DoublerManifest()
	for _, names := range [][]string{{"model.onnx"}, {"a/b/model.onnx"}, {"model.onnx", "a"}, {"model.onnx", "a", "a/b"}} {
		files := map[string][]byte{}
		for _, name := range names {
			files[name] = model
		}
		m.Files = artifacttest.List(files)
		body, err := artifact.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, model)
	}
	f.Add([]byte("<html>"), []byte(""))
	f.Fuzz(func(t *testing.T, manifest, file []byte) {
		parent := t.TempDir()
		c := open(t, filepath.Join(parent, "cache"), 1<<20)
		s := newShop()
		s.goods["m"] = map[string][]byte{artifact.ManifestFile: manifest}
		if m, err := artifact.Parse(manifest); err == nil {
			for _, listed := range m.Files {
				s.goods["m"][listed.Path] = file
			}
		}
		path, release, err := c.Store(s).Fetch(t.Context(), store.Ref{URI: "shop:m"}, nil)
		outside(t, parent)
		if err != nil {
			return
		}
		defer release()
		m, err := artifact.Parse(manifest)
		if err != nil {
			t.Fatalf("fetched by a manifest that is none: %v", err)
		}
		for _, listed := range m.Files {
			if got, err := os.ReadFile(filepath.Join(path, filepath.FromSlash(listed.Path))); err != nil || string(got) != string(file) {
				t.Fatalf("%s: %v", listed.Path, err)
			}
		}
	})
}

// FuzzListing fetches what a store lists without a manifest.
func FuzzListing(f *testing.F) {
	for _, name := range []string{"model.onnx", "1/model.onnx", "x.onnx", "../x", "/x", "a//b", "a/./b", ".", "a\x00b", "manifest.json", `a\b`} {
		f.Add(name, int64(10), artifacttest.Doubler().Bytes())
	}
	f.Add("model.onnx", int64(-1), artifacttest.Doubler().Bytes())
	f.Fuzz(func(t *testing.T, name string, size int64, file []byte) {
		parent := t.TempDir()
		c := open(t, filepath.Join(parent, "cache"), 1<<20)
		s := newShop()
		s.goods["m"] = map[string][]byte{name: file}
		if name == artifact.ManifestFile {
			return // that is the other target's
		}
		s.files = func() ([]store.RemoteFile, error) {
			return []store.RemoteFile{{Name: name, Size: max(size, -1) % (1 << 30)}}, nil
		}
		path, release, err := c.Store(s).Fetch(t.Context(), store.Ref{URI: "shop:m"}, nil)
		outside(t, parent)
		if err != nil {
			return
		}
		defer release()
		if _, err := artifact.Verify(t.Context(), path); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
	})
}

// FuzzNote reads what lies in the cache's folder, which a crash or somebody else
// may have written.
func FuzzNote(f *testing.F) {
	f.Add([]byte(`{"version":"m/1","uri":"s3:x","base":"/","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000"}`))
	f.Add([]byte(`{"uri":"s3:x","digest":"sha256:../../x"}`))
	f.Add([]byte(`{"uri":`))
	f.Fuzz(func(t *testing.T, body []byte) {
		dir := t.TempDir()
		c := open(t, dir, plenty)
		n := parseNote(body)
		if n != (note{}) && !artifact.ValidDigest(n.Digest) {
			t.Fatalf("a note of %q", n.Digest)
		}
		if err := os.WriteFile(filepath.Join(dir, refsDir, n.key()), body, 0o600); err != nil {
			t.Fatal(err)
		}
		if digest := c.lookUp(n); digest != "" {
			t.Fatalf("%s is not here", digest)
		}
		if err := c.sweep(); err != nil || len(names(filepath.Join(dir, refsDir))) != 0 {
			t.Fatalf("it stays: %v", err)
		}
	})
}
