package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/storetest"
)

func TestFoldersOfThisMachine(t *testing.T) {
	storetest.Suite(t, storetest.Subject{
		Store: store.File{}, HasRange: true,
		Parent: func(t *testing.T) string { return "file:" + t.TempDir() },
		Child:  func(parent, version string) string { return parent + "/team/" + version },
	})
}

func TestAPushedFolderHasNothingButTheArtifact(t *testing.T) {
	dir, digest := storetest.Artifact(t, 1)
	parent := t.TempDir()
	if err := os.Mkdir(filepath.Join(parent, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	push := func(name string) error {
		return (store.File{}).Push(t.Context(), store.Ref{URI: "file:" + name, Base: parent}, dir, digest, nil)
	}
	if err := push("1"); err != nil {
		t.Fatal(err)
	}
	if err := push("taken"); !errors.Is(err, store.ErrExists) || strings.Contains(err.Error(), parent) {
		t.Errorf("a folder that is there: %v", err)
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 2 {
		t.Errorf("beside each other lie %v, %v", entries, err)
	}
}

func TestOnlyRegularFilesAreReadFromAFolder(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(outside, []byte("s"), 0o600), os.Symlink(outside, filepath.Join(dir, "link")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.WriteFile(filepath.Join(dir, "model.onnx"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, uri := range []string{"file:" + dir, "file:" + filepath.Join(dir, "model.onnx")} {
		origin, err := (store.File{}).Open(t.Context(), store.Ref{URI: uri})
		if err != nil {
			t.Fatal(err)
		}
		defer origin.Close()
		files, err := origin.Files(t.Context(), 10)
		if err != nil || len(files) != 1 || files[0].Name != "model.onnx" {
			t.Errorf("%s: files %+v, %v", uri, files, err)
		}
		for _, name := range []string{"link", "pipe", "../secret", outside} {
			if body, err := origin.Read(t.Context(), name, 0); err == nil {
				t.Errorf("%s: read %s: %+v", uri, name, body)
			}
		}
	}
}
