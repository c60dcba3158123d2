package storetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// Pull copies an artifact with a manifest into a folder: what the manifest
// lists, the manifest, and a signature beside it. It checks nothing.
func Pull(t testing.TB, origin store.Origin, dir string) {
	t.Helper()
	read := func(name string) []byte {
		body, err := origin.Read(t.Context(), name, 0)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatal(err)
		}
		return all
	}
	body := read(artifact.ManifestFile)
	m, err := artifact.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, artifact.ManifestFile, body)
	put(t, dir, artifact.ManifestFile+".sig", read(artifact.ManifestFile+".sig"))
	for _, f := range m.Files {
		put(t, dir, f.Path, read(f.Path))
	}
}

// same compares two folders by their files.
func same(t testing.TB, got, want string) {
	t.Helper()
	count := 0
	for _, way := range [][2]string{{want, got}, {got, want}} {
		err := fs.WalkDir(os.DirFS(way[0]), ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			count++
			a, err := os.ReadFile(filepath.Join(way[0], name))
			if err != nil {
				return err
			}
			b, err := os.ReadFile(filepath.Join(way[1], name))
			if err == nil && !bytes.Equal(a, b) {
				t.Errorf("%q has other bytes", name)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if count == 0 {
		t.Error("there are no files to compare")
	}
}
