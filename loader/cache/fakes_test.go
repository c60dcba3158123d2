package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/store"
)

// shop is a remote store made of memory, by the rest of a reference after its
// scheme. Faults are functions that stand in for a step.
type shop struct {
	mu    sync.Mutex
	goods map[string]map[string][]byte
	// away, when set, is what opening answers.
	away error
	// read, when set, is asked first; a nil body leaves the request to the shop.
	read func(ctx context.Context, name string, offset int64) (*store.Body, error)
	// files, when set, stands for the listing.
	files func() ([]store.RemoteFile, error)

	opened, closed int
	reads          []string
}

func newShop() *shop { return &shop{goods: map[string]map[string][]byte{}} }

// put takes the files of a folder into the shop.
func (s *shop) put(t testing.TB, name, dir string) {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(dir, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.goods[name] = files
}

func (s *shop) Open(_ context.Context, ref store.Ref) (store.Origin, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened++
	if s.away != nil {
		return nil, s.away
	}
	files, ok := s.goods[strings.TrimPrefix(ref.URI, "shop:")]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return &shelf{s, files}, nil
}

type shelf struct {
	shop  *shop
	files map[string][]byte
}

func (s *shelf) Close() error {
	s.shop.mu.Lock()
	defer s.shop.mu.Unlock()
	s.shop.closed++
	return nil
}

func (s *shelf) Files(context.Context, int) ([]store.RemoteFile, error) {
	if s.shop.files != nil {
		return s.shop.files()
	}
	var all []store.RemoteFile
	for name, body := range s.files {
		all = append(all, store.RemoteFile{Name: name, Size: int64(len(body))})
	}
	return all, nil
}

func (s *shelf) Read(ctx context.Context, name string, offset int64) (store.Body, error) {
	s.shop.mu.Lock()
	s.shop.reads = append(s.shop.reads, name)
	read := s.shop.read
	s.shop.mu.Unlock()
	if read != nil {
		if body, err := read(ctx, name, offset); body != nil || err != nil {
			if body == nil {
				body = &store.Body{}
			}
			return *body, err
		}
	}
	body, ok := s.files[name]
	if !ok {
		return store.Body{}, fs.ErrNotExist
	}
	return bodyOf(body[offset:], offset, int64(len(body))), nil
}

func bodyOf(b []byte, offset, size int64) store.Body {
	return store.Body{ReadCloser: io.NopCloser(bytes.NewReader(b)), Offset: offset, Size: size}
}

// failing gives some bytes and then an error.
func failing(b []byte, err error, offset, size int64) *store.Body {
	return &store.Body{ReadCloser: io.NopCloser(io.MultiReader(bytes.NewReader(b), errReader{err})), Offset: offset, Size: size}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// hanging gives nothing until its context ends.
func hanging(ctx context.Context, offset, size int64) *store.Body {
	return &store.Body{ReadCloser: io.NopCloser(readerFunc(func([]byte) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})), Offset: offset, Size: size}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (s *shop) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened + len(s.reads)
}

const plenty = 1 << 30

func open(t testing.TB, dir string, limit int64) *Cache {
	t.Helper()
	c, err := Open(dir, limit, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Dir() != dir {
		t.Fatalf("the cache is in %s, want %s", c.Dir(), dir)
	}
	return c
}

// fetch fetches an artifact that must be had, and returns where it is.
func fetch(t testing.TB, c *Cache, s *shop, ref store.Ref) (path string, release func()) {
	t.Helper()
	path, release, err := c.Store(s).Fetch(t.Context(), ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	return path, release
}

// verified fails the test unless a whole artifact with a digest lies at a path.
func verified(t testing.TB, path, digest string) {
	t.Helper()
	a, err := artifact.Verify(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if a.Digest != digest {
		t.Fatalf("the digest is %s, want %s", a.Digest, digest)
	}
}

// tidy fails the test where the cache's folder holds more than complete
// artifacts, notes of them, and the staging of the keys named.
func tidy(t testing.TB, dir string, staged ...string) {
	t.Helper()
	if left := leaks(dir, staged...); len(left) > 0 {
		t.Errorf("left in the cache: %v", left)
	}
}

func leaks(dir string, staged ...string) []string {
	var left []string
	for _, name := range names(filepath.Join(dir, trashDir)) {
		left = append(left, "trash/"+name)
	}
	for _, name := range names(filepath.Join(dir, stagingDir)) {
		if !slices.Contains(staged, name) {
			left = append(left, "staging/"+name)
		}
	}
	for _, name := range names(filepath.Join(dir, refsDir)) {
		if strings.HasSuffix(name, temporary) {
			left = append(left, "refs/"+name)
		}
	}
	for _, name := range names(filepath.Join(dir, entriesDir)) {
		entry := filepath.Join(dir, entriesDir, name)
		a, err := artifact.Verify(context.Background(), artifactPath(entry))
		if err != nil || a.Digest != digestPrefix+name {
			left = append(left, "a torn entry "+name)
		}
	}
	return left
}

// packed is an artifact of some files besides a small model.
func packed(t testing.TB, salt string, more map[string][]byte) (dir, digest string) {
	t.Helper()
	model := artifacttest.Doubler()
	model.Initializers = [][]byte{artifacttest.Tensor("salt", []byte(salt))}
	files := map[string][]byte{artifact.ModelFile: model.Bytes()}
	for name, body := range more {
		files[name] = body
	}
	return artifacttest.Pack(t, artifacttest.DoublerManifest(), files)
}

func noise(n int, seed byte) []byte {
	out := make([]byte, n)
	x := uint32(seed) + 1
	for i := range out {
		x = x*1664525 + 1013904223
		out[i] = byte(x >> 24)
	}
	return out
}

var errReset = errors.New("connection reset by peer")
