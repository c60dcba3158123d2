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
	"testing"

	"github.com/segue-serving/segue/deploy/parts"
)

// binaryName is the file that `make consul` writes into the cache's bin folder.
const binaryName = "consul-1.22.0"

// Binary returns the path of the Consul binary, or fails the test with the
// command that builds it.
func Binary(t testing.TB) string {
	t.Helper()
	return parts.At(t, "CONSUL_BINARY", "bin/"+binaryName)
}

// jsonText is v as JSON text; v is always a literal of this package.
func jsonText(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
