package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-serving/segue/loader/store"
)

// artifactsAPI lists and hands out artifacts.
const artifactsAPI = "mlflow-artifacts/artifacts"

// entry is one file or folder of a listing.
type entry struct {
	// Path is the name within the folder.
	Path  string `json:"path"`
	IsDir bool   `json:"is_dir"`
	Size  size   `json:"file_size"`
}

// size is a number that MLflow's servers write as a number or as text.
type size int64

func (s *size) UnmarshalJSON(text []byte) error {
	n, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
	*s = size(n)
	return err
}

// proxied is a folder of artifacts that the server hands out.
type proxied struct {
	server *Server
	root   string
	// listings are those of the folders that were looked at. A server that fetches
	// from a bucket answers 500 for a file that is not there, so it is asked for
	// none.
	listings map[string][]entry
}

// openProxied opens [//HOST]/PATH. A host must be the server's own: credentials
// go to no other.
func (s *Server) openProxied(ctx context.Context, rest string) (store.Origin, error) {
	if s.base == nil {
		return nil, errNoServer
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		host, below, _ := strings.Cut(after, "/")
		if host != s.base.Host {
			return nil, errElsewhere("another MLflow server")
		}
		rest = below
		// The address may have the API's own path in it.
		if _, below, found := strings.Cut(rest, artifactsAPI+"/"); found {
			rest = below
		}
	}
	root := path.Clean("/" + rest)[1:]
	if root == "" || strings.ContainsFunc(root, isControl) {
		return nil, errElsewhere("the root of all artifacts")
	}
	p := &proxied{server: s, root: root, listings: map[string][]entry{}}
	top, err := p.list(ctx, ".")
	if err != nil {
		return nil, err
	}
	if len(top) == 0 {
		return nil, fmt.Errorf("the folder is empty or missing (%w)", fs.ErrNotExist)
	}
	return p, nil
}

// list returns what lies in a folder, "." for the root. It asks once.
func (p *proxied) list(ctx context.Context, folder string) ([]entry, error) {
	if known, ok := p.listings[folder]; ok {
		return known, nil
	}
	var answer struct {
		Files []entry `json:"files"`
	}
	err := p.server.ask(ctx, http.MethodGet, artifactsAPI, url.Values{"path": {path.Join(p.root, folder)}}, nil, &answer)
	if err != nil {
		return nil, err
	}
	for _, e := range answer.Files {
		if e.Path == "" || e.Path == "." || e.Path == ".." || strings.ContainsFunc(e.Path, func(c rune) bool { return c == '/' || c == '\\' || isControl(c) }) {
			return nil, store.Permanent(fmt.Errorf("the server lists a file of the name %.80q", e.Path))
		}
	}
	p.listings[folder] = answer.Files
	return answer.Files, nil
}

// has reports whether there is a file of a name.
func (p *proxied) has(ctx context.Context, name string) (bool, error) {
	folder := "."
	for {
		listing, err := p.list(ctx, folder)
		if err != nil {
			return false, err
		}
		rest := name
		if folder != "." {
			rest = name[len(folder)+1:]
		}
		first, _, nested := strings.Cut(rest, "/")
		if !slices.ContainsFunc(listing, func(e entry) bool { return e.Path == first && e.IsDir == nested }) {
			return false, nil
		}
		if !nested {
			return true, nil
		}
		folder = path.Join(folder, first)
	}
}

// maxDepth bounds the folders in an artifact.
const maxDepth = 16

// Files lists the folder and all below it.
func (p *proxied) Files(ctx context.Context, most int) ([]store.RemoteFile, error) {
	var files []store.RemoteFile
	err := p.walk(ctx, ".", &files, most)
	return files, err
}

// walk adds what lies in a folder to files. Folders count as files do, so that
// empty ones cannot keep it busy for ever.
func (p *proxied) walk(ctx context.Context, folder string, files *[]store.RemoteFile, most int) error {
	if strings.Count(folder, "/") >= maxDepth {
		return store.Permanent(fmt.Errorf("folders lie in each other more than %d deep", maxDepth))
	}
	listing, err := p.list(ctx, folder)
	if err != nil {
		return err
	}
	for _, e := range listing {
		name := path.Join(folder, e.Path)
		if len(*files) >= most {
			return store.Permanent(fmt.Errorf("more than %d files", most))
		}
		if !e.IsDir {
			*files = append(*files, store.RemoteFile{Name: name, Size: int64(e.Size)})
			continue
		}
		most--
		if err := p.walk(ctx, name, files, most); err != nil {
			return err
		}
	}
	return nil
}

// Read asks for the rest of a file. Servers that do not know ranges begin at 0.
func (p *proxied) Read(ctx context.Context, name string, offset int64) (store.Body, error) {
	if !fs.ValidPath(name) {
		return store.Body{}, store.Permanent(fmt.Errorf("%.80q: no name of a file", name))
	}
	there, err := p.has(ctx, name)
	if err != nil {
		return store.Body{}, fmt.Errorf("%s: %w", name, err)
	}
	if !there {
		return store.Body{}, fmt.Errorf("%s: there is no such file (%w)", name, fs.ErrNotExist)
	}
	header := http.Header{}
	if offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	response, err := p.server.send(ctx, http.MethodGet, artifactsAPI+"/"+p.root+"/"+name, nil, nil, header)
	if err != nil {
		return store.Body{}, fmt.Errorf("%s: %w", name, err)
	}
	body, err := bodyOf(response, offset)
	if err != nil {
		return store.Body{}, errors.Join(fmt.Errorf("%s: %w", name, err), response.Body.Close())
	}
	return body, nil
}

// bodyOf says which part of a file an answer is.
func bodyOf(response *http.Response, offset int64) (store.Body, error) {
	body := store.Body{ReadCloser: torn{response.Body}, Size: response.ContentLength}
	if response.StatusCode != http.StatusPartialContent {
		return body, nil
	}
	var first, last, whole int64
	if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &whole); err != nil || first != offset {
		return store.Body{}, fmt.Errorf("the server answers with another range (%.80q)", response.Header.Get("Content-Range"))
	}
	body.Offset, body.Size = first, whole
	return body, nil
}

// torn marks errors of reading as those of a server that went away.
type torn struct{ io.ReadCloser }

func (t torn) Read(b []byte) (int, error) {
	n, err := t.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = store.Unreachable(err)
	}
	return n, err
}

// Close has nothing to close: each body is closed by itself.
func (p *proxied) Close() error { return nil }
