package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/remotes"
	"github.com/segue-serving/segue/loader/store/storetest"
)

// everywhere pushes an artifact to each kind of store and returns where it lies,
// by the name of a version. What the gateway needs to reach it is in the
// environment of the test.
func everywhere(t *testing.T, dir, digest string) map[string]string {
	t.Helper()
	s3, gcs, azure, registry := storetest.StartS3(t), storetest.StartGCS(t), storetest.StartAzure(t), storetest.StartRegistry(t, true)
	s3.Setenv(t)
	gcs.Setenv(t)
	azure.Setenv(t)
	t.Setenv("DOCKER_CONFIG", registry.DockerConfig(t))
	bucket, parameters := s3.Bucket(t)
	places := map[string]string{
		"s3":     bucket + "/wine/1" + parameters,
		"gs":     gcs.Bucket(t) + "/wine/1",
		"azblob": azure.Bucket(t) + "/wine/1",
		"oci":    "oci:" + registry.Addr + "/team/wine:1?plain_http=true",
	}
	all, err := remotes.Open(egress.Everywhere(), os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	for scheme, uri := range places {
		publisher := all.ByScheme[scheme].(store.Publisher)
		if err := publisher.Push(t.Context(), store.Ref{URI: uri}, dir, digest, nil); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	places["http"] = server.URL
	return places
}

// One artifact is pushed to every kind of store, and served from each by a gateway
// with an empty cache. One that was not given leave fetches from none whose
// address a document names.
func TestVersionsAreServedFromEveryStore(t *testing.T) {
	dir := filepath.Join(quickstart, "models", "wine", "1")
	verified, err := artifact.Verify(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for scheme, uri := range everywhere(t, dir, verified.Digest) {
		t.Run(scheme, func(t *testing.T) {
			folder := t.TempDir()
			document := fmt.Sprintf("model: wine\nversions:\n  \"1\": {uri: %q, digest: %q}\n", uri, verified.Digest)
			if err := os.WriteFile(filepath.Join(folder, "wine.yaml"), []byte(document), 0o644); err != nil {
				t.Fatal(err)
			}
			gw := seguetest.Start(t, seguetest.Config{Source: "file:" + folder, Args: []string{"--artifact-hosts", "127.0.0.0/8"}})
			for _, golden := range seguetest.Goldens(t, manifestOf(t, "wine", "1")) {
				a := gw.Infer(t, "wine", golden.Request(t), nil)
				if err := golden.Check(a.Body, tolerance); a.Code != http.StatusOK || err != nil {
					t.Errorf("%s: %d, %v", golden.Name, a.Code, err)
				}
			}
			wantMetric(t, gw, fmt.Sprintf(`segue_artifact_fetches_total{outcome="ok",scheme=%q}`, scheme), "1")
			if scheme == "gs" || scheme == "azblob" {
				return // their addresses are the environment's
			}
			refused := seguetest.Start(t, seguetest.Config{Source: "file:" + folder, NotReady: true})
			seguetest.Eventually(t, 30*time.Second, "the version is refused", func() error {
				if !strings.Contains(refused.Log(), "--artifact-hosts") {
					return errors.New("its log does not say so")
				}
				return nil
			})
		})
	}
}
