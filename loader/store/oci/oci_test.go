package oci_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/oci"
	"github.com/segue-serving/segue/loader/store/storetest"
)

func loopback(t *testing.T) egress.Hosts {
	t.Helper()
	hosts, err := egress.Parse("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return hosts
}

// below puts a tag between a repository and its parameters.
func below(parent, version string) string {
	repository, parameters, _ := strings.Cut(parent, "?")
	return repository + ":" + version + "?" + parameters
}

func TestRegistryWithLogin(t *testing.T) {
	server := storetest.StartRegistry(t, true)
	t.Setenv("DOCKER_CONFIG", server.DockerConfig(t))
	repositories := 0
	storetest.Suite(t, storetest.Subject{
		Store: oci.New(loopback(t)), Child: below, HasRange: true,
		Parent: func(*testing.T) string {
			repositories++
			return fmt.Sprintf("oci:%s/team/mozart-%d?plain_http=true", server.Addr, repositories)
		},
	})
	t.Run("login", func(t *testing.T) { login(t, server) })
}

// login tries none, a wrong one, and one that came while the process ran.
func login(t *testing.T, server *storetest.Registry) {
	remote := oci.New(loopback(t))
	uri := "oci://" + server.Addr + "/team/login:1?plain_http=true"
	dir, digest := storetest.Artifact(t, 1)
	push := func() error { return remote.Push(t.Context(), store.Ref{URI: uri}, dir, digest, nil) }
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	if err := push(); err == nil || !strings.Contains(err.Error(), "docker login") || store.IsPermanent(err) {
		t.Errorf("without a login: %v", err)
	}
	wrong := *server
	wrong.Password = "wrong horse"
	t.Setenv("DOCKER_CONFIG", wrong.DockerConfig(t))
	if err := push(); err == nil || !strings.Contains(err.Error(), "401: credentials are missing, wrong or expired") || store.IsPermanent(err) {
		t.Errorf("with a wrong login: %v", err)
	}
	t.Setenv("DOCKER_CONFIG", server.DockerConfig(t))
	if err := push(); err != nil {
		t.Fatal(err)
	}
	listed, err := remote.List(t.Context(), store.Ref{URI: uri})
	if err != nil || len(listed) != 1 || listed[0].Digest != digest {
		t.Errorf("listed %+v, %v", listed, err)
	}
}

// What has another shape than this project's own artifacts is read, told apart,
// or refused.
func TestOtherThingsInARegistry(t *testing.T) {
	image := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/tags/list") {
			_, _ = io.WriteString(w, `{"name": "m", "tags": ["1"]}`)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", digest.FromString(image).String())
		w.Header().Set("Content-Length", strconv.Itoa(len(image)))
		_, _ = io.WriteString(w, image)
	}))
	defer server.Close()
	remote := oci.New(loopback(t))
	repository := "oci:" + strings.TrimPrefix(server.URL, "http://") + "/m"
	layer := func(title string) string {
		return fmt.Sprintf(`{"mediaType": "x", "size": 3, "digest": "sha256:%064d", "annotations": {"org.opencontainers.image.title": %q}}`, 1, title)
	}
	for _, c := range []struct {
		image, want string
		files       int
		listed      int
	}{
		{`{"layers": [` + layer("model.onnx") + `, ` + layer("") + `]}`, "", 1, 1},
		{`{"layers": [` + layer("") + `]}`, "", 0, 0},
		{`{"layers": [` + layer("a") + `,` + layer("a") + `]}`, "listed twice", 0, 0},
		{`{"layers": [{"size": -1, "annotations": {"org.opencontainers.image.title": "a"}}]}`, "without a size and a digest", 0, 0},
		{`[]`, "no JSON of one", 0, 0},
	} {
		image = c.image
		origin, err := remote.Open(t.Context(), store.Ref{URI: repository + ":1?plain_http=true"})
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) || !store.IsPermanent(err) {
				t.Errorf("%s: got %v, want …%s…", c.image, err, c.want)
			}
		} else if err != nil {
			t.Errorf("%s: %v", c.image, err)
		} else {
			files, err := origin.Files(t.Context(), 10)
			if err != nil || len(files) != c.files {
				t.Errorf("%s: files %+v, %v", c.image, files, err)
			}
			if _, err := origin.Read(t.Context(), artifact.ManifestFile, 0); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the manifest: %v", c.image, err)
			}
		}
		listed, err := remote.List(t.Context(), store.Ref{URI: repository + "?plain_http=true"})
		if err != nil || len(listed) != c.listed {
			t.Errorf("%s: listed %+v, %v", c.image, listed, err)
		}
	}
	dir, own := storetest.Artifact(t, 1)
	if err := remote.Push(t.Context(), store.Ref{URI: repository + ":1?plain_http=true"}, dir, own, nil); !errors.Is(err, store.ErrExists) {
		t.Errorf("pushed over something else: %v", err)
	}
}

func TestReferencesThatMeanNothingAreRefusedForGood(t *testing.T) {
	for uri, want := range map[string]string{
		"oci:":                                            "want oci:REGISTRY/REPOSITORY:TAG",
		"oci:mozart":                                      "want oci:REGISTRY/REPOSITORY:TAG",
		"oci:registry.example.org/Team/mozart:1":          "want oci:REGISTRY/REPOSITORY:TAG",
		"oci:registry.example.org/team/mozart":            "names no version",
		"oci:registry.example.org/m:1?secret=x":           `parameter "secret" is unknown`,
		"oci:registry.example.org/m:1?plain_http=perhaps": `parameter "plain_http"`,
		"oci:registry.example.org/m:1?plain_http=true":    "for hosts that --artifact-hosts names",
		"oci:127.0.0.1:9/m:1":                             "127.0.0.1 is not a public address",
	} {
		_, err := oci.New(egress.Hosts{}).Open(t.Context(), store.Ref{URI: uri})
		if err == nil || !strings.Contains(err.Error(), want) || !store.IsPermanent(err) {
			t.Errorf("%s: got %v, want …%s…, for good", uri, err, want)
		}
	}
	for _, uri := range []string{"oci:127.0.0.1:9/m", "oci:127.0.0.1:9/m@sha256:" + strings.Repeat("0", 64)} {
		dir, digest := storetest.Artifact(t, 1)
		if err := oci.New(egress.Hosts{}).Push(t.Context(), store.Ref{URI: uri}, dir, digest, nil); err == nil || !strings.Contains(err.Error(), "want a tag") {
			t.Errorf("%s: got %v", uri, err)
		}
	}
}

func TestARegistryThatIsAwayMayComeBack(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := oci.New(loopback(t)).Open(t.Context(), store.Ref{URI: "oci:" + strings.TrimPrefix(server.URL, "http://") + "/m:1?plain_http=true"})
	if !errors.Is(err, store.ErrUnreachable) || store.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
}
