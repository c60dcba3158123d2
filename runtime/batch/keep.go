package batch

import "time"

// A lane of long runs keeps one of its places free while short runs are made on
// the same cores, as long as that lets calls wait a little and not for good.
// Without that core a short run that begins while every core makes a long one
// depends on the kernel: it may have to wait until the kernel looks again, up to
// its next tick some milliseconds later, although the long ones stand back. On
// two cores, beside half of what they can do in runs of 1.6 ms, the slowest
// hundredth of short requests takes 0.8 to 1.1 ms with a place kept, 2 ms
// without, and 2.4 to 3.2 ms on a bare HTTP server beside bare loops.
const (
	// lately is how long ago the last short run may be where more are expected.
	lately = 10 * time.Millisecond
	// patience is how much work there may be for each of the other places before
	// the one that is kept has to help.
	patience = 25 * time.Millisecond
	// steady is how long calls may wait without a break before it has to: then
	// they are no burst, but more than the other places can do.
	steady = 100 * time.Millisecond
)

// note remembers that a short run is made. Whoever looks forgets it, so that
// there is one write for many runs.
func (l *lane) note() {
	if !l.used.Load() {
		l.used.Store(true)
	}
}

// besideShort reports whether short runs were made lately on the same cores.
func (l *lane) besideShort(now time.Time) bool {
	if l.beside == nil {
		return false
	}
	at := max(1, int64(now.Sub(l.begin)))
	if l.beside.used.Load() {
		l.beside.used.Store(false)
		l.lastShort.Store(at)
	}
	last := l.lastShort.Load()
	return last != 0 && at-last < int64(lately)
}

// yields reports whether a place is to be kept free now: not where that lets
// more calls wait than may. The caller holds mu.
func (l *lane) yields(now time.Time) bool {
	if l.places < 2 || !l.besideShort(now) {
		return false
	}
	if len(l.lines) > 0 && now.Sub(l.since) > steady {
		return false
	}
	for _, ln := range l.lines {
		if ln.queued > ln.limit {
			return false
		}
	}
	return l.running.Load()+l.work.Load() <= int64(patience)*int64(l.places-1)
}

// keep takes the last place that is free, if it is to be kept, and lets go of
// one that is not any more. It reports whether it did either. The caller holds
// mu.
func (l *lane) keep(now time.Time) bool {
	switch {
	case l.kept && !l.yields(now):
		l.unkeep()
		return true
	case !l.kept && l.free.Load() == 1 && l.yields(now) && l.take():
		l.kept = true
		return true
	}
	return false
}

// unkeep lets the next call have the place that was kept. The caller holds mu.
func (l *lane) unkeep() {
	l.kept = false
	if l.free.Load() != waited || !l.give(nil) {
		l.free.Add(1)
	}
}

// unkeepLast gives up a place that is kept from nobody any more. The caller
// holds mu.
func (l *lane) unkeepLast() {
	if l.kept && l.free.Load() == int64(l.places)-1 {
		l.unkeep()
	}
}
