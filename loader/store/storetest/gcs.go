package storetest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/segue-serving/segue/deploy/parts"
)

// GCS is a running emulator of Google's Cloud Storage. It asks for no
// credentials.
type GCS struct {
	// Addr is its host:port.
	Addr string
}

// StartGCS runs fake-gcs-server until the test ends.
func StartGCS(t testing.TB) *GCS {
	t.Helper()
	binary := parts.At(t, "FAKE_GCS_BINARY", "bin/fake-gcs-server-1.56.1")
	port := freePorts(t, 1)[0]
	g := &GCS{Addr: "127.0.0.1:" + port}
	serve(t, func() bool { return answers("http://"+g.Addr+"/storage/v1/b?project=test", 200) }, binary,
		"-scheme=http", "-host=127.0.0.1", "-port="+port, "-public-host="+g.Addr, "-backend=memory", "-log-level=warn")
	return g
}

// Bucket makes a bucket of the test's own and returns its reference, gs://NAME.
func (g *GCS) Bucket(t testing.TB) string {
	t.Helper()
	name := bucketName()
	response, err := client().Post("http://"+g.Addr+"/storage/v1/b?project=test", "application/json", strings.NewReader(fmt.Sprintf(`{"name": %q}`, name)))
	if err != nil {
		t.Fatalf("make bucket %s: %v", name, err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("make bucket %s: %s", name, response.Status)
	}
	return "gs://" + name
}

// Setenv names the emulator in the environment of the test.
func (g *GCS) Setenv(t testing.TB) { t.Setenv("STORAGE_EMULATOR_HOST", g.Addr) }
