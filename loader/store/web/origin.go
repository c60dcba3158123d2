package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/segue-serving/segue/loader/store"
)

// origin is one artifact of a server.
type origin struct {
	store *Store
	// base is the folder's address; whole is that of the only file.
	base, whole *url.URL
	// shown is the reference without its query.
	shown string
	// only is the file's name where the artifact is one .onnx file.
	only          string
	authorization string
	// tags are the entity tags of what was read, by name.
	tags map[string]string
}

// Files knows only the one file of an .onnx reference: HTTP has no lists.
func (o *origin) Files(context.Context, int) ([]store.RemoteFile, error) {
	if o.only != "" {
		return []store.RemoteFile{{Name: o.only, Size: -1}}, nil
	}
	return nil, fmt.Errorf("%s: a server of plain HTTP lists no files: %w", o.shown, errors.ErrUnsupported)
}

// Read asks for a file from an offset on, on condition that it is still the one
// that was read before.
func (o *origin) Read(ctx context.Context, name string, offset int64) (store.Body, error) {
	if o.only != "" && name != o.only {
		return store.Body{}, fmt.Errorf("%s: %s: %w", o.shown, name, fs.ErrNotExist)
	}
	body, err := o.read(ctx, name, offset)
	if errors.Is(err, errAgain) {
		body, err = o.read(ctx, name, 0)
	}
	if err != nil {
		return store.Body{}, fmt.Errorf("%s: %s: %w", o.shown, name, err)
	}
	return body, nil
}

// errAgain says that the file has to be read from its beginning.
var errAgain = errors.New("the server gives no such part")

func (o *origin) read(ctx context.Context, name string, offset int64) (store.Body, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.address(name), nil)
	if err != nil {
		return store.Body{}, store.Permanent(store.WithoutURL(err))
	}
	// Sizes and offsets count the file's own bytes.
	request.Header.Set("Accept-Encoding", "identity")
	if o.authorization != "" {
		request.Header.Set("Authorization", o.authorization)
	}
	if offset > 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		if tag := o.tags[name]; tag != "" {
			request.Header.Set("If-Range", tag)
		}
	}
	response, err := o.store.client.Do(request)
	if err != nil {
		return store.Body{}, meaning(err)
	}
	body, err := o.take(name, offset, response)
	if err != nil {
		return store.Body{}, errors.Join(err, response.Body.Close())
	}
	return body, nil
}

// address is that of a file, with the reference's query.
func (o *origin) address(name string) string {
	if o.only != "" {
		return o.whole.String()
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return o.base.JoinPath(parts...).String()
}

// take judges the answer to a request for a file.
func (o *origin) take(name string, offset int64, response *http.Response) (store.Body, error) {
	body := store.Body{ReadCloser: &reader{response.Body, o, name}, Size: response.ContentLength}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		var err error
		if body.Offset, body.Size, err = contentRange(response.Header.Get("Content-Range")); err != nil {
			return store.Body{}, err
		}
		if body.Offset > offset {
			return store.Body{}, errAgain
		}
	case http.StatusRequestedRangeNotSatisfiable:
		if offset > 0 {
			return store.Body{}, errAgain
		}
		return store.Body{}, store.Answered(response.StatusCode, response.Header, "")
	default:
		return store.Body{}, store.Answered(response.StatusCode, response.Header, "")
	}
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind == "text/html" {
		return store.Body{}, errors.New("the answer is a web page, perhaps of a proxy or a login, and not the file")
	}
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return store.Body{}, fmt.Errorf("the answer has the content encoding %q, and none was asked for", encoding)
	}
	// A weak tag says nothing of single bytes.
	if tag := response.Header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		if was := o.tags[name]; was != "" && was != tag && body.Offset > 0 {
			delete(o.tags, name)
			return store.Body{}, errAgain
		}
		o.tags[name] = tag
	}
	return body, nil
}

// contentRange reads bytes 5-9/10.
func contentRange(text string) (offset, size int64, err error) {
	rest, ok := strings.CutPrefix(text, "bytes ")
	span, whole, ok2 := strings.Cut(rest, "/")
	from, _, ok3 := strings.Cut(span, "-")
	offset, err = strconv.ParseInt(from, 10, 64)
	if !ok || !ok2 || !ok3 || err != nil || offset < 0 {
		return 0, 0, errors.New("the answer's Content-Range is malformed")
	}
	if whole == "*" {
		return offset, -1, nil
	}
	if size, err = strconv.ParseInt(whole, 10, 64); err != nil || size < offset {
		return 0, 0, errors.New("the answer's Content-Range is malformed")
	}
	return offset, size, nil
}

// reader gives errors in the middle of a file the reference's words.
type reader struct {
	io.ReadCloser
	origin *origin
	name   string
}

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %s: %w", r.origin.shown, r.name, meaning(err))
	}
	return n, err
}

// meaning keeps what is not the network's fault.
func meaning(err error) error {
	err = store.WithoutURL(err)
	if store.IsPermanent(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return store.Unreachable(err)
}

// Close has nothing to close: bodies are their readers'.
func (o *origin) Close() error { return nil }
