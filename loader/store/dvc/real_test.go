package dvc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/deploy/parts"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/bucket"
	"github.com/segue-serving/segue/loader/store/dvc"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/storetest"
)

func TestRepositoriesOfRealGitAndDVC(t *testing.T) {
	team := newTeam(t)
	first := team.commit(map[string]string{"models/mozart.onnx": "graph 1", "models/mozart/model.onnx": "folder 1", "models/mozart/data/weights.bin": "weights", "params.yaml": "rate: 1"})
	team.git("tag", "-a", "v1", "-m", "the first")
	second := team.commit(map[string]string{"models/mozart.onnx": "graph 2", "params.yaml": "rate: 2"})
	team.git("branch", "release/2")
	third := team.commit(map[string]string{"models/mozart.onnx": "graph 3"})

	local := func(revision, path string) string { return "dvc:" + team.repository + "@" + revision + "#" + path }
	t.Run("each revision names its model", func(t *testing.T) {
		for revision, want := range map[string]string{
			"v1": "graph 1", first: "graph 1", first[:10]: "graph 1", "release/2": "graph 2", second: "graph 2", "HEAD": "graph 3", third: "graph 3",
		} {
			team.holds(t, team.open(t, local(revision, "models/mozart.onnx")), map[string]string{"model.onnx": want})
		}
	})
	t.Run("folders, what lies in them, and what a pipeline made", func(t *testing.T) {
		whole := map[string]string{"model.onnx": "folder 1", "data/weights.bin": "weights"}
		for path, want := range map[string]map[string]string{
			"models/mozart":            whole,
			"models/mozart/":           whole,
			"models/mozart/data":       {"weights.bin": "weights"},
			"models/mozart/model.onnx": {"model.onnx": "folder 1"},
			"trained/out/made.onnx":    {"model.onnx": "made with rate: 1\n"},
		} {
			team.holds(t, team.open(t, local("v1", path)), want)
		}
		team.holds(t, team.open(t, local("HEAD", "trained/out/made.onnx")), map[string]string{"model.onnx": "made with rate: 2\n"})
	})
	t.Run("a path from the folder of the document", func(t *testing.T) {
		origin, err := team.repositories.Open(t.Context(), store.Ref{URI: "dvc:composers@v1#models/mozart.onnx", Base: filepath.Dir(team.repository)})
		if err != nil {
			t.Fatal(err)
		}
		team.holds(t, origin, map[string]string{"model.onnx": "graph 1"})
	})
	t.Run("a repository on a Git server", func(t *testing.T) { readsFromAServer(t, team) })
	t.Run("what is not there", func(t *testing.T) { saysWhatIsMissing(t, team, local) })
	t.Run("what lies in the remote is held against its hash", func(t *testing.T) { holdsAgainstTheHash(t, team, local) })
}

// team is a repository whose models DVC tracks.
type team struct {
	t                       *testing.T
	repository, storage     string
	program, home, programs string
	repositories            *dvc.Repositories
}

func newTeam(t *testing.T) *team {
	t.Helper()
	home := t.TempDir()
	python := parts.Python(t, "dvc")
	m := &team{
		t: t, home: home, repository: filepath.Join(home, "composers"), storage: filepath.Join(home, "storage"),
		program: filepath.Join(filepath.Dir(python), "dvc"), programs: filepath.Dir(python), repositories: dvc.New(dvc.Options{}),
	}
	if err := os.Mkdir(m.repository, 0o755); err != nil {
		t.Fatal(err)
	}
	m.git("init", "--quiet", "--initial-branch=main")
	m.dvc("init", "--quiet")
	m.dvc("remote", "add", "--default", "--quiet", "storage", "../storage")
	m.write("trained/dvc.yaml", "stages:\n  train:\n    wdir: out\n    cmd: echo made with $(cat ../../params.yaml) > made.onnx\n    deps: [../../params.yaml]\n    outs: [made.onnx]\n")
	m.write("trained/out/.keep", "")
	return m
}

// run runs a program in the repository and returns what it printed.
func (m *team) run(program string, arguments ...string) string {
	m.t.Helper()
	cmd := exec.Command(program, arguments...)
	cmd.Dir = m.repository
	cmd.Env = []string{
		"HOME=" + m.home, "PATH=" + m.programs + string(os.PathListSeparator) + os.Getenv("PATH"), "DVC_NO_ANALYTICS=1", "DVC_GLOBAL_CONFIG_DIR=" + m.home,
		"DVC_SYSTEM_CONFIG_DIR=" + m.home, "DVC_SITE_CACHE_DIR=" + filepath.Join(m.home, "site"), "PYTHONDONTWRITEBYTECODE=1",
		"AWS_ACCESS_KEY_ID=" + os.Getenv("AWS_ACCESS_KEY_ID"), "AWS_SECRET_ACCESS_KEY=" + os.Getenv("AWS_SECRET_ACCESS_KEY"),
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.test", "GIT_CONFIG_NOSYSTEM=1",
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		m.t.Fatalf("%s %v: %v\n%s%s", filepath.Base(program), arguments, err, &stdout, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

func (m *team) git(arguments ...string) string { m.t.Helper(); return m.run("git", arguments...) }
func (m *team) dvc(arguments ...string) string { m.t.Helper(); return m.run(m.program, arguments...) }

func (m *team) write(name, content string) {
	m.t.Helper()
	path := filepath.Join(m.repository, filepath.FromSlash(name))
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		m.t.Fatal(err)
	}
}

// commit writes files, lets DVC track the models, make what the pipeline makes
// and push, and returns the commit.
func (m *team) commit(files map[string]string) (hash string) {
	m.t.Helper()
	for name, content := range files {
		m.write(name, content)
	}
	m.dvc("add", "--quiet", "models/mozart.onnx", "models/mozart")
	m.dvc("repro", "--quiet", "trained/dvc.yaml")
	m.dvc("push", "--quiet")
	m.git("add", "--all")
	m.git("commit", "--quiet", "--message", "models")
	return m.git("rev-parse", "HEAD")
}

func (m *team) open(t *testing.T, uri string) store.Origin {
	t.Helper()
	origin, err := m.repositories.Open(t.Context(), store.Ref{URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	return origin
}

// holds compares all files of an origin, and closes it.
func (m *team) holds(t *testing.T, origin store.Origin, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	files, err := origin.Files(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got[f.Name], err = readAll(t.Context(), origin, f.Name)
		if err != nil {
			t.Error(err)
		}
		if f.Size >= 0 && f.Size != int64(len(got[f.Name])) {
			t.Errorf("%s is said to have %d bytes, and has %d", f.Name, f.Size, len(got[f.Name]))
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := origin.Close(); err != nil {
		t.Error(err)
	}
}

func readAll(ctx context.Context, origin store.Origin, name string) (string, error) {
	body, err := origin.Read(ctx, name, 0)
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), err
}

// readsFromAServer fetches from Git's own server what DVC pushed into a bucket of
// a real store.
func readsFromAServer(t *testing.T, m *team) {
	backend := filepath.Join(m.git("--exec-path"), "git-http-backend")
	served := httptest.NewServer(&cgi.Handler{
		Path: backend, Dir: m.home,
		Env:    []string{"GIT_PROJECT_ROOT=" + m.home, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + m.home},
		Stderr: io.Discard,
	})
	defer served.Close()
	uri := func(revision string) string {
		return "dvc:" + served.URL + "/composers/.git@" + revision + "#models/mozart.onnx"
	}
	objects := storetest.StartS3(t)
	objects.Setenv(t)
	t.Setenv("AWS_ENDPOINT_URL", objects.Endpoint)
	place, _ := objects.Bucket(t)
	s3 := bucket.S3(egress.Hosts{})
	m.git("config", "uploadpack.allowReachableSHA1InWant", "true")
	temporary := t.TempDir()
	repositories := dvc.New(dvc.Options{Transport: http.DefaultTransport, TempDir: temporary, Remote: func(string) store.Remote { return s3 }})
	_, err := repositories.Open(t.Context(), store.Ref{URI: uri("main")})
	if err == nil || !store.IsPermanent(err) || !strings.Contains(err.Error(), "a folder of this machine") {
		t.Errorf("a local remote of a repository elsewhere: %v", err)
	}
	m.dvc("remote", "add", "--quiet", "--default", "bucket", place+"/some where")
	m.dvc("remote", "modify", "--quiet", "--local", "bucket", "endpointurl", objects.Endpoint)
	m.dvc("push", "--quiet")
	m.git("commit", "--quiet", "--all", "--message", "in a bucket")
	m.git("checkout", "--quiet", "-b", "bucket/1")
	m.git("tag", "-a", "bucketed", "-m", "a tag")
	head := m.git("rev-parse", "HEAD")
	for _, revision := range []string{"main", "bucket/1", "bucketed", "HEAD", head} {
		origin, err := repositories.Open(t.Context(), store.Ref{URI: uri(revision)})
		if err != nil {
			t.Error(err)
			continue
		}
		m.holds(t, origin, map[string]string{"model.onnx": "graph 3"})
	}
	for _, revision := range []string{"none", head[:10], strings.Repeat("0", 40)} {
		if _, err := repositories.Open(t.Context(), store.Ref{URI: uri(revision)}); !errors.Is(err, fs.ErrNotExist) || store.IsPermanent(err) {
			t.Errorf("revision %s: %v", revision, err)
		}
	}
	if _, err := repositories.Open(t.Context(), store.Ref{URI: "dvc:" + served.URL + "/nobody@main#m.onnx"}); !errors.Is(err, fs.ErrNotExist) || store.IsPermanent(err) {
		t.Errorf("no such repository: %v", err)
	}
	if _, err := m.repositories.Open(t.Context(), store.Ref{URI: uri("main")}); err == nil || !store.IsPermanent(err) {
		t.Errorf("without leave for other machines: %v", err)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// middle is a store that reads from the middle of what lies in a folder.
type middle struct{ dir string }

func (b middle) Open(_ context.Context, ref store.Ref) (store.Origin, error) {
	if ref.URI != "s3://models/some%20where/files/md5" {
		return nil, fmt.Errorf("%s is not the bucket", ref.URI)
	}
	return b, nil
}

func (b middle) Files(context.Context, int) ([]store.RemoteFile, error) {
	return nil, errors.ErrUnsupported
}

func (b middle) Read(_ context.Context, name string, offset int64) (store.Body, error) {
	file, err := os.Open(filepath.Join(b.dir, "files", "md5", filepath.FromSlash(name)))
	if err != nil {
		return store.Body{}, err
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return store.Body{}, err
	}
	return store.Body{ReadCloser: file, Offset: offset, Size: -1}, nil
}

func (b middle) Close() error { return nil }

func saysWhatIsMissing(t *testing.T, m *team, local func(revision, path string) string) {
	for uri, want := range map[string]string{
		local("none", "models/mozart.onnx"):           "no such revision",
		local("v1", "models/haydn.onnx"):              "DVC tracks no such path",
		local("v1", "models"):                         "DVC tracks no such path",
		local("v1", "models/mozart.onnx/inner"):       "DVC tracks no such path",
		local("v1", "models/mozart/none"):             "DVC tracks no such path",
		"dvc:" + m.home + "@v1#models/mozart.onnx":    "there is no Git repository",
		"dvc:/nowhere/at/all@v1#models/mozart.onnx":   "there is no Git repository",
		"dvc:file:///nowhere/all@v1#models/mozart.on": "there is no Git repository",
	} {
		_, err := m.repositories.Open(t.Context(), store.Ref{URI: uri})
		if !errors.Is(err, fs.ErrNotExist) || store.IsPermanent(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v (permanent %v), want %q", uri, err, store.IsPermanent(err), want)
		}
	}
}

func holdsAgainstTheHash(t *testing.T, m *team, local func(revision, path string) string) {
	whole := m.open(t, local("v1", "models/mozart.onnx"))
	defer whole.Close()
	body, err := whole.Read(t.Context(), "model.onnx", 3)
	if err != nil || body.Offset != 0 {
		t.Fatalf("from the middle of a file that was never read: offset %d, %v", body.Offset, err)
	}
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}

	objects, err := filepath.Glob(filepath.Join(m.storage, "files", "md5", "*", "*"))
	if err != nil || len(objects) < 6 {
		t.Fatal(objects, err)
	}
	for _, path := range objects {
		if err := errors.Join(os.Chmod(path, 0o644), os.WriteFile(path, []byte("graph X"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	origin := m.open(t, local("v1", "models/mozart.onnx"))
	defer origin.Close()
	if text, err := readAll(t.Context(), origin, "model.onnx"); err == nil || store.IsPermanent(err) || !strings.Contains(err.Error(), "another hash than the commit names") {
		t.Errorf("other bytes: %q, %v", text, err)
	}
	if _, err := m.repositories.Open(t.Context(), store.Ref{URI: local("v1", "models/mozart")}); err == nil || !strings.Contains(err.Error(), "another hash than the commit names") {
		t.Errorf("another list of files: %v", err)
	}
	if err := os.RemoveAll(m.storage); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(t.Context(), origin, "model.onnx"); !errors.Is(err, fs.ErrNotExist) || store.IsPermanent(err) || strings.Contains(err.Error(), m.home) {
		t.Errorf("not pushed: %v", err)
	}
}
