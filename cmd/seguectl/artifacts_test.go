package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/configs/configstest"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store/storetest"
)

// tool runs one command line with the environment of the test and returns its
// exit code, what it printed as JSON, and its messages.
func tool(t *testing.T, want int, args ...string) (map[string]any, string) {
	t.Helper()
	r := newRun(configstest.NewStore())
	r.cli.lookupEnv = os.LookupEnv
	got := r.code(t, append(args, "--json")...)
	if got != want {
		t.Errorf("%q: exit code %d, want %d: %s", args, got, want, &r.stderr)
	}
	var printed map[string]any
	if err := json.Unmarshal(r.stdout.Bytes(), &printed); err != nil {
		t.Errorf("%q printed %q: %v", args, &r.stdout, err)
	}
	return printed, r.stderr.String()
}

// The promises of push, artifacts and pull are the same for every store.
func TestVersionsGoToStoresAndComeBack(t *testing.T) {
	s3, registry := storetest.StartS3(t), storetest.StartRegistry(t, true)
	s3.Setenv(t)
	t.Setenv("DOCKER_CONFIG", registry.DockerConfig(t))
	bucket, parameters := s3.Bucket(t)
	folder := t.TempDir()
	for name, c := range map[string]struct{ parent, version string }{
		"s3":   {bucket + "/mozart" + parameters, bucket + "/mozart/1" + parameters},
		"oci":  {"oci:" + registry.Addr + "/team/mozart?plain_http=true", "oci:" + registry.Addr + "/team/mozart:1?plain_http=true"},
		"file": {"file:" + folder, "file:" + folder + "/mozart/1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, digest := storetest.Artifact(t, 1)
			other, _ := storetest.Artifact(t, 2)
			if r, _ := tool(t, exitDone, "push", dir, c.version); r["digest"] != digest || r["written"] != true {
				t.Errorf("push: %v", r)
			}
			if r, _ := tool(t, exitDone, "push", dir, c.version); r["written"] != false {
				t.Errorf("push again: %v", r)
			}
			if _, said := tool(t, exitFailed, "push", other, c.version); !strings.Contains(said, "a version never changes") {
				t.Errorf("push of another: %s", said)
			}
			r, _ := tool(t, exitDone, "artifacts", c.parent)
			listed, _ := r["artifacts"].([]any)
			if len(listed) != 1 || listed[0].(map[string]any)["digest"] != digest {
				t.Fatalf("artifacts: %v", r)
			}
			uri := listed[0].(map[string]any)["uri"].(string)
			to := filepath.Join(t.TempDir(), "models", "1")
			if r, _ := tool(t, exitDone, "pull", uri, to, "--digest", digest); r["digest"] != digest || r["model"] != "mozart" || r["warnings"] != nil {
				t.Errorf("pull: %v", r)
			}
			wantSamePull(t, to, digest)
			tool(t, exitDone, "pull", uri, to)
			tool(t, exitFailed, "pull", uri, filepath.Join(t.TempDir(), "1"), "--digest", "sha256:"+strings.Repeat("0", 64))
			if r, _ := tool(t, exitDone, "verify", uri); r["digest"] != digest {
				t.Errorf("verify: %v", r)
			}
		})
	}
	t.Run("missing", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "1")
		tool(t, exitFailed, "pull", bucket+"/nothing"+parameters, to)
		if left, _ := os.ReadDir(filepath.Dir(to)); len(left) > 0 {
			t.Errorf("a pull of nothing left %v", left)
		}
	})
}

// wantSamePull checks that a pulled folder is whole and alone, and that others
// may read it.
func wantSamePull(t *testing.T, dir, digest string) {
	t.Helper()
	a, err := artifact.Verify(t.Context(), dir)
	if err != nil || a.Digest != digest {
		t.Fatalf("%+v, %v", a, err)
	}
	if beside, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(beside) != 1 {
		t.Errorf("beside the folder lie %v, %v", beside, err)
	}
	for _, name := range []string{".", artifact.ModelFile, artifact.ManifestFile + ".sig", filepath.Dir(storetest.OddName)} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm()&0o044 != 0o044 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestAWebServerIsPulledFromOnly(t *testing.T) {
	dir, digest := storetest.Artifact(t, 1)
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	to := filepath.Join(t.TempDir(), "1")
	uri := server.URL + "?signature=secret"
	if r, _ := tool(t, exitDone, "pull", uri, to); r["digest"] != digest {
		t.Errorf("pull: %v", r)
	}
	for _, args := range [][]string{{"push", dir, uri}, {"artifacts", uri}} {
		if _, said := tool(t, exitUsage, args...); strings.Contains(said, "secret") || !strings.Contains(said, "this store") {
			t.Errorf("%q: %s", args, said)
		}
	}
	server.Close()
	if _, said := tool(t, exitUnreachable, "pull", uri, filepath.Join(t.TempDir(), "1")); strings.Contains(said, "secret") || !strings.Contains(said, "goes on from there") {
		t.Errorf("a server that is away: %s", said)
	}
}

func TestArtifactsThatCannotBePushedOrPulled(t *testing.T) {
	dir, _ := storetest.Artifact(t, 1)
	taken := t.TempDir()
	if err := os.WriteFile(filepath.Join(taken, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "names no scheme", []string{"push", dir, "models/1"}},
		{exitUsage, `no store of scheme "ftp"`, []string{"push", dir, "ftp://host/x"}},
		{exitFailed, "write it with seguectl pack", []string{"push", taken, "file:" + filepath.Join(taken, "1")}},
		{exitFailed, "it has no manifest", []string{"pull", "file:" + dir, taken}},
		{exitUsage, "want sha256:", []string{"pull", "file:" + dir, taken, "--digest", "abc"}},
		{exitFailed, "no such folder", []string{"artifacts", "file:" + filepath.Join(taken, "nowhere")}},
	} {
		if _, said := tool(t, c.code, c.args...); !strings.Contains(said, c.want) {
			t.Errorf("%q: %s, want …%s…", c.args, said, c.want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, storetest.OddName), []byte("ood"), 0o644); err != nil {
		t.Fatal(err)
	}
	tool(t, exitFailed, "push", dir, "file:"+filepath.Join(taken, "1"))
	if _, err := os.Stat(filepath.Join(taken, "1")); err == nil {
		t.Error("a damaged version was pushed")
	}
}
