// Package parts finds the real programs of Python that tests run against: an
// MLflow server, DVC, OpenSSF model-signing. `make parts` installs them into the
// cache, each in an environment of its own that is named after what
// requirements.txt pins. The package installs nothing, and a test that needs a
// part fails without it.
//
//	python := parts.Python(t, "mlflow")
package parts

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
)

//go:embed */requirements.txt
var pins embed.FS

// Python returns the path of the interpreter in a part's environment; the part's
// programs lie beside it. The test fails with the command that installs it.
func Python(t testing.TB, part string) string {
	t.Helper()
	text, err := pins.ReadFile(part + "/requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	venv := filepath.Join(cache(t), "venv", "parts-"+part+"-"+hex.EncodeToString(sum[:])[:12])
	if _, err := os.Stat(filepath.Join(venv, ".ready")); err != nil {
		t.Fatalf("the real part %s is missing: %v: run `make parts`", part, err)
	}
	return filepath.Join(venv, "bin", "python")
}

// cache is the folder where the project keeps what it builds or downloads.
func cache(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("SEGUE_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatalf("cache folder: %v", err)
	}
	return filepath.Join(dir, "segue")
}
