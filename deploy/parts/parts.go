// Package parts finds the real programs that tests run against: a Consul agent,
// artifact stores, Prometheus, and in Python an MLflow server, DVC and OpenSSF
// model-signing. `make parts` puts them into the cache; those in Python lie each
// in an environment of its own that is named after what requirements.txt pins.
// The package installs nothing, and a test that needs a part fails without it.
//
//	agent := parts.At(t, "CONSUL_BINARY", "bin/consul-1.22.0")
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

// At returns the path of a part: what the environment variable names, else the
// slash-separated name below the cache. The test fails with the command that
// makes the part where there is none.
func At(t testing.TB, variable, name string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		path = filepath.Join(cache(t), filepath.FromSlash(name))
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("a part for tests is missing: %v: run `make parts` or set %s", err, variable)
	}
	return path
}

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
