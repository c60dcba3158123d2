package store

import (
	"context"
	"errors"
	"time"
)

// ErrExists says that another artifact, with another digest, already lies where
// one was to be pushed.
var ErrExists = errors.New("another artifact lies there already")

// Publisher is a store that takes artifacts.
type Publisher interface {
	// Push writes the artifact in a folder of this machine, which has a manifest
	// with this digest and was verified, to the place that a reference names. The
	// manifest is written last, so that nobody fetches half of an artifact. One
	// that is there already with the same digest is left alone; with another it
	// is ErrExists.
	Push(ctx context.Context, ref Ref, dir, digest string, progress Progress) error
}

// Lister is a store that can say what lies in it.
type Lister interface {
	// List returns the artifacts below a reference's place, by name.
	List(ctx context.Context, ref Ref) ([]Listed, error)
}

// Listed is one artifact in a store.
type Listed struct {
	// URI fetches it.
	URI string
	// Digest is that of its manifest, empty where finding out would mean reading
	// the artifact.
	Digest string
	// Size is of all its files, -1 where the store does not say.
	Size int64
	// Changed is zero where the store does not say.
	Changed time.Time
}
