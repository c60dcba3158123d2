package monitor

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/drift"
)

const (
	// lookEvery is how often it is looked whether something is to be written.
	lookEvery = 500 * time.Millisecond
	// A window's time divided by roundsPerWindow is how often counts are written
	// while it lasts, within leastRound and mostRound, give or take roundJitter
	// of it, so that a fleet does not do so at the same moment.
	roundsPerWindow = 10
	leastRound      = time.Second
	mostRound       = 30 * time.Second
	roundJitter     = 0.09
	// lastWrite bounds the write with which a gateway ends.
	lastWrite = 2 * time.Second
)

// roundOf is how often a model's counts are written.
func roundOf(d *configs.Drift) time.Duration {
	return min(max(time.Duration(d.Window.Time)/roundsPerWindow, leastRound), mostRound)
}

// books hold what this gateway has counted, stream by stream, and write it to
// the store, where the gateway that judges finds it. They belong to one
// goroutine.
type books struct {
	m       *Monitor
	of      map[string]*book
	failing bool
}

// book is what was counted of one model.
type book struct {
	pages map[string]*page
	weeks map[string]*week // by version
	// next is when to write again, at the latest.
	next    time.Time
	changed bool
	written configs.DriftCounts
	// saved is the hour in which the weeks went to disk last.
	saved int64
}

// page is this gateway's part of the window that a stream is at.
type page struct {
	window  uint64
	started time.Time
	counts  map[string]*drift.Window // by version
}

func newBooks(m *Monitor) *books { return &books{m: m, of: map[string]*book{}} }

// run keeps the books until ctx ends.
func (b *books) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		b.keep(ctx, false)
		select {
		case <-tick.C:
		case <-ctx.Done():
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			b.keep(ending, true)
			return
		}
	}
}

// keep does what is due, for all models that are followed; all of it where the
// gateway ends.
func (b *books) keep(ctx context.Context, ending bool) {
	var failed error
	watched := b.m.watched()
	for _, w := range watched {
		k := b.of[w.Name]
		if k == nil {
			k = &book{pages: map[string]*page{}, weeks: map[string]*week{}}
			b.of[w.Name] = k
		}
		now := b.m.opts.Now()
		if !ending && now.Before(k.next) && !w.full() {
			continue
		}
		k.next = now.Add(time.Duration(float64(roundOf(w.Drift)) * (1 + roundJitter*(2*rand.Float64()-1))))
		if err := b.round(ctx, w, k, now); err != nil {
			failed = err
		}
		if hour := hourOf(now); ending || hour != k.saved {
			k.save(b.m, w.Name)
			k.saved = hour
		}
	}
	for name, k := range b.of {
		if !slices.ContainsFunc(watched, func(w *watch) bool { return w.Name == name }) {
			b.close(ctx, name, k)
		}
	}
	if failed != nil && !b.failing && ctx.Err() == nil {
		b.m.opts.Log.Warn("counts for drift are not exchanged", "error", failed)
	}
	b.failing = failed != nil
}

// full reports that this gateway alone has enough for a window.
func (w *watch) full() bool {
	for _, t := range w.targets {
		if t.waiting() >= uint64(w.Drift.Window.Samples) {
			return true
		}
	}
	return false
}

// round reads at which window each stream is, books what was counted since, and
// writes it.
func (b *books) round(ctx context.Context, w *watch, k *book, now time.Time) error {
	report, err := configs.GetDriftReport(ctx, b.m.opts.Store, w.Name)
	if err == nil && report != nil {
		b.m.show(report)
		k.turn(w, report)
	}
	k.enter(b.m, w, now)
	return errors.Join(err, b.write(ctx, w, k, now))
}

// turn begins the pages of windows that are new.
func (k *book) turn(w *watch, report *configs.DriftReport) {
	wanted := w.streams()
	for name := range k.pages {
		if _, still := wanted[name]; !still {
			delete(k.pages, name)
		}
	}
	for name, s := range wanted {
		at, known := report.Windows[name]
		if known && at.Basis == s.basis && (k.pages[name] == nil || k.pages[name].window != at.Number) {
			k.pages[name] = &page{window: at.Number, started: at.Started, counts: map[string]*drift.Window{}}
			k.changed = true
		}
	}
}

// enter books what was counted since it was called last.
func (k *book) enter(m *Monitor, w *watch, now time.Time) {
	streams := w.streams()
	control, judged := streams[configs.DriftControl]
	for version, t := range w.targets {
		var guest *drift.Profile
		if judged && slices.Contains(control.versions, version) && control.profile != t.reference() {
			guest = control.profile
		}
		if t.reference() == nil || !k.open(streams, version) {
			t.host(guest)
			continue
		}
		taken, some := t.take()
		t.host(guest)
		if k.weeks[version] == nil || k.weeks[version].digest != t.version.Digest {
			k.weeks[version] = loadWeek(m, w.Name, t)
		}
		if !some {
			continue
		}
		k.changed = true
		k.weeks[version].add(taken.own, now)
		if own := k.pages[configs.DriftStreamOf(version)]; own != nil { // there is none where only the control is compared
			own.add(version, taken.own)
		}
		if judged && slices.Contains(control.versions, version) {
			for _, counted := range []*drift.Window{taken.own, taken.guest} {
				if counted != nil && counted.Profile() == control.profile {
					k.pages[configs.DriftControl].add(version, counted)
				}
			}
		}
		t.giveBack(taken)
	}
}

// open reports that every stream that a version is counted in has a page: what
// is counted before its first window begins waits for it.
func (k *book) open(streams map[string]stream, version string) bool {
	for name, s := range streams {
		if slices.Contains(s.versions, version) && k.pages[name] == nil {
			return false
		}
	}
	return true
}

// add counts for a version.
func (p *page) add(version string, counted *drift.Window) {
	sum := p.counts[version]
	if sum == nil || sum.Merge(counted) != nil {
		p.counts[version] = counted.Clone()
	}
}

// write writes the book where there is anything new.
func (b *books) write(ctx context.Context, w *watch, k *book, now time.Time) error {
	if !k.changed {
		return nil
	}
	c := k.written
	c.Model, c.Epoch, c.Instance, c.At, c.Streams = w.Name, b.m.opts.Epoch, b.m.opts.Instance, now.UTC(), k.encode(now)
	c = fitting(c)
	written, err := configs.PutDriftCounts(ctx, b.m.opts.Store, c)
	switch {
	case errors.Is(err, configs.ErrConflict):
		// Swept, or written although the answer was lost.
		b.m.opts.Wrote("drift", "conflict")
		if item, ok, again := b.m.opts.Store.Get(ctx, c.Key()); again == nil {
			k.written.Index = 0
			if ok {
				k.written.Index = item.Index
			}
		}
		return nil
	case err != nil:
		b.m.opts.Wrote("drift", "error")
		return err
	}
	b.m.opts.Wrote("drift", "ok")
	k.written, k.changed = written, false
	return nil
}

// encode are the pages as they are stored.
func (k *book) encode(now time.Time) []configs.DriftStream {
	var streams []configs.DriftStream
	for name, p := range k.pages {
		s := configs.DriftStream{Name: name, Window: p.window, Counts: map[string][]byte{}}
		for version, counts := range p.counts {
			s.Counts[version] = encodeWindow(counts)
			if week := k.weeks[version]; week != nil && name == configs.DriftStreamOf(version) {
				s.LastWeek = encodeWindow(week.before(p.started, now))
				s.Day = encodeWindow(week.day(now))
			}
		}
		streams = append(streams, s)
	}
	slices.SortFunc(streams, func(a, b configs.DriftStream) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return streams
}

func encodeWindow(w *drift.Window) []byte {
	if w == nil {
		return nil
	}
	encoded, err := w.MarshalBinary()
	if err != nil {
		panic("monitor: encode a window: " + err.Error())
	}
	return encoded
}

// fitting leaves out what is for display where counts would be too large.
func fitting(c configs.DriftCounts) configs.DriftCounts {
	size := 0
	for _, s := range c.Streams {
		size += len(s.LastWeek) + len(s.Day)
		for _, counts := range s.Counts {
			size += len(counts)
		}
	}
	for i := range c.Streams {
		if size*4/3 > configs.MaxDriftBytes-4<<10 {
			size -= len(c.Streams[i].Day)
			c.Streams[i].Day = nil
		}
	}
	return c
}

// close ends the book of a model that is followed no more.
func (b *books) close(ctx context.Context, name string, k *book) {
	k.save(b.m, name)
	if k.written.Index != 0 {
		if err := configs.DeleteDrift(ctx, b.m.opts.Store, k.written.Key(), k.written.Index); err != nil {
			return // again with the next round
		}
	}
	b.m.hide(name)
	delete(b.of, name)
}
