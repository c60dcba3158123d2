package store

import (
	"context"
	"errors"
	"io"
	"time"
)

// Remote is a store whose artifacts lie on another machine. It only looks and
// reads: what is fetched, checked and kept is the business of a cache, which
// makes a Store of it. It is safe for concurrent use.
type Remote interface {
	// Open finds the artifact that a reference names. A reference that may move
	// (an alias, a tag, a branch) is resolved here, once. The caller closes the
	// origin.
	Open(ctx context.Context, ref Ref) (Origin, error)
}

// Origin is one artifact where it lies: a folder of files, named relative to it
// with slashes. One goroutine uses it at a time.
type Origin interface {
	// Files lists the artifact's files in any order. It is asked where there is
	// no manifest, and ends with an error at more than most files. A store that
	// cannot list (plain HTTP) says errors.ErrUnsupported.
	Files(ctx context.Context, most int) ([]RemoteFile, error)
	// Read opens a file at an offset. A store that cannot read from the middle
	// begins before it and says so in Body.Offset. A file that is not there is
	// fs.ErrNotExist. The body ends with an error soon after ctx has ended, also
	// while the other side says nothing.
	Read(ctx context.Context, name string, offset int64) (Body, error)
	Close() error
}

// RemoteFile is one file of an origin.
type RemoteFile struct {
	// Name is relative to the artifact, with slashes.
	Name string
	// Size is in bytes, -1 where the store does not say.
	Size int64
}

// Body is a file being read from Offset on.
type Body struct {
	io.ReadCloser
	Offset int64
	// Size is that of the whole file, -1 where the store does not say.
	Size int64
}

// Later marks an error with the time that the store asked to be left alone for.
func Later(err error, wait time.Duration) error { return &laterError{err, wait} }

// WaitOf returns the time that an error was marked with by Later, 0 for none.
func WaitOf(err error) time.Duration {
	var marked *laterError
	if errors.As(err, &marked) {
		return marked.wait
	}
	return 0
}

type laterError struct {
	err  error
	wait time.Duration
}

func (e *laterError) Error() string { return e.err.Error() }
func (e *laterError) Unwrap() error { return e.err }
