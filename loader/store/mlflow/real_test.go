package mlflow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/bucket"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/mlflow"
	"github.com/segue-serving/segue/loader/store/mlflow/mlflowtest"
	"github.com/segue-serving/segue/loader/store/storetest"
)

// TestARealServer runs against one that keeps artifacts in a real bucket and hands
// them out; those of an experiment of its own lie in a bucket that it only names.
func TestARealServer(t *testing.T) {
	objects := storetest.StartS3(t)
	objects.Setenv(t)
	t.Setenv("AWS_ENDPOINT_URL", objects.Endpoint)
	place, _ := objects.Bucket(t)
	real := mlflowtest.Start(t, mlflowtest.Options{Artifacts: place + "/mlflow", Environment: []string{
		"MLFLOW_S3_ENDPOINT_URL=" + objects.Endpoint, "AWS_ACCESS_KEY_ID=" + objects.AccessKey, "AWS_SECRET_ACCESS_KEY=" + objects.SecretKey,
	}})
	t.Run("versions, aliases and runs", func(t *testing.T) { readsEveryReference(t, real) })
	t.Run("aliases and newest versions", func(t *testing.T) { tellsWhatIsRegistered(t, real) })
	t.Run("an artifact that is not there", func(t *testing.T) { saysThatAnArtifactIsNotThere(t, real) })
	t.Run("a bucket of a real store", func(t *testing.T) { readsBuckets(t, real, place) })
	t.Run("what of a bucket's place counts", func(t *testing.T) { leavesBucketsToTheirStore(t, real) })
	t.Run("credentials", func(t *testing.T) { sendsCredentialsThatMayChange(t, real) })
	t.Run("a server that goes away", func(t *testing.T) { saysThatTheServerIsAway(t, real) })
}

// connect opens a server with nothing but its address.
func connect(t *testing.T, address string) *mlflow.Server {
	t.Helper()
	return connectWith(t, mlflow.Options{Tracking: address})
}

func connectWith(t *testing.T, o mlflow.Options) *mlflow.Server {
	t.Helper()
	server, err := mlflow.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// contents reads all files of a reference.
func contents(t *testing.T, server *mlflow.Server, uri string) map[string]string {
	t.Helper()
	origin, err := server.Open(t.Context(), store.Ref{URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	files, err := origin.Files(t.Context(), 100)
	if err != nil {
		t.Fatalf("%s: %v", uri, err)
	}
	got := map[string]string{}
	for _, f := range files {
		got[f.Name] = read(t, origin, f.Name, 0)
		if f.Size != int64(len(got[f.Name])) {
			t.Errorf("%s: %s is said to have %d bytes, and has %d", uri, f.Name, f.Size, len(got[f.Name]))
		}
	}
	return got
}

func read(t *testing.T, origin store.Origin, name string, offset int64) string {
	t.Helper()
	body, err := origin.Read(t.Context(), name, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(strings.Repeat("·", int(body.Offset)), string(text))
}

func readsEveryReference(t *testing.T, real *mlflowtest.Server) {
	server := connect(t, real.URL)
	files := func(mark string) map[string][]byte {
		return map[string][]byte{"model.onnx": []byte("graph " + mark), "MLmodel": []byte("flavors:"), "data/weights.bin": []byte(mark)}
	}
	first, second := real.Register("mozart", files("1")), real.Register("mozart", files("2"))
	real.SetAlias("mozart", "champion", first)
	run, artifacts := real.Run()
	for name, content := range files("run") {
		real.Upload(artifacts+"/some/model/"+name, content)
	}
	logged := logModel(t, real, run, "candidate", files("logged"))
	byRun := real.RegisterAt("mozart", "runs:/"+run+"/some/model", run)
	byModel := registerLogged(t, real, "mozart", logged)

	for _, c := range []struct{ uri, mark string }{
		{"mlflow:models/mozart/" + first, "1"},
		{"mlflow:models/mozart/" + second, "2"},
		{"mlflow:models/mozart@champion", "1"},
		{"mlflow:models/mozart/" + byRun, "run"},
		{"mlflow:models/mozart/" + byModel, "logged"},
		{"mlflow:runs/" + run + "/some/model", "run"},
		{"mlflow:runs/" + run + "/candidate", "logged"},
	} {
		want := map[string]string{}
		for name, content := range files(c.mark) {
			want[name] = string(content)
		}
		if got := contents(t, server, c.uri); !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", c.uri, got, want)
		}
	}

	origin, err := server.Open(t.Context(), store.Ref{URI: "mlflow:models/mozart@champion"})
	if err != nil {
		t.Fatal(err)
	}
	real.SetAlias("mozart", "champion", second)
	if got := read(t, origin, "model.onnx", 4); got != "····h 1" {
		t.Errorf("an opened artifact from its middle, after its alias moved: %q", got)
	}
	if got := contents(t, server, "mlflow:models/mozart@champion"); got["model.onnx"] != "graph 2" {
		t.Errorf("a moved alias: %v", got)
	}
	for _, name := range []string{"manifest.json", "data", "data/none", "none/none"} {
		if _, err := origin.Read(t.Context(), name, 0); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", name, err)
		}
	}
	if _, err := origin.Files(t.Context(), 2); err == nil {
		t.Error("three files where two are the most")
	}
}

// logModel makes a logged model, as MLflow 3's clients do, and uploads it.
func logModel(t *testing.T, real *mlflowtest.Server, run, name string, files map[string][]byte) (id string) {
	t.Helper()
	var made struct {
		Model struct {
			Info struct {
				ID        string `json:"model_id"`
				Artifacts string `json:"artifact_uri"`
			}
		}
	}
	real.Must("POST", "mlflow/logged-models", map[string]any{"experiment_id": "0", "name": name, "source_run_id": run}, &made)
	real.Must("POST", "mlflow/runs/outputs", map[string]any{"run_id": run, "models": []any{map[string]any{"model_id": made.Model.Info.ID, "step": 0}}}, nil)
	for file, content := range files {
		real.Upload(made.Model.Info.Artifacts+"/"+file, content)
	}
	return made.Model.Info.ID
}

func registerLogged(t *testing.T, real *mlflowtest.Server, model, id string) string {
	t.Helper()
	var made struct {
		Version struct{ Version string } `json:"model_version"`
	}
	real.Must("POST", "mlflow/model-versions/create", map[string]any{"name": model, "source": "models:/" + id, "model_id": id}, &made)
	return made.Version.Version
}

func tellsWhatIsRegistered(t *testing.T, real *mlflowtest.Server) {
	server := connect(t, real.URL)
	for range 11 {
		real.RegisterAt("wine", "s3://models/wine", "")
	}
	real.SetAlias("wine", "champion", "10")
	real.SetAlias("wine", "challenger", "11")
	got, err := server.Registered(t.Context(), "wine", 3)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Versions, []string{"11", "10", "9"}) || !maps.Equal(got.Aliases, map[string]string{"champion": "10", "challenger": "11"}) {
		t.Errorf("got %v", got)
	}
	if got, err := server.Registered(t.Context(), "wine", 500); err != nil || len(got.Versions) != 11 {
		t.Errorf("all: %v, %v", got, err)
	}
	if _, err := server.Registered(t.Context(), "nobody", 3); !errors.Is(err, fs.ErrNotExist) || store.IsPermanent(err) {
		t.Errorf("a model that is not registered: %v", err)
	}
}

func saysThatAnArtifactIsNotThere(t *testing.T, real *mlflowtest.Server) {
	server := connect(t, real.URL)
	run, artifacts := real.Run()
	empty := real.RegisterAt("empty", artifacts+"/model", run)
	for uri, want := range map[string]string{
		"mlflow:models/empty/" + empty:  "version " + empty + " is registered, and its artifact is not there",
		"mlflow:models/empty/7":         "version 7: the store answered 404 RESOURCE_DOES_NOT_EXIST",
		"mlflow:models/empty@champion":  "alias champion: the server answered 400 INVALID_PARAMETER_VALUE: what was asked for may not be registered",
		"mlflow:models/nobody/1":        "version 1: the store answered 404 RESOURCE_DOES_NOT_EXIST",
		"mlflow:runs/" + run + "/model": "the folder is empty or missing",
	} {
		_, err := server.Open(t.Context(), store.Ref{URI: uri})
		if !errors.Is(err, fs.ErrNotExist) && !strings.Contains(fmt.Sprint(err), "alias") || store.IsPermanent(err) || !strings.HasPrefix(fmt.Sprint(err), uri+": "+want) {
			t.Errorf("%s: %v (permanent %v); want it to begin with %q", uri, err, store.IsPermanent(err), want)
		}
	}
}

// readsBuckets pushes an artifact into a bucket, registers that as a version and
// reads it by way of the registry.
func readsBuckets(t *testing.T, real *mlflowtest.Server, place string) {
	s3 := bucket.S3(egress.Hosts{})
	dir, digest := storetest.Artifact(t, 1)
	direct := place + "/direct/1"
	if err := s3.Push(t.Context(), store.Ref{URI: direct}, dir, digest, nil); err != nil {
		t.Fatal(err)
	}
	version := real.RegisterAt("direct", direct, "")
	server := connectWith(t, mlflow.Options{Tracking: real.URL, Remote: func(string) store.Remote { return s3 }})
	origin, err := server.Open(t.Context(), store.Ref{URI: "mlflow:models/direct/" + version})
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	pulled := t.TempDir()
	storetest.Pull(t, origin, pulled)
	if got, err := artifact.Verify(t.Context(), pulled); err != nil || got.Digest != digest {
		t.Errorf("pulled %+v, %v; want %s", got, err, digest)
	}
}

// recorded is a store that records what it is asked to open.
type recorded struct{ asked []string }

func (b *recorded) Open(_ context.Context, ref store.Ref) (store.Origin, error) {
	b.asked = append(b.asked, ref.URI+" "+ref.Digest)
	return nil, fs.ErrNotExist
}

func leavesBucketsToTheirStore(t *testing.T, real *mlflowtest.Server) {
	version := real.RegisterAt("bucketed", "s3://models/bucketed/a b/1", "")
	evil := real.RegisterAt("bucketed", "s3://models/1?endpoint=http://elsewhere.test", "")
	s3 := &recorded{}
	server := connectWith(t, mlflow.Options{Tracking: real.URL, Remote: func(scheme string) store.Remote {
		if scheme == "s3" {
			return s3
		}
		return nil
	}})
	uri := "mlflow:models/bucketed/" + version
	if _, err := server.Open(t.Context(), store.Ref{URI: "mlflow:models/bucketed/" + evil}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	_, err := server.Open(t.Context(), store.Ref{URI: uri, Digest: "sha256:1"})
	if !errors.Is(err, fs.ErrNotExist) || !slices.Equal(s3.asked, []string{"s3://models/1%3Fendpoint=http://elsewhere.test ", "s3://models/bucketed/a%20b/1 sha256:1"}) {
		t.Errorf("%v, asked %v", err, s3.asked)
	}
	if _, err := connect(t, real.URL).Open(t.Context(), store.Ref{URI: uri}); !store.IsPermanent(err) {
		t.Errorf("without a store of s3: %v", err)
	}
}

func sendsCredentialsThatMayChange(t *testing.T, real *mlflowtest.Server) {
	version := real.Register("guarded", map[string][]byte{"model.onnx": []byte("graph")})
	target, err := url.Parse(real.URL)
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	proxy := httputil.NewSingleHostReverseProxy(target)
	guard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != want {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer guard.Close()
	file := filepath.Join(t.TempDir(), "token")
	environment := map[string]string{"MLFLOW_TRACKING_URI": guard.URL + "/", "MLFLOW_TRACKING_TOKEN_FILE": file}
	server := connectWith(t, mlflow.FromEnvironment(func(name string) string { return environment[name] }))
	open := func() error {
		_, err := server.Open(t.Context(), store.Ref{URI: "mlflow:models/guarded/" + version})
		return err
	}
	if err := open(); err == nil || strings.Contains(err.Error(), file) {
		t.Errorf("without the file: %v", err)
	}
	for _, token := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(); err == nil || store.IsPermanent(err) || !strings.Contains(err.Error(), "401") {
			t.Errorf("another token: %v", err)
		}
		want = "Bearer " + token
		if err := open(); err != nil {
			t.Errorf("token %s: %v", token, err)
		}
	}
	environment = map[string]string{"MLFLOW_TRACKING_USERNAME": "segue", "MLFLOW_TRACKING_PASSWORD": "secret"}
	want = "Basic c2VndWU6c2VjcmV0"
	if err := open(); err != nil {
		t.Errorf("name and password: %v", err)
	}
}

func saysThatTheServerIsAway(t *testing.T, real *mlflowtest.Server) {
	version := real.Register("lasting", map[string][]byte{"model.onnx": []byte("graph")})
	server := connect(t, real.URL)
	uri := "mlflow:models/lasting/" + version
	contents(t, server, uri)
	real.Kill()
	if _, err := server.Open(t.Context(), store.Ref{URI: uri}); !errors.Is(err, store.ErrUnreachable) || store.IsPermanent(err) {
		t.Errorf("a dead server: %v", err)
	}
	real.Restart()
	contents(t, server, uri)
}
