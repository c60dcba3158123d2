package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/segue-serving/segue/loader/store"
)

// Open finds an artifact. An alias is resolved here, once.
func (s *Server) Open(ctx context.Context, ref store.Ref) (store.Origin, error) {
	r, err := ParseReference(ref.URI)
	if err == nil && r.Model != "" && r.Version == "" && r.Alias == "" {
		err = errForm
	}
	if err != nil {
		return nil, store.Permanent(fmt.Errorf("%s: %w", ref.URI, err))
	}
	origin, err := s.open(ctx, r, ref)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref.URI, err)
	}
	return origin, nil
}

func (s *Server) open(ctx context.Context, r Reference, ref store.Ref) (store.Origin, error) {
	if r.Run != "" {
		return s.openRun(ctx, r, ref)
	}
	if r.Alias != "" {
		version, err := s.Alias(ctx, r.Model, r.Alias)
		if err != nil {
			return nil, err
		}
		r.Version = version
	}
	location, err := s.download(ctx, r.Model, r.Version)
	if err != nil {
		return nil, err
	}
	origin, err := s.at(ctx, location, ref)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("version %s is registered, and its artifact is not there: %w", r.Version, err)
	}
	return origin, err
}

// Alias returns the version that an alias of a registered model names.
func (s *Server) Alias(ctx context.Context, model, alias string) (version string, err error) {
	var answer struct {
		Version modelVersion `json:"model_version"`
	}
	err = s.ask(ctx, http.MethodGet, "mlflow/registered-models/alias", url.Values{"name": {model}, "alias": {alias}}, nil, &answer)
	if err != nil {
		return "", fmt.Errorf("alias %s: %w", alias, err)
	}
	if _, err := parseModel(model + "/" + answer.Version.Version); err != nil {
		return "", fmt.Errorf("alias %s: %w", alias, err)
	}
	return answer.Version.Version, nil
}

// download returns where the artifact of a version lies.
func (s *Server) download(ctx context.Context, model, version string) (location string, err error) {
	var answer struct {
		URI string `json:"artifact_uri"`
	}
	err = s.ask(ctx, http.MethodGet, "mlflow/model-versions/get-download-uri", url.Values{"name": {model}, "version": {version}}, nil, &answer)
	if err != nil {
		return "", fmt.Errorf("version %s: %w", version, err)
	}
	return answer.URI, nil
}

// run is what a run logged.
type run struct {
	Info struct {
		Artifacts string `json:"artifact_uri"`
	} `json:"info"`
	Outputs struct {
		Models []struct {
			ID string `json:"model_id"`
		} `json:"model_outputs"`
	} `json:"outputs"`
}

// openRun finds what a run logged under a path: a folder of its artifacts or,
// since MLflow 3, a logged model of that name.
func (s *Server) openRun(ctx context.Context, r Reference, ref store.Ref) (store.Origin, error) {
	var answer struct {
		Run run `json:"run"`
	}
	if err := s.ask(ctx, http.MethodGet, "mlflow/runs/get", url.Values{"run_id": {r.Run}}, nil, &answer); err != nil {
		return nil, err
	}
	for _, output := range slices.Backward(answer.Run.Outputs.Models) {
		name, location, err := s.logged(ctx, output.ID)
		if err != nil {
			return nil, err
		}
		if name == r.Path {
			return s.at(ctx, location, ref)
		}
	}
	return s.at(ctx, strings.TrimSuffix(answer.Run.Info.Artifacts, "/")+"/"+r.Path, ref)
}

// logged returns the name of a logged model and where it lies.
func (s *Server) logged(ctx context.Context, id string) (name, location string, err error) {
	var answer struct {
		Model struct {
			Info struct {
				Name      string `json:"name"`
				Artifacts string `json:"artifact_uri"`
			} `json:"info"`
		} `json:"model"`
	}
	if id == "" || strings.ContainsFunc(id, func(c rune) bool { return c == '/' || c == '.' || isControl(c) }) {
		return "", "", fmt.Errorf("%q is no logged model", id)
	}
	err = s.ask(ctx, http.MethodGet, "mlflow/logged-models/"+id, nil, nil, &answer)
	return answer.Model.Info.Name, answer.Model.Info.Artifacts, err
}

// at opens what lies at a place that the server named.
func (s *Server) at(ctx context.Context, location string, ref store.Ref) (store.Origin, error) {
	scheme, rest, err := store.SplitURI(location)
	if err != nil {
		return nil, errElsewhere("a folder of the server's own disk")
	}
	switch scheme {
	case "mlflow-artifacts":
		return s.openProxied(ctx, rest)
	case "models":
		id, ok := strings.CutPrefix(rest, "/m-")
		if !ok {
			return nil, errElsewhere("another model's version")
		}
		_, location, err := s.logged(ctx, "m-"+id)
		if err != nil {
			return nil, err
		}
		if next, _, err := store.SplitURI(location); err != nil || next == "models" || next == "runs" {
			return nil, errElsewhere("a logged model that lies in another")
		}
		return s.at(ctx, location, ref)
	case "runs":
		r, err := ParseReference("mlflow:runs" + path.Clean("/"+rest))
		if err != nil {
			return nil, errElsewhere("no run's folder")
		}
		return s.openRun(ctx, r, ref)
	case "s3", "gs":
		if remote := s.remote(scheme); remote != nil {
			// As a path and nothing else: parameters of a reference are an
			// operator's, and the registry's words are not.
			bucket, key, _ := strings.Cut(strings.TrimPrefix(rest, "//"), "/")
			at := url.URL{Scheme: scheme, Host: bucket, Path: "/" + key}
			return remote.Open(ctx, store.Ref{URI: at.String(), Digest: ref.Digest})
		}
	}
	return nil, errElsewhere("a place of scheme " + scheme)
}

// errElsewhere says that artifacts lie where they are not fetched from. It does
// not name the place: the registry's words are not the operator's.
func errElsewhere(what string) error {
	return store.Permanent(fmt.Errorf("the registry says that it lies in %s, from which nothing is fetched: the server may hand out artifacts (mlflow-artifacts:) or keep them in a bucket (s3:, gs:)", what))
}
