package consul

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/consul/api"
)

// watch follows the trees for ever and sends each answer on. It is one
// session after another: a session ends at the first failure, and the next
// starts from index 0, because a Consul that came back empty would keep a
// query that waits for an old index waiting.
type watch struct {
	fleet   *Fleet
	limit   *bucket
	answers chan<- answer
	// silences counts sessions in a row that were given up because Consul
	// answered pings and not reads.
	silences atomic.Int64
	// lastRead is how long the last read took, in nanoseconds.
	lastRead atomic.Int64
}

// errSilent ends a session whose read hangs while Consul answers pings: the
// request was lost with an outage that is over.
var errSilent = errors.New("a read stays without an answer")

func (w *watch) run(ctx context.Context) {
	tempo := w.fleet.tempo
	// Refusals are counted apart: one right after a long outage, from a Consul
	// that does not know its tokens yet, must not wait as long as the tenth.
	failures, refusals := 0, 0
	for ctx.Err() == nil {
		s := &session{watch: w, wake: make(chan struct{}, 1)}
		s.beganReading()
		err := s.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if s.delivered {
			failures, refusals = 0, 0
		}
		w.fleet.lose(err)
		switch {
		case errors.Is(err, errSilent):
			// Consul is there: ask again at once, but with more patience.
			w.silences.Add(1)
		case isForbidden(err):
			w.awaitToken(ctx, jittered(tempo.backoff, tempo.refused, refusals))
			refusals++
		default:
			if isNoLeader(err) {
				w.readStale(ctx)
			}
			sleep(ctx, jittered(tempo.backoff, tempo.outage, failures))
			failures++
		}
	}
}

// awaitToken waits, but not when the token file changes.
func (w *watch) awaitToken(ctx context.Context, d time.Duration) {
	file := w.fleet.client.token
	if file == nil {
		sleep(ctx, d)
		return
	}
	before, _ := file.read()
	for end := time.Now().Add(d); time.Now().Before(end); {
		if !sleep(ctx, min(w.fleet.tempo.pulse, time.Until(end))) {
			return
		}
		// Unreadable means unchanged, see read.
		if token, _ := file.read(); token != before {
			return
		}
	}
}

// readStale asks any server, because there is no leader to ask. What comes is
// taken only where it is not older and not less than what is known.
func (w *watch) readStale(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.fleet.tempo.pulse)
	defer cancel()
	a, err := w.fleet.readAll(ctx, stale)
	if err != nil {
		return // the failure that led here is known
	}
	select {
	case w.answers <- a:
	case <-ctx.Done():
	}
}

// session is one connected time of a watch.
type session struct {
	*watch
	wake chan struct{}
	// reading is when the read began that is not answered yet, in Unix
	// nanoseconds, or 0.
	reading atomic.Int64
	// pace is how long Consul took for its last answer, in nanoseconds.
	pace atomic.Int64
	// delivered is set once a read was passed on.
	delivered bool

	mu       sync.Mutex
	started  int
	indexes  [treeCount]uint64
	wentBack bool
	// floor is the index of the whole store when the session began. The index
	// of a tree falls when Consul forgets the last deletions in it, after a
	// quarter of an hour; that of the store falls only with its history.
	floor uint64
}

// nothing is a tree without keys: Consul gives it the index of the store.
const nothing = "none/"

func (s *session) beganReading() { s.reading.Store(time.Now().UnixNano()) }

// run returns the failure that ended the session, when all of it has ended.
func (s *session) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer fail(nil)
	for i := range treeCount {
		running.Go(func() {
			if i == 0 {
				_, meta, err := s.blockingKeys(ctx, nothing, 0)
				if err != nil {
					fail(err)
					return
				}
				s.mu.Lock()
				s.floor = meta.LastIndex
				s.mu.Unlock()
			}
			if err := s.follow(ctx, i); err != nil {
				fail(err)
			}
		})
	}
	running.Go(func() {
		if err := s.pulse(ctx); err != nil {
			fail(err)
		}
	})
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.wake:
		}
		if !s.limit.wait(ctx) {
			return context.Cause(ctx)
		}
		if err := s.deliver(ctx); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
	}
}

// deliver reads all trees and passes them on, once every tree is followed.
func (s *session) deliver(ctx context.Context) error {
	s.mu.Lock()
	ready, wentBack, known := s.started == treeCount, s.wentBack, s.floor
	for _, index := range s.indexes {
		known = max(known, index)
	}
	if ready {
		s.wentBack = false
	}
	s.mu.Unlock()
	if !ready {
		return nil
	}
	began := time.Now()
	s.beganReading()
	readCtx, cancel := context.WithTimeout(ctx, s.fleet.tempo.read)
	defer cancel()
	a, err := s.fleet.readAll(readCtx, consistent)
	if err != nil {
		return err
	}
	s.reading.Store(0)
	s.pace.Store(int64(time.Since(began)))
	s.lastRead.Store(int64(time.Since(began)))
	s.silences.Store(0)
	s.delivered = true
	a.wentBack = wentBack
	a.index = max(a.index, known)
	select {
	case s.answers <- a:
	case <-ctx.Done():
	}
	return nil
}

// follow asks again and again for the keys of one tree and wakes the session
// when they changed. The keys alone are asked for: the values come in the
// transaction.
func (s *session) follow(ctx context.Context, tree int) error {
	var index uint64
	empty, filtered := false, false
	for first := true; ; first = false {
		if !s.limit.wait(ctx) {
			return nil
		}
		asked := time.Now()
		keys, meta, err := s.blockingKeys(ctx, trees()[tree], index)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		// An index of 0 would make the next query return at once, for ever.
		now := max(meta.LastIndex, 1)
		fell := now < index
		early := now == index && time.Since(asked) < s.fleet.tempo.wait/2
		s.mu.Lock()
		if first {
			s.started++
		}
		s.indexes[tree] = now
		s.wentBack = s.wentBack || fell
		s.mu.Unlock()
		// A tree without keys has the index of the whole store: it moves with
		// each write anywhere, with every status of every gateway.
		still := empty && len(keys) == 0 && filtered == meta.ResultsFilteredByACLs && !fell
		changed := now != index || filtered != meta.ResultsFilteredByACLs
		// One of the trees wakes each time its query ends: what time alone
		// changes, and what no index shows, is seen within a minute.
		if first || early || (tree == 0 && !still) || (changed && !still) {
			select {
			case s.wake <- struct{}{}:
			default:
			}
		}
		empty, filtered = len(keys) == 0, meta.ResultsFilteredByACLs
		if index = now; fell {
			index = 0
		}
		// A query that ends before its time without a new index says that the
		// index is not to be trusted. It still woke the session, so that
		// nothing is missed, and is asked again slowly.
		if early && !sleep(ctx, s.fleet.tempo.pulse) {
			return nil
		}
	}
}

// blockingKeys returns the keys of a tree as soon as its index is larger, or
// after the waiting time. Index 0 does not wait.
func (s *session) blockingKeys(ctx context.Context, tree string, index uint64) ([]string, *api.QueryMeta, error) {
	tempo := s.fleet.tempo
	patience := tempo.read
	if index > 0 {
		// Consul adds up to a sixteenth.
		patience = tempo.wait + tempo.wait/16 + tempo.read
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	options := query(ctx, "")
	options.WaitIndex, options.WaitTime = index, tempo.wait
	keys, meta, err := s.fleet.client.KV().Keys(s.fleet.prefix+tree, "", options)
	if err == nil {
		err = vouched(meta)
	}
	return keys, meta, err
}

// pulse pings once a pulse. While a read is awaited an answer to a ping tells
// that the read was lost, and no answer tells nothing: a slow Consul may answer
// the read yet. While the watches wait, which can take a minute, no answer
// tells that they wait for nothing.
func (s *session) pulse(ctx context.Context) error {
	tempo := s.fleet.tempo
	for {
		asked := time.Now()
		readSince := s.reading.Load()
		// Three times its usual pace is patience enough with a slow Consul.
		patience := tempo.pulse
		if readSince == 0 {
			patience = min(max(3*time.Duration(s.pace.Load()), tempo.pulse), tempo.read)
		}
		pingCtx, cancel := context.WithTimeout(ctx, patience)
		err := s.fleet.client.ping(pingCtx)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case readSince != 0 && s.reading.Load() == readSince:
			allowed := max(tempo.pulse<<min(s.silences.Load(), 10), 3*time.Duration(s.lastRead.Load()))
			if err == nil && time.Since(time.Unix(0, readSince)) > min(allowed, tempo.read) {
				return errSilent
			}
		case readSince != 0:
			// The read came meanwhile.
		case err != nil:
			return fmt.Errorf("ping: %w", err)
		default:
			s.pace.Store(int64(time.Since(asked)))
			s.fleet.contact(time.Now())
		}
		pause := tempo.pulse
		if readSince != 0 {
			pause /= 2
		}
		// Spread over a fleet's gateways, never longer than the pause.
		pause -= jittered(pause/5, pause/5, 0)
		if !sleep(ctx, pause-time.Since(asked)) {
			return nil
		}
	}
}
