package gateway

import "sync"

// feedbackSeen remembers which predictions feedback came for, so that what is
// sent twice counts once. It forgets the oldest half when it is full: memory is
// bounded, and what comes twice comes soon.
type feedbackSeen struct {
	mu            sync.Mutex
	half          int
	newest, older map[feedbackKey]struct{}
}

// feedbackKey names a prediction and a kind of feedback about it.
type feedbackKey struct {
	millis int64
	number uint64
	kind   feedbackKind
}

// seenHalf is how many keys one half keeps: some 15 MB.
const seenHalf = 1 << 17

func newFeedbackSeen(half int) *feedbackSeen {
	return &feedbackSeen{half: half, newest: map[feedbackKey]struct{}{}, older: map[feedbackKey]struct{}{}}
}

// first reports that the key was not seen before, and remembers it.
func (s *feedbackSeen) first(k feedbackKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.newest[k]; there {
		return false
	}
	_, there := s.older[k]
	if there {
		return false
	}
	if len(s.newest) >= s.half {
		s.older, s.newest = s.newest, make(map[feedbackKey]struct{}, s.half)
	}
	s.newest[k] = struct{}{}
	return true
}
