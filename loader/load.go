package loader

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/loader/store"
)

// cause is why a try failed, in few words for a metric's label. The verdicts
// of the probe are causes too.
type cause string

const (
	causeFetch     cause = "fetch"
	causeVerify    cause = "verify"
	causeDigest    cause = "digest"
	causeUnsigned  cause = "unsigned"
	causeProbe     cause = "probe"
	causeMemory    cause = "memory"
	causeOpen      cause = "open"
	causeSignature cause = "signature"
	causeWarm      cause = "warm"
)

// failure says why a try failed and whether another may do better.
type failure struct {
	cause     cause
	permanent bool
	// until is when the next try is made, zero for the usual time.
	until time.Time
	err   error
}

// passing is a failure that may pass: whatever lies in files or comes over a
// network may be mended there while the version is still wanted.
func passing(c cause, err error) *failure { return &failure{cause: c, err: err} }

// final is a failure of the model itself.
func final(c cause, err error) *failure { return &failure{cause: c, permanent: true, err: err} }

// load brings a version to life, through all phases, or records why not.
func (m *Manager) load(ctx context.Context, t *try) {
	l := &loading{Manager: m, try: t}
	f := l.run(ctx)
	if f == nil {
		f = l.announce()
	}
	if f == nil {
		if t.wanted.Digest == "" {
			m.options.Keeper.Pin(t.wanted.String(), t.wanted.ref(), l.artifact.Digest)
		}
		return
	}
	if l.instance != nil {
		if err := l.instance.Close(); err != nil {
			m.log(t).Warn("version did not close cleanly", "error", err)
		}
	}
	if l.release != nil {
		l.release()
	}
	m.failed(t, f, l.hidePlace(f.err.Error()))
}

// loading is what one try holds on its way.
type loading struct {
	*Manager
	try      *try
	path     string
	release  func()
	artifact *artifact.Artifact
	instance Instance
}

func (l *loading) run(ctx context.Context) *failure {
	if f := l.fits(); f != nil {
		return f
	}
	if f := l.fetch(ctx); f != nil {
		return f
	}
	select {
	case l.loadSlots <- struct{}{}:
		defer func() { <-l.loadSlots }()
	case <-ctx.Done():
		return passing(causeVerify, ctx.Err())
	}
	if f := l.verify(ctx); f != nil {
		return f
	}
	report, f := l.probe(ctx)
	if f != nil {
		return f
	}
	if f := l.reserve(ctx, costOf(l.try.wanted, report, filesOf(l.artifact.Manifest))); f != nil {
		return f
	}
	if f := l.open(ctx, report); f != nil {
		return f
	}
	l.enter(StateWarming)
	warnings, err := l.instance.Warm(ctx, max(1, l.try.wanted.MaxBatch))
	l.warn(warnings)
	if err != nil {
		return passing(causeWarm, fmt.Errorf("warm up: %w", err))
	}
	return nil
}

// progressShown is how often a fetch under way is announced.
const progressShown = 2 * time.Second

func (l *loading) fetch(ctx context.Context) *failure {
	select {
	case l.fetchSlots <- struct{}{}:
		defer func() { <-l.fetchSlots }()
	case <-ctx.Done():
		return passing(causeFetch, ctx.Err())
	}
	l.enter(StateFetching)
	w := l.try.wanted
	if w.Digest == "" && l.options.RequireDigest() {
		return passing(causeDigest, errors.New("no digest is given, and the settings require one"))
	}
	ref := store.Ref{URI: w.URI, Base: w.Base, Digest: l.expectedDigest(w)}
	var err error
	var shown time.Time
	l.path, l.release, err = l.options.Stores.Fetch(ctx, ref, func(done, total int64) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.try.status.Fetched, l.try.status.Size = done, total
		if now := time.Now(); now.Sub(shown) >= progressShown {
			shown = now
			signal(l.changed)
		}
	})
	if err != nil {
		f := &failure{cause: causeFetch, permanent: store.IsPermanent(err), err: err}
		if errors.Is(err, store.ErrDigest) {
			f.cause = causeDigest
		}
		return f
	}
	return nil
}

func (l *loading) verify(ctx context.Context) *failure {
	l.enter(StateVerifying)
	var err error
	if l.artifact, err = l.verifier.Verify(ctx, l.path); err != nil {
		if ctx.Err() == nil {
			l.options.Keeper.Doubt(l.path)
		}
		return passing(causeVerify, fmt.Errorf("%s: %w", l.try.wanted.URI, err))
	}
	l.warn(l.artifact.Warnings)
	l.mu.Lock()
	l.try.status.Digest = l.artifact.Digest
	l.mu.Unlock()
	if want := l.expectedDigest(l.try.wanted); want != "" && want != l.artifact.Digest {
		return differs(l.artifact.Digest, l.try.wanted, want)
	}
	return l.signed()
}

// signed holds the artifact's signature against the policy in force now. What
// is refused is tried again: a signature may be added, or a signer be named.
func (l *loading) signed() *failure {
	by, warning, err := l.artifact.Signed(l.options.Signatures(l.try.wanted))
	if err != nil {
		l.options.Keeper.Unsigned(l.path)
		return passing(causeUnsigned, fmt.Errorf("%s: %w", l.try.wanted.URI, err))
	}
	if warning != "" {
		l.warn([]string{warning})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.try.status.SignedBy = by
	return nil
}

func differs(digest string, w Wanted, expected string) *failure {
	said := "wanted is " + expected
	if w.Digest == "" {
		said = "it was " + expected + " when it was first loaded; state the new digest to take it"
	}
	return passing(causeDigest, fmt.Errorf("the artifact's digest is %s, and %s", digest, said))
}

func (l *loading) probe(ctx context.Context) (probe.Report, *failure) {
	if l.options.Probe == nil {
		return probe.Report{}, nil
	}
	l.enter(StateProbing)
	w := l.try.wanted
	terms := l.termsOf(w)
	l.mu.Lock()
	l.try.attempt = terms.Attempt
	l.mu.Unlock()
	report, err := l.options.Probe(ctx, probe.Request{
		ModelPath: l.artifact.ModelPath, Manifest: l.artifact.Manifest, Digest: l.artifact.Digest,
		Device: w.Device, Threads: w.Threads, MemoryLimit: w.MemoryLimit, MaxBatch: w.MaxBatch,
		RunLimit: terms.RunLimit * time.Duration(max(1, w.Threads)), Attempt: terms.Attempt,
	})
	noRoom := (*probe.NoRoom)(nil)
	switch {
	case errors.As(err, &noRoom):
		return report, l.noRoom(noRoom)
	case err != nil:
		return report, passing(causeProbe, fmt.Errorf("probe: %w", err))
	case report.Refused() && !report.Until.IsZero():
		return report, &failure{cause: cause(report.Verdict), until: report.Until, err: fmt.Errorf(
			"%s (refusal %d in a row; in quarantine until %s)", report.Reason, report.Tries, report.Until.Format(time.RFC3339))}
	case report.Refused():
		return report, final(cause(report.Verdict), errors.New(report.Reason))
	case report.Verdict != probe.Passed:
		return report, passing(causeProbe, fmt.Errorf("probe: no verdict: %s", report.Reason))
	}
	l.warn(report.Warnings)
	log := l.log(l.try)
	log.Info("version passed its try", "goldens", report.Goldens, "answers", report.Answers, "peak_bytes", report.PeakRSS, "runs", len(report.Runs))
	log.Debug("version was tried", "open", report.OpenTime, "runs", report.Runs, "shut_in_by", report.Confinement.InPlace)
	if missing := report.Confinement.Missing; len(missing) > 0 {
		log.Warn("version was tried by a child that this machine could not shut in wholly", "missing", missing)
	}
	return report, nil
}

func (l *loading) open(ctx context.Context, report probe.Report) *failure {
	l.enter(StateOpening)
	instance, err := l.options.Open(ctx, OpenRequest{
		Wanted: l.try.wanted, ModelPath: l.artifact.ModelPath, Manifest: l.artifact.Manifest,
		Digest: l.artifact.Digest, Report: report,
	})
	if err != nil {
		return &failure{cause: causeOpen, permanent: ctx.Err() == nil, err: fmt.Errorf("open: %w", err)}
	}
	l.instance = instance
	if declared := l.artifact.Manifest.Signature; declared != nil {
		if err := artifact.CompareSignature(instance.Signature(), declared); err != nil {
			return final(causeSignature, fmt.Errorf("the signature differs: %w", err))
		}
	}
	// The engine opened the model by its path, some time after it was verified.
	if err := l.artifact.Unchanged(); err != nil {
		return passing(causeVerify, fmt.Errorf("%s: %w", l.try.wanted.URI, err))
	}
	return nil
}

// announce makes the version Ready, unless nobody wants it any more.
func (l *loading) announce() *failure {
	t := l.try
	r := newResident(t.wanted, l.artifact, l.instance, l.release)
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.cancelled {
		return passing(causeOpen, context.Canceled)
	}
	if t.wanted.Digest == "" {
		// Another try of the same version may have been faster, with other files.
		pinned, ok := l.pins[pinOf(t.wanted)]
		if ok && pinned != r.digest {
			return differs(r.digest, t.wanted, pinned)
		}
		l.pins[pinOf(t.wanted)] = r.digest
	}
	t.resident, t.status.Reason, t.used = r, "", time.Now()
	l.unreserve(t)
	l.Manager.enter(t, StateReady)
	l.options.Metrics.ended(outcomeReady)
	l.log(t).Info("version is ready", "digest", r.digest, "attempt", t.status.Attempt, "phases", t.status.Phases)
	return nil
}

func (l *loading) enter(s State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Manager.enter(l.try, s)
}

// warn adds to the status's warnings. Copies of the status share the slice, so
// it is never written in place.
func (l *loading) warn(warnings []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range warnings {
		l.try.status.Warnings = append(slices.Clip(l.try.status.Warnings), l.hidePlace(w))
	}
}

// hidePlace replaces the artifact's place on this machine, which an engine or
// a child names, by the reference that the operator wrote.
func (l *loading) hidePlace(text string) string {
	if l.artifact != nil && l.artifact.Dir != string(filepath.Separator) {
		text = strings.ReplaceAll(text, l.artifact.Dir+string(filepath.Separator), "")
		text = strings.ReplaceAll(text, l.artifact.Dir, l.try.wanted.URI)
	}
	return text
}
