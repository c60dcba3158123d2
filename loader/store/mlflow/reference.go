package mlflow

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/segue-serving/segue/loader/store"
)

// Scheme is that of the references which this package reads.
const Scheme = "mlflow"

// Reference is what the part of a reference after mlflow: says. Exactly one of
// Run, Version and Alias is set, or none where a model as a whole is named.
type Reference struct {
	// Model is the registered model's name, empty for a run.
	Model   string
	Version string
	Alias   string
	// Run is the run's id, and Path where it logged the model.
	Run, Path string
}

// errForm says what references look like.
var errForm = errors.New("want mlflow:models/NAME/VERSION, mlflow:models/NAME@ALIAS or mlflow:runs/ID/PATH")

// ParseReference takes a reference apart. Names are taken as written, without
// percent-decoding; that of a model has neither slash nor colon.
func ParseReference(uri string) (Reference, error) {
	scheme, rest, err := store.SplitURI(uri)
	if err != nil {
		return Reference{}, err
	}
	if scheme != Scheme || strings.ContainsFunc(rest, isControl) {
		return Reference{}, errForm
	}
	kind, rest, _ := strings.Cut(rest, "/")
	switch kind {
	case "models":
		return parseModel(rest)
	case "runs":
		id, at, _ := strings.Cut(rest, "/")
		if id == "" || strings.ContainsAny(id, "?#:") || at == "" || path.Clean("/" + at)[1:] != strings.TrimSuffix(at, "/") {
			return Reference{}, errForm
		}
		return Reference{Run: id, Path: strings.TrimSuffix(at, "/")}, nil
	}
	return Reference{}, errForm
}

func parseModel(rest string) (Reference, error) {
	var r Reference
	name, version, slash := strings.Cut(rest, "/")
	r.Model = name
	if slash {
		r.Version = version
		if version == "" || strings.Trim(version, "0123456789") != "" || strings.HasPrefix(version, "0") {
			return Reference{}, fmt.Errorf("version %q is not a number; an alias is written mlflow:models/NAME@ALIAS", version)
		}
	} else if at := strings.LastIndexByte(name, '@'); at >= 0 {
		r.Model, r.Alias = name[:at], name[at+1:]
		if r.Alias == "" {
			return Reference{}, errForm
		}
	}
	if r.Model == "" || strings.Contains(r.Model, ":") {
		return Reference{}, errForm
	}
	return r, nil
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }
