package mlflowtest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// Register makes a new version of a registered model, and the model if it is
// not there, with files by their names as its artifact. It returns the version's
// number.
func (s *Server) Register(model string, files map[string][]byte) string {
	s.t.Helper()
	run, artifacts := s.Run()
	for name, content := range files {
		s.Upload(artifacts+"/model/"+name, content)
	}
	return s.RegisterAt(model, artifacts+"/model", run)
}

// RegisterAt makes a version whose artifact is said to lie at a place.
func (s *Server) RegisterAt(model, source, run string) string {
	s.t.Helper()
	if status, text := s.Call("POST", "mlflow/registered-models/create", map[string]any{"name": model}); status != http.StatusOK && !strings.Contains(text, "RESOURCE_ALREADY_EXISTS") {
		s.t.Fatalf("MLflow does not make the model %s: %d %s", model, status, text)
	}
	var made struct {
		Version struct{ Version string } `json:"model_version"`
	}
	s.Must("POST", "mlflow/model-versions/create", map[string]any{"name": model, "source": source, "run_id": run}, &made)
	return made.Version.Version
}

// Run begins a run and returns its id and where its artifacts lie.
func (s *Server) Run() (id, artifacts string) {
	s.t.Helper()
	var made struct {
		Run struct {
			Info struct {
				ID        string `json:"run_id"`
				Artifacts string `json:"artifact_uri"`
			}
		}
	}
	s.Must("POST", "mlflow/runs/create", map[string]any{"experiment_id": "0"}, &made)
	return made.Run.Info.ID, made.Run.Info.Artifacts
}

// Upload puts a file where the server hands artifacts out: mlflow-artifacts:/….
func (s *Server) Upload(at string, content []byte) {
	s.t.Helper()
	path, ok := strings.CutPrefix(at, "mlflow-artifacts:/")
	if !ok {
		s.t.Fatalf("%s is no place that the server hands out", at)
	}
	if status, text := s.send("PUT", "mlflow-artifacts/artifacts/"+path, "application/octet-stream", content); status != http.StatusOK {
		s.t.Fatalf("MLflow does not take %s: %d %s", at, status, text)
	}
}

// SetAlias lets an alias name a version.
func (s *Server) SetAlias(model, alias, version string) {
	s.t.Helper()
	s.Must("POST", "mlflow/registered-models/alias", map[string]any{"name": model, "alias": alias, "version": version}, nil)
}

// Call calls the server's API with a JSON body and returns its answer.
func (s *Server) Call(method, api string, body any) (status int, text string) {
	s.t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.send(method, api, "application/json", encoded)
}

// Must is Call that fails the test on a refusal, and decodes the answer into out
// unless that is nil.
func (s *Server) Must(method, api string, body, out any) {
	s.t.Helper()
	status, text := s.Call(method, api, body)
	if status != http.StatusOK {
		s.t.Fatalf("MLflow answers %s with %d %s", api, status, text)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		s.t.Fatalf("MLflow answers %s with %s: %v", api, text, err)
	}
}

func (s *Server) send(method, api, kind string, body []byte) (status int, text string) {
	s.t.Helper()
	request, err := http.NewRequest(method, s.URL+"/api/2.0/"+api, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}
