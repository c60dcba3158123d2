package loader

import "slices"

// Lookup returns a version's status, and the version itself only while it is
// Ready. A version wanted again while an older resident of it drains is
// reported as the new one is.
func (m *Manager) Lookup(w Wanted) (*Resident, Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var past *try
	for _, t := range slices.Backward(m.tries) {
		if t.wanted != w {
			continue
		}
		if t.state == StateReady {
			return t.resident, t.snapshot()
		}
		if t.live() {
			return nil, t.snapshot()
		}
		if past == nil {
			past = t
		}
	}
	switch {
	case slices.Contains(m.wanted, w):
		return nil, Status{Wanted: w, State: StateWanted, Attempt: 1}
	case past != nil:
		return nil, past.snapshot()
	}
	return nil, Status{Wanted: w}
}

// Statuses returns the status of every version that is wanted, in memory, or
// was up to 15 minutes ago, oldest first.
func (m *Manager) Statuses() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Status, len(m.tries))
	for i, t := range m.tries {
		all[i] = t.snapshot()
	}
	return all
}

func (t *try) snapshot() Status {
	s := t.status
	s.Cost = t.cost
	if t.resident != nil {
		s.InUse = t.resident.inUse()
	}
	return s
}
