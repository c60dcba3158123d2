package measure

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segue-serving/segue/bench/load"
)

// sightings notes when the first answer under each configuration came, from
// the answers of the load itself: no other requests are sent to find out.
type sightings struct {
	highest atomic.Uint64

	mu   sync.Mutex
	seen []sighting
	more chan struct{}
}

type sighting struct {
	index uint64
	at    time.Time
}

func newSightings() *sightings { return &sightings{more: make(chan struct{})} }

// configIndex reads the index of the configuration that an answer was given
// under, 0 where it does not say.
func configIndex(a load.Answer) uint64 {
	index, err := strconv.ParseUint(string(a.Header("Segue-Config-Index")), 10, 64)
	if err != nil {
		return 0
	}
	return index
}

// note is called with every answer, by many goroutines.
func (s *sightings) note(index uint64, at time.Time) {
	if index <= s.highest.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if index <= s.highest.Load() {
		return
	}
	s.highest.Store(index)
	s.seen = append(s.seen, sighting{index, at})
	close(s.more)
	s.more = make(chan struct{})
}

// first waits for the first answer under an index, or a later one.
func (s *sightings) first(ctx context.Context, index uint64) (time.Time, error) {
	for {
		s.mu.Lock()
		seen, more := s.seen, s.more
		s.mu.Unlock()
		if i := slices.IndexFunc(seen, func(one sighting) bool { return one.index >= index }); i >= 0 {
			return seen[i].at, nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-more:
		}
	}
}
