package storetest

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
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

// Pushable is a store with everything that the suite asks for.
type Pushable interface {
	store.Remote
	store.Publisher
	store.Lister
}

// Subject is a store that the suite tries.
type Subject struct {
	Store Pushable
	// Parent returns the reference of an empty place, below which List looks,
	// and Child that of a version there.
	Parent func(t *testing.T) string
	Child  func(parent, version string) string
	// HasRange says that the store reads from the middle of a file.
	HasRange bool
}

// Suite tries what every store promises.
func Suite(t *testing.T, s Subject) {
	t.Run("what is pushed is listed and read back", s.roundTrip)
	t.Run("a file is read from the middle", s.ranges)
	t.Run("what is missing is told apart", s.missing)
	t.Run("a version never changes", s.immutable)
	t.Run("an interrupted push is no artifact", s.interrupted)
	t.Run("a folder that changes is not pushed", s.changed)
	t.Run("a context ends what waits", s.cancelled)
}

func (s Subject) open(t *testing.T, uri string) store.Origin {
	t.Helper()
	origin, err := s.Store.Open(t.Context(), store.Ref{URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := origin.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return origin
}

func (s Subject) push(t *testing.T, uri, dir, digest string) {
	t.Helper()
	if err := s.Store.Push(t.Context(), store.Ref{URI: uri}, dir, digest, nil); err != nil {
		t.Fatal(err)
	}
}

func (s Subject) roundTrip(t *testing.T) {
	dir, digest := Artifact(t, 1)
	parent := s.Parent(t)
	uri := s.Child(parent, "1.0-rc_1")
	last, total := int64(0), int64(0)
	err := s.Store.Push(t.Context(), store.Ref{URI: uri}, dir, digest, func(done, of int64) {
		if done < last {
			t.Errorf("progress went back from %d to %d", last, done)
		}
		last, total = done, of
	})
	if err != nil {
		t.Fatal(err)
	}
	if last != total || total < largeSize {
		t.Errorf("progress ended at %d of %d", last, total)
	}
	listed, err := s.Store.List(t.Context(), store.Ref{URI: parent})
	if err != nil || len(listed) != 1 || listed[0].Digest != digest || listed[0].Size < largeSize || listed[0].Size > total {
		t.Fatalf("listed %+v, %v; want one artifact of %s, %d bytes", listed, err, digest, total)
	}
	pulled := t.TempDir()
	Pull(t, s.open(t, listed[0].URI), pulled)
	got, err := artifact.Verify(t.Context(), pulled)
	if err != nil || got.Digest != digest || len(got.Warnings) > 0 {
		t.Fatalf("pulled %+v, %v", got, err)
	}
	same(t, pulled, dir)
	files, err := s.open(t, uri).Files(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(f.Name))); err != nil || f.Size >= 0 && f.Size != info.Size() {
			t.Errorf("file %q of %d bytes: %v", f.Name, f.Size, err)
		}
	}
	slices.Sort(names)
	want := []string{"empty", "large.bin", "manifest.json", "manifest.json.sig", "model.onnx", OddName}
	if !slices.Equal(names, want) {
		t.Errorf("files are %q, want %q", names, want)
	}
	if _, err := s.open(t, uri).Files(t.Context(), 5); err == nil {
		t.Error("six files were listed where five were the most")
	}
}

func (s Subject) ranges(t *testing.T) {
	dir, digest := Artifact(t, 1)
	uri := s.Child(s.Parent(t), "1")
	s.push(t, uri, dir, digest)
	want, err := os.ReadFile(filepath.Join(dir, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	origin := s.open(t, uri)
	for _, offset := range []int64{0, 1, largeSize / 2, largeSize - 1, largeSize, largeSize + 5} {
		body, err := origin.Read(t.Context(), "large.bin", offset)
		if err != nil {
			t.Fatalf("offset %d: %v", offset, err)
		}
		if body.Offset > offset || s.HasRange && offset < largeSize && body.Offset != offset {
			t.Errorf("asked from %d, it begins at %d", offset, body.Offset)
		}
		if body.Size != largeSize && body.Size != -1 {
			t.Errorf("from %d: the size is %d", offset, body.Size)
		}
		got, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			t.Fatalf("offset %d: %v", offset, err)
		}
		if !bytes.Equal(got, want[min(body.Offset, largeSize):]) {
			t.Errorf("from %d: %d other bytes", offset, len(got))
		}
	}
}

func (s Subject) missing(t *testing.T) {
	dir, digest := Artifact(t, 1)
	parent := s.Parent(t)
	uri := s.Child(parent, "1")
	s.push(t, uri, dir, digest)
	read := func(uri, name string) error {
		origin, err := s.Store.Open(t.Context(), store.Ref{URI: uri})
		if err != nil {
			return err
		}
		defer origin.Close()
		body, err := origin.Read(t.Context(), name, 0)
		if err != nil {
			return err
		}
		return body.Close()
	}
	for _, c := range []struct{ uri, name string }{{uri, "model.bin"}, {uri, "weights"}, {s.Child(parent, "2"), artifact.ManifestFile}} {
		err := read(c.uri, c.name)
		if !errors.Is(err, fs.ErrNotExist) || store.IsPermanent(err) || errors.Is(err, store.ErrUnreachable) {
			t.Errorf("%s of %s: got %v, want fs.ErrNotExist, which may pass", c.name, c.uri, err)
		}
	}
}

func (s Subject) immutable(t *testing.T) {
	dir, digest := Artifact(t, 1)
	other, otherDigest := Artifact(t, 2)
	parent := s.Parent(t)
	uri := s.Child(parent, "1")
	s.push(t, uri, dir, digest)
	before, err := s.Store.List(t.Context(), store.Ref{URI: parent})
	if err != nil {
		t.Fatal(err)
	}
	written := int64(0)
	err = s.Store.Push(t.Context(), store.Ref{URI: uri}, dir, digest, func(done, _ int64) { written = done })
	if err != nil || written > 0 {
		t.Errorf("the same artifact again: %v, %d bytes written", err, written)
	}
	if err := s.Store.Push(t.Context(), store.Ref{URI: uri}, other, otherDigest, nil); !errors.Is(err, store.ErrExists) || !strings.Contains(err.Error(), digest) {
		t.Errorf("another artifact: got %v, want ErrExists with the digest that lies there", err)
	}
	after, err := s.Store.List(t.Context(), store.Ref{URI: parent})
	if err != nil || !slices.Equal(before, after) {
		t.Errorf("it was %+v and is %+v, %v", before, after, err)
	}
	if err := s.Store.Push(t.Context(), store.Ref{URI: s.Child(parent, "2")}, other, digest, nil); err == nil {
		t.Error("a folder was pushed under a digest that it has not")
	}
}

func (s Subject) interrupted(t *testing.T) {
	dir, digest := Artifact(t, 1)
	parent := s.Parent(t)
	uri := s.Child(parent, "1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := s.Store.Push(ctx, store.Ref{URI: uri}, dir, digest, func(done, _ int64) {
		if done > 1<<20 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the context's end", err)
	}
	s.nothingThere(t, parent, uri)
	s.push(t, uri, dir, digest)
	if listed, err := s.Store.List(t.Context(), store.Ref{URI: parent}); err != nil || len(listed) != 1 {
		t.Errorf("after the second push: %+v, %v", listed, err)
	}
}

// nothingThere checks that a reference leads to nothing that could be taken for
// an artifact.
func (s Subject) nothingThere(t *testing.T, parent, uri string) {
	t.Helper()
	listed, err := s.Store.List(t.Context(), store.Ref{URI: parent})
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(listed) > 0 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	origin, err := s.Store.Open(t.Context(), store.Ref{URI: uri})
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	if body, err := origin.Read(t.Context(), artifact.ManifestFile, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the manifest: %+v, %v", body, err)
	}
	if files, err := origin.Files(t.Context(), 100); len(files) > 0 {
		t.Errorf("files %+v, %v", files, err)
	}
}

func (s Subject) changed(t *testing.T) {
	dir, digest := Artifact(t, 1)
	put(t, dir, OddName, []byte("ood"))
	parent := s.Parent(t)
	uri := s.Child(parent, "1")
	err := s.Store.Push(t.Context(), store.Ref{URI: uri}, dir, digest, nil)
	if err == nil || !strings.Contains(err.Error(), "changed since it was verified") || errors.Is(err, store.ErrUnreachable) {
		t.Errorf("got %v", err)
	}
	s.nothingThere(t, parent, uri)
}

func (s Subject) cancelled(t *testing.T) {
	dir, digest := Artifact(t, 1)
	uri := s.Child(s.Parent(t), "1")
	s.push(t, uri, dir, digest)
	ctx, cancel := context.WithCancel(t.Context())
	origin := s.open(t, uri)
	cancel()
	if _, err := origin.Read(ctx, "large.bin", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
}
