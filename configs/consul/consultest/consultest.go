// Package consultest runs a real Consul agent for tests, and a proxy in front
// of it that can be made to fail.
//
// It promises that an agent answers and has a leader when Start returns, that
// its address stays the same over Kill, Stop and every kind of restart, and
// that no agent outlives the test, even one whose process is killed. It never
// fakes an answer of Consul: what fails, fails in the agent or in Proxy.
//
//	agent := consultest.Start(t, consultest.Options{})
//	agent.Put("segue/test/settings", `{"schema": 1}`)
//	agent.Kill()
//	agent.RestartEmpty()
//
// The binary is $CONSUL_BINARY, or the one that `make consul` leaves in the
// cache. A test that needs it fails without it; it is never skipped.
package consultest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// binaryName is the file that `make consul` writes into the cache's bin folder.
const binaryName = "consul-1.22.0"

// Binary returns the path of the Consul binary, or fails the test with the
// command that builds it.
func Binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("CONSUL_BINARY")
	if path == "" {
		path = filepath.Join(cacheFolder(t), "bin", binaryName)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the Consul binary is missing: %v: run `make consul` or set CONSUL_BINARY", err)
	}
	return path
}

// cacheFolder is where the project keeps what it builds or downloads.
func cacheFolder(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("SEGUE_CACHE"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "segue")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatalf("cache folder: %v", err)
	}
	return filepath.Join(home, ".cache", "segue")
}

// jsonText is v as JSON text; v is always a literal of this package.
func jsonText(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
