package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/rollout"
)

const (
	// exchangeEvery is how often evidence is written and read, give or take
	// exchangeJitter of it, so that a fleet does not do so at the same moment.
	// It is never more often than once a second.
	exchangeEvery  = 1100 * time.Millisecond
	exchangeJitter = 0.09
	// sweepEvery is how often evidence of rollouts that have ended is swept.
	sweepEvery = time.Hour
)

// evidenceExchange writes this gateway's evidence to the store and reads the others', in
// its own goroutine. Without the store a gateway goes on deciding on its own.
type evidenceExchange struct {
	store   configs.Store
	log     *slog.Logger
	now     func() time.Time
	metrics *Metrics
	// epoch names this life of this gateway.
	epoch string
	news  func() // told that others have seen something new

	mu   sync.Mutex
	live []*liveRollout

	// What follows belongs to the goroutine.
	letters map[*liveRollout]*letters
	failing bool
	swept   time.Time
}

// letters are what was written and read for one rollout.
type letters struct {
	written configs.Evidence
	content []byte
	read    map[string]heard
}

// heard is another writer's evidence as it was read last.
type heard struct {
	index    uint64
	evidence *rollout.Evidence
}

func newExchange(opts Options, m *Metrics, epoch string, news func()) *evidenceExchange {
	return &evidenceExchange{store: opts.Store, log: opts.Log, now: opts.Now, metrics: m, epoch: epoch, news: news, letters: map[*liveRollout]*letters{},
		swept: opts.Now().Add(-time.Duration(rand.Int64N(int64(sweepEvery))))}
}

// follow says which rollouts are under way.
func (x *evidenceExchange) follow(live []*liveRollout) {
	x.mu.Lock()
	x.live = live
	x.mu.Unlock()
}

// run exchanges until ctx ends.
func (x *evidenceExchange) run(ctx context.Context) error {
	for {
		wait := time.Duration(float64(exchangeEvery) * (1 + exchangeJitter*(2*rand.Float64()-1)))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		x.round(ctx)
		if now := x.now(); now.Sub(x.swept) >= sweepEvery {
			x.swept = now
			x.sweep(ctx)
		}
	}
}

// round writes and reads once for each rollout.
func (x *evidenceExchange) round(ctx context.Context) {
	x.mu.Lock()
	live := x.live
	x.mu.Unlock()
	kept := make(map[*liveRollout]*letters, len(live))
	var failed error
	for _, l := range live {
		mail := x.letters[l]
		if mail == nil {
			mail = &letters{read: map[string]heard{}}
		}
		kept[l] = mail
		if err := errors.Join(x.write(ctx, l, mail), x.read(ctx, l, mail)); err != nil {
			failed = err
		}
	}
	x.letters = kept
	if failed != nil && !x.failing && ctx.Err() == nil {
		x.log.Warn("evidence of rollouts is not exchanged: this gateway decides on what it sees itself", "error", failed)
	}
	x.failing = failed != nil
}

// write writes this gateway's evidence where there is anything new.
func (x *evidenceExchange) write(ctx context.Context, l *liveRollout, mail *letters) error {
	seen := l.recorder.Snapshot()
	number := seen.Seq
	seen.Seq = 0 // another one every time
	content := seen.Encode()
	if mail.content != nil && bytes.Equal(content, mail.content) {
		return nil
	}
	seen.Seq = number
	text, err := json.Marshal(seen.Encode())
	if err != nil {
		return err
	}
	e := mail.written
	e.Model, e.Rollout, e.Epoch, e.At, e.Seen = l.model, l.id, x.epoch, x.now().UTC(), text
	if e, err = configs.PutEvidence(ctx, x.store, e); err != nil {
		outcome := "error"
		if errors.Is(err, configs.ErrConflict) {
			// Swept, or written although the answer was lost: read says where
			// the key is.
			outcome = "conflict"
		}
		x.metrics.StoreWrite("evidence", outcome)
		return err
	}
	x.metrics.StoreWrite("evidence", "ok")
	mail.written, mail.content = e, content
	return nil
}

// read takes what the others have written.
func (x *evidenceExchange) read(ctx context.Context, l *liveRollout, mail *letters) error {
	all, err := configs.ListEvidence(ctx, x.store, l.model, l.id)
	if err != nil {
		return err
	}
	mail.written.Index = 0
	changed := false
	others := make([]*rollout.Evidence, 0, len(all))
	read := make(map[string]heard, len(all))
	for _, e := range all {
		if e.Epoch == x.epoch {
			mail.written.Index = e.Index
			continue
		}
		h, known := mail.read[e.Epoch]
		if !known || h.index != e.Index {
			h, changed = heard{index: e.Index, evidence: x.decode(e)}, true
		}
		read[e.Epoch] = h
		if h.evidence != nil {
			others = append(others, h.evidence)
		}
	}
	mail.read = read
	if changed || l.others.Load() == nil {
		l.others.Store(&others)
		x.news()
	}
	return nil
}

// decode is one writer's evidence, nil where it cannot be read.
func (x *evidenceExchange) decode(e configs.Evidence) *rollout.Evidence {
	var raw []byte
	err := json.Unmarshal(e.Seen, &raw)
	var evidence *rollout.Evidence
	if err == nil {
		evidence, err = rollout.Decode(raw)
	}
	if err != nil {
		x.log.Warn("evidence that cannot be read does not count", "model", e.Model, "rollout", e.Rollout, "writer", e.Epoch, "error", err)
		return nil
	}
	return evidence
}

// sweep deletes evidence that nobody needs any more.
func (x *evidenceExchange) sweep(ctx context.Context) {
	x.mu.Lock()
	live := x.live
	x.mu.Unlock()
	_, err := configs.SweepEvidence(ctx, x.store, x.now(), func(model, id string) bool {
		for _, l := range live {
			if l.model == model && l.id == id {
				return true
			}
		}
		return false
	})
	if err != nil && ctx.Err() == nil {
		x.log.Warn("old evidence is not swept", "error", err)
	}
}
