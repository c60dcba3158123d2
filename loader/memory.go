package loader

import (
	"context"
	"fmt"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/probe"
)

// Memory is how a device's memory stands, in bytes.
type Memory struct {
	// Left is what may still be taken, Limit what may be taken in all.
	Left, Limit int64
}

// Cost is what a version takes of its device's memory, in bytes, as the probe
// measured it in a process of its own.
type Cost struct {
	// Peak is the most that opening and running it took, Held what it took in
	// the end.
	Peak, Held int64
}

// costOf is the cost of all sessions of a version: they are opened one after
// the other. What was not measured costs at least its files.
func costOf(w Wanted, report probe.Report, files int64) Cost {
	sessions := int64(max(1, w.Instances))
	held := max(report.HeldMemory, 0)
	if report.PeakMemory <= 0 {
		held = files
	}
	return Cost{Peak: max(report.PeakMemory, held) + (sessions-1)*held, Held: sessions * held}
}

// filesOf is the size of all files of an artifact.
func filesOf(m *artifact.Manifest) (bytes int64) {
	for _, f := range m.Files {
		bytes += f.Size
	}
	return bytes
}

// How long after a version was closed its memory is back: the C library gives
// it back in the background.
const givenBack = 500 * time.Millisecond

// reserve waits for the room that a version needs beside those that are being
// opened, or says why it does not fit. Idle versions are unloaded where that
// helps. What is reserved is given back by release.
func (l *loading) reserve(ctx context.Context, cost Cost) *failure {
	if l.options.Memory == nil {
		return nil
	}
	device := memoryOf(l.try.wanted.Device)
	for {
		l.mu.Lock()
		l.try.cost = cost
		freed, others := l.freed, l.reservedBy(device)
		memory, known := l.options.Memory(device)
		if !known || cost.Peak <= memory.Left-others {
			l.try.reserved = cost.Peak
			l.mu.Unlock()
			return nil
		}
		if others == 0 {
			makes := l.makeRoom(device, cost.Peak-memory.Left, time.Now())
			l.mu.Unlock()
			return tooLarge(cost.Peak, memory, makes)
		}
		l.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return passing(causeMemory, ctx.Err())
		}
	}
}

// fits says why a version whose cost an earlier try found does not fit, before
// its files are fetched and read again.
func (l *loading) fits() *failure {
	if l.options.Memory == nil || l.try.cost.Peak == 0 {
		return nil
	}
	device := memoryOf(l.try.wanted.Device)
	l.mu.Lock()
	defer l.mu.Unlock()
	memory, known := l.options.Memory(device)
	if !known || l.reservedBy(device) > 0 || l.try.cost.Peak <= memory.Left {
		return nil
	}
	makes := l.makeRoom(device, l.try.cost.Peak-memory.Left, time.Now())
	return tooLarge(l.try.cost.Peak, memory, makes)
}

// reservedBy is what others have reserved of a device. The caller holds the
// lock.
func (l *loading) reservedBy(device string) (bytes int64) {
	for _, t := range l.tries {
		if t != l.try && memoryOf(t.wanted.Device) == device {
			bytes += t.reserved
		}
	}
	return bytes
}

// unreserve gives back what a try reserved: what it took by then is in the
// process's own. The caller holds the lock.
func (m *Manager) unreserve(t *try) {
	if t.reserved > 0 {
		t.reserved = 0
		m.roomCame()
	}
}

// roomCame wakes the loads that wait for room. The caller holds the lock.
func (m *Manager) roomCame() {
	close(m.freed)
	m.freed = make(chan struct{})
}

// retryShort has versions that did not fit tried again soon. The caller holds
// the lock.
func (m *Manager) retryShort() {
	soon := time.Now().Add(givenBack)
	for _, t := range m.tries {
		if t.state == StateFailed && t.short && t.retryAt.After(soon) {
			t.retryAt, t.status.RetryAt = soon, soon
		}
	}
	signal(m.wake)
}

// noRoom is the failure of a version that took all that was left while it was
// tried. How much it needs is not known: one idle version after the other is
// unloaded for it, where its files alone would fit then.
func (l *loading) noRoom(err *probe.NoRoom) *failure {
	device := memoryOf(l.try.wanted.Device)
	of, then := "", ""
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.options.Memory != nil {
		if memory, known := l.options.Memory(device); known {
			of = ", of " + mebibytes(memory.Limit)
		}
		then = ": " + whatNext(l.makeRoom(device, max(1, filesOf(l.artifact.Manifest)-err.Left), time.Now()))
	}
	return passing(causeMemory, fmt.Errorf("%w%s%s", err, of, then))
}

// tooLarge is the refusal of a version that does not fit.
func tooLarge(need int64, memory Memory, makesRoom bool) *failure {
	return passing(causeMemory, fmt.Errorf("needs %s, %s are left of %s: %s",
		mebibytes(need+1<<20-1), mebibytes(max(0, memory.Left)), mebibytes(memory.Limit), whatNext(makesRoom)))
}

func whatNext(makesRoom bool) string {
	if makesRoom {
		return "idle versions are unloaded for it"
	}
	return "it is tried again when there is room"
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
