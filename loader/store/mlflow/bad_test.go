package mlflow_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/mlflow"
)

func TestReferences(t *testing.T) {
	for uri, want := range map[string]mlflow.Reference{
		"mlflow:models/mozart/3":             {Model: "mozart", Version: "3"},
		"MLFLOW:models/mozart@champion":      {Model: "mozart", Alias: "champion"},
		"mlflow:models/mozart":               {Model: "mozart"},
		"mlflow:models/Mozart's keys@a@best": {Model: "Mozart's keys@a", Alias: "best"},
		"mlflow:runs/0a1b/model":             {Run: "0a1b", Path: "model"},
		"mlflow:runs/0a1b/some/model/":       {Run: "0a1b", Path: "some/model"},
	} {
		if got, err := mlflow.ParseReference(uri); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", uri, got, err, want)
		}
	}
	for _, uri := range []string{
		"", "mozart", "mlflow:", "mlflow:models", "mlflow:models/", "mlflow:models/mozart/", "mlflow:models/mozart/champion", "mlflow:models/mozart/03",
		"mlflow:models/mozart/-1", "mlflow:models/mozart/3/model", "mlflow:models/mozart@", "mlflow:models/@champion", "mlflow:models/a:b/1",
		"mlflow:models/mo\nzart/1", "mlflow:runs/", "mlflow:runs/0a1b", "mlflow:runs/0a1b/", "mlflow:runs/0a1b/../model", "mlflow:runs/0a1b//model",
		"mlflow:runs/0a?b/model", "mlflow:/models/mozart/3", "mlflow://models/mozart/3", "s3:models/mozart/3", "mlflow:experiments/1/model",
	} {
		if got, err := mlflow.ParseReference(uri); err == nil {
			t.Errorf("%q: %+v, want an error", uri, got)
		}
	}
}

func FuzzParseReferenceNamesOneThing(f *testing.F) {
	for _, uri := range []string{"mlflow:models/mozart/3", "mlflow:models/mozart@champion", "mlflow:runs/0a1b/model", "mlflow:models/a@b/1", "mlflow:runs/a/../b"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		r, err := mlflow.ParseReference(uri)
		if err != nil {
			return
		}
		if (r.Model == "") == (r.Run == "") || (r.Run == "") != (r.Path == "") || r.Version != "" && r.Alias != "" {
			t.Errorf("%q: %+v", uri, r)
		}
		if strings.Contains(r.Model+r.Run, "/") || strings.Contains("/"+r.Path+"/", "/../") || strings.ContainsAny(r.Model+r.Path, "\x00\n") {
			t.Errorf("%q: %+v leads elsewhere", uri, r)
		}
	})
}

// answering is a server that answers each path of the API with a text.
func answering(t *testing.T, answers map[string]string) *mlflow.Server {
	t.Helper()
	return connect(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		text, there := answers[strings.TrimPrefix(r.URL.Path, "/api/2.0/")]
		if !there {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, text)
	}))
}

func serve(t *testing.T, answer http.HandlerFunc) (address string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

const downloadAPI = "mlflow/model-versions/get-download-uri"

func TestWhatARegistryMayNotSay(t *testing.T) {
	at := func(location string) map[string]string {
		return map[string]string{downloadAPI: fmt.Sprintf(`{"artifact_uri": %q}`, location)}
	}
	with := func(answers map[string]string, api, text string) map[string]string {
		answers[api] = text
		return answers
	}
	proxied := at("mlflow-artifacts:/0/run/artifacts/model")
	for what, c := range map[string]struct {
		answers   map[string]string
		want      string
		permanent bool
	}{
		"a file of this machine":  {at("file:///etc"), "a place of scheme file", true},
		"a bare path":             {at("/etc/passwd"), "the server's own disk", true},
		"another scheme":          {at("http://169.254.169.254/latest"), "a place of scheme http", true},
		"another server":          {at("mlflow-artifacts://elsewhere.test/0/run"), "another MLflow server", true},
		"everything it has":       {at("mlflow-artifacts:/"), "the root of all artifacts", true},
		"itself":                  {with(at("models:/m-1"), "mlflow/logged-models/m-1", `{"model": {"info": {"artifact_uri": "models:/m-1"}}}`), "lies in another", true},
		"another path of the API": {at("models:/m-../../experiments/get"), "no logged model", false},
		"no place":                {at(""), "the server's own disk", true},
		"a name with dots":        {with(at("mlflow-artifacts:/0/r"), "mlflow-artifacts/artifacts", `{"files": [{"path": "..", "is_dir": true}]}`), `a file of the name ".."`, true},
		"a name with a slash":     {with(at("mlflow-artifacts:/0/r"), "mlflow-artifacts/artifacts", `{"files": [{"path": "a/b"}]}`), `a file of the name "a/b"`, true},
		"a page of HTML":          {map[string]string{downloadAPI: "<html>login</html>"}, "no MLflow server", false},
		"more than a mouthful":    {map[string]string{downloadAPI: strings.Repeat(" ", 9<<20)}, "more than 8 MiB", false},
		"folders without end":     {with(proxied, "mlflow-artifacts/artifacts", `{"files": [{"path": "a", "is_dir": true}]}`), "more than", true},
	} {
		t.Run(what, func(t *testing.T) {
			origin, err := answering(t, c.answers).Open(t.Context(), store.Ref{URI: "mlflow:models/mozart/1"})
			if err == nil {
				_, err = origin.Files(t.Context(), 1000)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || store.IsPermanent(err) != c.permanent {
				t.Errorf("%v (permanent %v); want %q, permanent %v", err, store.IsPermanent(err), c.want, c.permanent)
			}
		})
	}
}

func TestCredentialsGoToNoOtherServer(t *testing.T) {
	asked := make(chan string, 10)
	elsewhere := serve(t, func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path })
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
	})
	server := connectWith(t, mlflow.Options{Tracking: address, Credentials: func() (mlflow.Credentials, error) { return mlflow.Credentials{Token: "secret"}, nil }})
	_, err := server.Open(t.Context(), store.Ref{URI: "mlflow:models/mozart/1"})
	if err == nil || !strings.Contains(err.Error(), "sends on to another place") || !store.IsPermanent(err) {
		t.Errorf("a redirect: %v", err)
	}
	select {
	case path := <-asked:
		t.Errorf("the other server was asked for %s", path)
	default:
	}
}

func TestAServerThatAsksForTimeOrFails(t *testing.T) {
	status, header := http.StatusTooManyRequests, "7"
	server := connect(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", header)
		w.WriteHeader(status)
	}))
	open := func() error {
		_, err := server.Open(t.Context(), store.Ref{URI: "mlflow:models/mozart@champion"})
		return err
	}
	if err := open(); store.WaitOf(err) != 7*time.Second || store.IsPermanent(err) {
		t.Errorf("429: %v, wait %v", err, store.WaitOf(err))
	}
	status = http.StatusBadGateway
	if err := open(); !errors.Is(err, store.ErrUnreachable) || store.IsPermanent(err) {
		t.Errorf("502: %v", err)
	}
}

func TestWithoutAServerEveryReferenceIsRefused(t *testing.T) {
	_, err := connect(t, "").Open(t.Context(), store.Ref{URI: "mlflow:models/mozart/1"})
	if err == nil || !store.IsPermanent(err) || !strings.Contains(err.Error(), "MLFLOW_TRACKING_URI") {
		t.Errorf("%v", err)
	}
	for _, address := range []string{"mlflow.example", "ftp://mlflow.example", "http://", "http://user:secret@mlflow.example", "http://mlflow.example?x", "databricks"} {
		if _, err := mlflow.New(mlflow.Options{Tracking: address}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
