// Package store brings artifacts to a place on this machine where they can be
// verified and opened. A Store serves one scheme of references; a Registry
// picks the store by the scheme.
//
// The package promises that errors show no more of a place than the operator
// wrote, and that they tell what may pass by itself (an artifact that is not
// there yet, a store that does not answer) from what cannot (a reference that
// means nothing): see IsPermanent. It never judges what lies in an artifact;
// loader/artifact does. It never changes an artifact.
//
//	stores := store.NewRegistry(map[string]store.Store{"file": store.File{}}, nil)
//	dir, release, err := stores.Fetch(ctx, store.Ref{URI: "file:models/mozart/1", Base: "/etc/segue"}, nil)
//	if err != nil {
//		return err // may be tried again unless store.IsPermanent(err)
//	}
//	defer release()
package store

import (
	"context"
	"errors"
)

// Ref names an artifact as an operator's document does.
type Ref struct {
	// URI is a scheme, a colon, and what the scheme's store makes of the rest.
	URI string
	// Base is the folder from which a relative file path counts, usually that
	// of the document.
	Base string
	// Digest is that of the artifact's manifest where it is known, else empty.
	// A store with a cache may answer from it without asking the origin; who
	// fetches checks the digest all the same.
	Digest string
}

// Progress is told of bytes as they arrive; total is 0 where it is not known.
// It may be called often, from one goroutine at a time, and must not block.
type Progress func(done, total int64)

// Store fetches artifacts. It is safe for concurrent use.
type Store interface {
	// Fetch makes the artifact readable at a path of this machine: a folder,
	// or a bare .onnx file. The path stays readable until release is called,
	// which the caller does exactly once, after everything that was opened
	// from it is closed. Fetch returns early with the context's error when the
	// context ends. Progress may be nil. On error there is nothing to release.
	Fetch(ctx context.Context, ref Ref, progress Progress) (path string, release func(), err error)
}

// Caching is a Store that may answer from a copy on this machine.
type Caching interface {
	Store
	// FetchCached does what Fetch does, and says whether the artifact was here
	// already, so that nothing was transferred.
	FetchCached(ctx context.Context, ref Ref, progress Progress) (path string, release func(), cached bool, err error)
}

// ErrDigest says that a store has another artifact than the one with the digest
// that is wanted.
var ErrDigest = errors.New("another artifact")

// Permanent marks an error that trying again cannot mend.
func Permanent(err error) error { return &permanentError{err} }

// IsPermanent reports whether an error was marked by Permanent.
func IsPermanent(err error) bool {
	var marked *permanentError
	return errors.As(err, &marked)
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }
