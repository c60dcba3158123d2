package loader

import (
	"context"
	"log/slog"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/signing"
	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/loader/store"
)

// OpenRequest is what Options.Open gets.
type OpenRequest struct {
	Wanted Wanted
	// ModelPath is the verified ONNX file.
	ModelPath string
	// Manifest is the artifact's own or the one made on the way, with goldens.
	// It must not be changed.
	Manifest *artifact.Manifest
	// Digest is that of the manifest.
	Digest string
	// Report is what the probe found, zero where there is no probe.
	Report probe.Report
}

// Keeper is what a Manager asks of a cache of artifacts, besides to fetch.
type Keeper interface {
	// Keep states the full set of artifacts that may be fetched again at any
	// time, so that none of them is removed to make room. It must not block.
	Keep(refs []store.Ref)
	// Doubt says that what was fetched to a path did not verify, and Unsigned
	// that it has no signature that is good enough.
	Doubt(path string)
	Unsigned(path string)
	// Pin notes that a reference without a digest, as a model's version names
	// it, came to serve with a digest. Pinned returns that digest for as long
	// as its artifact is to be had without the store, and else nothing: who
	// had to be without both would have nothing to serve.
	Pin(version string, ref store.Ref, digest string)
	Pinned(version string, ref store.Ref) (digest string)
}

// Options configure a Manager. Stores and Open are needed.
type Options struct {
	// Stores fetches artifacts.
	Stores store.Store
	// Keeper is the cache behind Stores. Nil is none.
	Keeper Keeper
	// Probe tries an artifact before it is opened here. Nil skips it.
	Probe probe.Func
	// Open makes an instance. It is the caller's duty to return early when the
	// context ends; an instance returned all the same is closed. An error is
	// taken as the model's, unless the context has ended.
	Open func(ctx context.Context, r OpenRequest) (Instance, error)
	// Memory says how the memory of a device ("cpu", "cuda", …) stands, ok that
	// it is known. It is called with a lock held and must be quick. Nil, and
	// what is not known, refuses nothing.
	Memory func(device string) (m Memory, ok bool)
	// OnChange is told, from a goroutine of the Manager's and without a lock,
	// that some status changed. Changes during a call make one more call. It
	// may call the Manager.
	OnChange func()
	// Log may be nil.
	Log *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics
	// Concurrency bounds how many versions are verified, probed, opened and
	// warmed at once, 2 by default. Four times as many are fetched at once.
	Concurrency int
	// Signatures, asked at each try, says whose signature a version needs and
	// whose are known. Nil knows nobody and asks for none.
	Signatures func(w Wanted) signing.Policy
	// RequireDigest, asked at each try, says whether a version without a
	// digest is refused. Nil says no.
	RequireDigest func() bool
}

func (o Options) withDefaults() Options {
	if o.Concurrency <= 0 {
		o.Concurrency = 2
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnChange == nil {
		o.OnChange = func() {}
	}
	if o.Signatures == nil {
		o.Signatures = func(Wanted) signing.Policy { return signing.Policy{} }
	}
	if o.Keeper == nil {
		o.Keeper = noKeeper{}
	}
	if o.RequireDigest == nil {
		o.RequireDigest = func() bool { return false }
	}
	return o
}
