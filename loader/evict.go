package loader

import (
	"cmp"
	"slices"
	"time"
)

// why a version was unloaded while it was wanted, as
// segue_model_evictions_total labels it.
type eviction string

const (
	evictedIdle   eviction = "idle"
	evictedMemory eviction = "memory"
)

// Ask says that somebody wants to use a version that was unloaded because it
// was idle: it is brought back. It does nothing for any other, and is cheap.
func (m *Manager) Ask(w Wanted) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.tries {
		if t.wanted == w && !t.asked && (t.state == StateEvicted || t.state == StateDraining && t.evicting) {
			t.asked = true
			signal(m.wake)
		}
	}
}

// sweep notes which versions were used since it was called last, marks those
// that have been idle for their time, and asks for those that must be in memory
// by now. It returns when to look again. The caller holds the lock.
func (m *Manager) sweep(now time.Time) (next time.Time) {
	for _, t := range m.tries {
		terms := m.terms[t.wanted]
		if (t.state == StateEvicted || t.state == StateDraining && t.evicting) && !terms.evictable() {
			t.asked = true
		}
		t.evict = t.evict && terms.evictable()
		if t.state != StateReady || t.evict || !terms.evictable() {
			continue
		}
		m.noteUse(t, now)
		if now.Sub(t.used) >= terms.Idle {
			m.evict(t, evictedIdle)
			continue
		}
		if at := now.Add(min(terms.sweep(), terms.Idle-now.Sub(t.used))); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// noteUse sets the time of the last use to now where there was one since it was
// looked for last, or is one.
func (m *Manager) noteUse(t *try, now time.Time) {
	if t.resident.takeUsed() || t.resident.inUse() > 0 {
		t.used = now
	}
}

// evict has the plan unload a version. The caller holds the lock.
func (m *Manager) evict(t *try, why eviction) {
	t.evict = true
	signal(m.wake)
	m.options.Metrics.evicted(why)
	m.log(t).Info("version is unloaded until somebody asks for it", "why", string(why), "last_use", t.used, "bytes", t.cost.Held)
}

// makeRoom unloads idle versions of a device, those that were used longest ago
// first, until so many bytes will come free; none where that would not be
// enough. It reports whether it is. The caller holds the lock.
func (m *Manager) makeRoom(device string, bytes int64, now time.Time) bool {
	var idle []*try
	for _, t := range m.tries {
		if t.state == StateReady && t.evict || t.state == StateDraining {
			bytes -= t.cost.Held // it is on its way out already
			continue
		}
		terms := m.terms[t.wanted]
		if t.state != StateReady || !terms.evictable() || memoryOf(t.wanted.Device) != device {
			continue
		}
		if m.noteUse(t, now); now.Sub(t.used) >= terms.soonest() {
			idle = append(idle, t)
		}
	}
	slices.SortStableFunc(idle, func(a, b *try) int { return a.used.Compare(b.used) })
	n := 0
	for ; n < len(idle) && bytes > 0; n++ {
		bytes -= idle[n].cost.Held
	}
	if bytes > 0 {
		return false
	}
	for _, t := range idle[:n] {
		m.evict(t, evictedMemory)
	}
	return true
}

// memoryOf names the memory that a device takes: its own, or the machine's.
func memoryOf(device string) string { return cmp.Or(device, cpu) }

const cpu = "cpu"
