package mlflow

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// modelVersion is a version as the API writes it.
type modelVersion struct {
	Version string `json:"version"`
	Status  string `json:"status"`
}

// Registered is a model of the registry.
type Registered struct {
	// Aliases name versions.
	Aliases map[string]string
	// Versions are the newest that are ready, newest first.
	Versions []string
}

// Registered returns the aliases of a model and its newest versions, at most
// as many as asked for. One that is still being registered is left out.
func (s *Server) Registered(ctx context.Context, model string, newest int) (Registered, error) {
	if _, err := parseModel(model); err != nil || strings.Contains(model, "/") {
		return Registered{}, errForm
	}
	var answer struct {
		Model struct {
			Aliases []struct {
				Alias   string `json:"alias"`
				Version string `json:"version"`
			} `json:"aliases"`
		} `json:"registered_model"`
	}
	err := s.ask(ctx, http.MethodGet, "mlflow/registered-models/get", url.Values{"name": {model}}, nil, &answer)
	if err != nil {
		return Registered{}, err
	}
	r := Registered{Aliases: map[string]string{}}
	for _, a := range answer.Model.Aliases {
		r.Aliases[a.Alias] = a.Version
	}
	if newest > 0 {
		r.Versions, err = s.newest(ctx, model, newest)
	}
	return r, err
}

// newest asks for versions, newest first, until there are enough.
func (s *Server) newest(ctx context.Context, model string, most int) (versions []string, err error) {
	query := url.Values{
		// A quote in a name is doubled, as in SQL.
		"filter":      {fmt.Sprintf("name = '%s'", strings.ReplaceAll(model, "'", "''"))},
		"order_by":    {"version_number DESC"},
		"max_results": {"100"},
	}
	for len(versions) < most {
		var answer struct {
			Versions []modelVersion `json:"model_versions"`
			Next     string         `json:"next_page_token"`
		}
		if err := s.ask(ctx, http.MethodGet, "mlflow/model-versions/search", query, nil, &answer); err != nil {
			return nil, err
		}
		for _, v := range answer.Versions {
			if len(versions) < most && (v.Status == "READY" || v.Status == "") {
				versions = append(versions, v.Version)
			}
		}
		if answer.Next == "" || len(answer.Versions) == 0 {
			break
		}
		query.Set("page_token", answer.Next)
	}
	return versions, nil
}
