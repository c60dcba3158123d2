package dvc

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/segue-serving/segue/loader/store"
)

// Scheme is that of the references which this package reads.
const Scheme = "dvc"

// Reference is what the part of a reference after dvc: says.
type Reference struct {
	// Repository is an https: or http: address, or a path of this machine.
	Repository string
	// Revision is a tag, a branch or a commit.
	Revision string
	// Path is that of the model in the repository, clean, with slashes.
	Path string
}

// Local reports that the repository is a folder of this machine.
func (r Reference) Local() bool { return !strings.Contains(r.Repository, "://") }

var errForm = errors.New("want dvc:REPOSITORY@REVISION#PATH, with a repository like https://HOST/PATH, file:///PATH or /PATH")

// revisionForm is narrower than Git's: no ranges, no reflogs, no options.
var revisionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/+-]{0,249}$`)

// ParseReference takes a reference apart. The revision begins after the last @
// before the #.
func ParseReference(uri string) (Reference, error) {
	scheme, rest, err := store.SplitURI(uri)
	if err != nil {
		return Reference{}, err
	}
	rest, path, hash := strings.Cut(rest, "#")
	at := strings.LastIndexByte(rest, '@')
	if scheme != Scheme || !hash || at < 1 || strings.ContainsFunc(uri, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return Reference{}, errForm
	}
	r := Reference{Repository: rest[:at], Revision: rest[at+1:], Path: strings.TrimSuffix(path, "/")}
	if !revisionForm.MatchString(r.Revision) || strings.Contains(r.Revision, "..") {
		return Reference{}, fmt.Errorf("%q is no revision: a tag, a branch or a commit", r.Revision)
	}
	if !fs.ValidPath(r.Path) || r.Path == "." || strings.Contains(r.Path, `\`) {
		return Reference{}, fmt.Errorf("%q is no path in a repository", r.Path)
	}
	if !strings.Contains(r.Repository, ":") {
		return r, nil
	}
	u, err := url.Parse(r.Repository)
	switch {
	case err != nil:
		return Reference{}, errForm
	case u.User != nil:
		return Reference{}, errors.New("credentials do not stand in a reference: keep them in the netrc file")
	case u.Scheme == "file" && u.Host == "" && filepath.IsAbs(u.Path):
		r.Repository = u.Path
	case (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.RawQuery == "":
	default:
		return Reference{}, errForm
	}
	return r, nil
}
