package bucket_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/bucket"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/storetest"
)

// below puts a version's name between a reference's path and its parameters.
func below(parent, version string) string {
	path, parameters, found := strings.Cut(parent, "?")
	if found {
		parameters = "?" + parameters
	}
	return path + "/" + version + parameters
}

func loopback(t *testing.T) egress.Hosts {
	t.Helper()
	hosts, err := egress.Parse("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	return hosts
}

func TestS3(t *testing.T) {
	server := storetest.StartS3(t)
	server.Setenv(t)
	storetest.Suite(t, storetest.Subject{
		Store: bucket.S3(loopback(t)), Child: below, HasRange: true,
		Parent: func(t *testing.T) string {
			reference, parameters := server.Bucket(t)
			return reference + "/team/moz art" + parameters
		},
	})
	t.Run("credentials", func(t *testing.T) { credentialsOfS3(t, server) })
	t.Run("one model", func(t *testing.T) { oneModel(t, server) })
}

// credentialsOfS3 takes credentials from a file, which may change while the
// process runs, and the address from the environment.
func credentialsOfS3(t *testing.T, server *storetest.S3) {
	reference, _ := server.Bucket(t)
	uri := reference + "/mozart/1?profile=segue"
	file := filepath.Join(t.TempDir(), "credentials")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_ENDPOINT_URL", server.Endpoint)
	remote := bucket.S3(egress.Hosts{}) // the process's own environment needs no leave
	dir, digest := storetest.Artifact(t, 1)
	profile := "[segue]\naws_access_key_id = %s\naws_secret_access_key = %s\n"
	for _, wrong := range [][2]string{{"nobody", server.SecretKey}, {server.AccessKey, "wrong"}} {
		writeFile(t, file, fmt.Sprintf(profile, wrong[0], wrong[1]))
		err := remote.Push(t.Context(), store.Ref{URI: uri}, dir, digest, nil)
		if err == nil || !strings.Contains(err.Error(), " 403 ") || store.IsPermanent(err) || strings.Contains(err.Error(), server.SecretKey) {
			t.Errorf("wrong credentials: %v", err)
		}
	}
	writeFile(t, file, fmt.Sprintf(profile, server.AccessKey, server.SecretKey))
	if err := remote.Push(t.Context(), store.Ref{URI: uri}, dir, digest, nil); err != nil {
		t.Error(err)
	}
	if got, err := readFirst(t.Context(), remote, uri, "manifest.json.sig"); err != nil || len(got) == 0 {
		t.Errorf("read %q, %v", got, err)
	}
}

// oneModel reads an artifact that is one .onnx object.
func oneModel(t *testing.T, server *storetest.S3) {
	remote := bucket.S3(loopback(t))
	dir, digest := storetest.Artifact(t, 1)
	reference, parameters := server.Bucket(t)
	if err := remote.Push(t.Context(), store.Ref{URI: reference + "/mozart/1" + parameters}, dir, digest, nil); err != nil {
		t.Fatal(err)
	}
	uri := reference + "/mozart/1/model.onnx" + parameters
	origin, err := remote.Open(t.Context(), store.Ref{URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	files, err := origin.Files(t.Context(), 1)
	if err != nil || len(files) != 1 || files[0].Name != "model.onnx" {
		t.Errorf("files %+v, %v", files, err)
	}
	if got, err := readFirst(t.Context(), remote, uri, "model.onnx"); err != nil || len(got) == 0 {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	if _, err := readFirst(t.Context(), remote, uri, "manifest.json"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a manifest beside the one object: %v", err)
	}
	if err := remote.Push(t.Context(), store.Ref{URI: uri}, dir, digest, nil); !store.IsPermanent(err) {
		t.Errorf("pushed to one object: %v", err)
	}
}

func TestGCS(t *testing.T) {
	server := storetest.StartGCS(t)
	server.Setenv(t)
	storetest.Suite(t, storetest.Subject{
		Store: bucket.GCS(), Child: below, HasRange: true,
		Parent: func(t *testing.T) string { return server.Bucket(t) + "/team/mozart" },
	})
}

func TestAzure(t *testing.T) {
	server := storetest.StartAzure(t)
	server.Setenv(t)
	storetest.Suite(t, storetest.Subject{
		Store: bucket.Azure(), Child: below, HasRange: true,
		Parent: func(t *testing.T) string { return server.Bucket(t) + "/team/mozart" },
	})
}
