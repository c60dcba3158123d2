package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
)

// OddName is a file's name of characters that mean something to URLs, to shells
// and to stores.
const OddName = "weights/a b+c%41&d=e?f#ü ünïcode.bin"

// largeSize is more than a store takes in one part.
const largeSize = 9 << 20

// Artifact makes a folder with a valid artifact, whose model serves, and
// returns it with its digest. Equal seeds make equal artifacts. Beside the model
// it has a file of some megabytes, an empty one, one with an odd name, and a
// file beside the manifest as signatures are.
func Artifact(t testing.TB, seed uint64) (dir, digest string) {
	t.Helper()
	dir = t.TempDir()
	model, err := os.ReadFile(filepath.Join(repository(t), "configs/examples/quickstart/models/mozart/1", artifact.ModelFile))
	if err != nil {
		t.Fatal(err)
	}
	large := make([]byte, largeSize)
	var chaSeed [32]byte
	chaSeed[0] = byte(seed)
	_, _ = rand.NewChaCha8(chaSeed).Read(large) // never fails
	put(t, dir, artifact.ModelFile, model)
	m, _, err := artifact.Make(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	m.Model = "mozart"
	m.Provenance = &artifact.Provenance{Commit: "0123abc", Run: "run-" + string(rune('a'+seed%26))}
	for name, body := range map[string][]byte{"large.bin": large, "empty": nil, OddName: []byte("odd")} {
		put(t, dir, name, body)
	}
	for _, name := range []string{"large.bin", "empty", OddName} {
		body, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		m.Files = append(m.Files, artifact.File{Path: name, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])})
	}
	if digest, err = artifact.Write(dir, m); err != nil {
		t.Fatal(err)
	}
	put(t, dir, artifact.ManifestFile+".sig", []byte("a detached signature"))
	return dir, digest
}

func put(t testing.TB, dir, name string, body []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o644); err != nil {
		t.Fatal(err)
	}
}

// repository is the root of this module, above the tested package's folder.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; !strings.HasSuffix(dir, string(filepath.Separator)); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("no go.mod above the working directory")
	return ""
}
