package loader

import (
	"context"
	"sync/atomic"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// Instance is an opened version, made by Options.Open. The loader warms it
// once, then hands it out, and closes it once when nobody holds it.
type Instance interface {
	// Signature is what the model takes and gives. It must not be changed.
	Signature() *runtime.Signature
	// Warm makes the first runs, at the batch sizes up to maxBatch. Runs that
	// fail on the inputs it makes up are warnings; an error means that the
	// instance is not fit to serve.
	Warm(ctx context.Context, maxBatch int) (warnings []string, err error)
	// Close frees what the instance holds. Nothing else is called during or
	// after it.
	Close() error
}

// Resident is a version in memory. It is used between Acquire and Release; the
// pair costs two atomic additions and takes no lock.
type Resident struct {
	wanted   Wanted
	digest   string
	artifact *artifact.Artifact // without its goldens
	instance Instance
	release  func() // gives the artifact back to its store, after Close

	// uses counts holders and carries the draining bit. One word for both
	// makes "nobody new, and nobody left" a single fact; a count beside a flag
	// needs a lock to say that.
	uses atomic.Int64
	// used is set by every Acquire and taken by the Manager from time to time,
	// which tells the time of the last use for a load and a compare.
	used atomic.Bool
	// idle is closed when the resident drains and nobody holds it.
	idle   chan struct{}
	closed atomic.Bool // that idle was closed
}

const (
	drainingBit = int64(1) << 62
	countMask   = drainingBit - 1
)

func newResident(w Wanted, art *artifact.Artifact, instance Instance, release func()) *Resident {
	// Golden requests may take megabytes, and are done with.
	kept, manifest := *art, *art.Manifest
	manifest.Goldens = nil
	kept.Manifest = &manifest
	return &Resident{wanted: w, digest: art.Digest, artifact: &kept, instance: instance, release: release, idle: make(chan struct{})}
}

// Acquire takes a reference for one request. It is false once the version
// drains: look the version up again. Hold it no longer than the request,
// because holding it keeps the version in memory.
func (r *Resident) Acquire() bool {
	if r.uses.Add(1)&drainingBit == 0 {
		if !r.used.Load() {
			r.used.Store(true)
		}
		return true
	}
	r.leave()
	return false
}

// Release gives a reference back. The version may be closed afterwards, though
// never by the caller of Release. A Release without an Acquire panics.
func (r *Resident) Release() { r.leave() }

func (r *Resident) leave() {
	left := r.uses.Add(-1)
	if left&countMask == countMask {
		panic("loader: " + r.wanted.String() + " was released more often than acquired")
	}
	if left == drainingBit {
		r.announceIdle()
	}
}

// drain refuses new references. Idle is closed when the last one is back.
func (r *Resident) drain() {
	if r.uses.Or(drainingBit) == 0 {
		r.announceIdle()
	}
}

// announceIdle may be called again by a failed Acquire that came after the
// last Release.
func (r *Resident) announceIdle() {
	if !r.closed.Swap(true) {
		close(r.idle)
	}
}

// takeUsed reports whether there was an Acquire since it was called last.
func (r *Resident) takeUsed() bool { return r.used.Load() && r.used.Swap(false) }

// inUse returns the number of holders, which a failing Acquire may exceed by
// one for an instant.
func (r *Resident) inUse() int { return int(r.uses.Load() & countMask) }

// Instance returns what Options.Open made. Use it only between Acquire and
// Release.
func (r *Resident) Instance() Instance { return r.instance }

// Signature returns the instance's signature. It may be read at any time.
func (r *Resident) Signature() *runtime.Signature { return r.instance.Signature() }

// Manifest returns the artifact's manifest without its goldens. It must not be
// changed.
func (r *Resident) Manifest() *artifact.Manifest { return r.artifact.Manifest }

// Profile reads the artifact's drift reference profile; it returns nothing
// where there is none. It reads a file, and may fail once the version drains.
func (r *Resident) Profile() ([]byte, error) { return r.artifact.Profile() }

// Digest returns the digest of the artifact's manifest.
func (r *Resident) Digest() string { return r.digest }

// Wanted returns what the version was loaded for.
func (r *Resident) Wanted() Wanted { return r.wanted }
