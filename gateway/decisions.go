package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/segue-serving/segue/configs"
)

// decided is a decision about a rollout on its way into the store, and what
// became of it.
type decided struct {
	model string
	// doc is the document whose rollout it is about.
	doc *configs.Document
	// next is what is written over what stood at index, before, nil where there
	// was nothing.
	next   *configs.Override
	before []byte
	index  uint64
	// counts is why it counts as a rollback once it is written, empty where it
	// does not.
	counts string
	// written is the index of the write, err why there was none.
	written uint64
	err     error
}

// decisionWriter writes decisions to the store, each once: what could not be
// written is decided anew, on what stands by then. It works in its own
// goroutine, because a slow store must not hold a rollback up.
type decisionWriter struct {
	store   configs.Store
	log     *slog.Logger
	metrics *Metrics
	audit   *auditor
	who     string
	done    func() // told that there are results
	jobs    chan decided

	mu      sync.Mutex
	results []decided
}

func newDecisionWriter(opts Options, m *Metrics, audit *auditor, done func()) *decisionWriter {
	return &decisionWriter{store: opts.Store, log: opts.Log, metrics: m, audit: audit, who: gatewayName(opts.Instance), done: done,
		jobs: make(chan decided, auditQueue)}
}

// gatewayName is how a gateway signs what it decides.
func gatewayName(instance string) string { return "gateway " + instance }

// write hands a decision over and reports whether there was room for it. It
// never blocks.
func (w *decisionWriter) write(d decided) bool {
	select {
	case w.jobs <- d:
		return true
	default:
		return false
	}
}

// run writes until ctx ends.
func (w *decisionWriter) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-w.jobs:
			w.finish(ctx, d)
		}
	}
}

// finish writes one decision and its record.
func (w *decisionWriter) finish(ctx context.Context, d decided) {
	value := configs.CanonicalOverride(d.next)
	d.written, d.err = w.store.Apply(ctx, configs.Write{Key: configs.OverrideKey(d.model), Value: value, Index: d.index})
	switch {
	case d.err == nil:
		w.metrics.StoreWrite("overrides", "ok")
		w.audit.decision(d, w.who)
	case errors.Is(d.err, configs.ErrConflict):
		w.metrics.StoreWrite("overrides", "conflict")
	default:
		w.metrics.StoreWrite("overrides", "error")
		w.audit.unsure(d, string(value), w.who)
	}
	w.mu.Lock()
	w.results = append(w.results, d)
	w.mu.Unlock()
	w.done()
}

// take returns what became of decisions since it was called last.
func (w *decisionWriter) take() []decided {
	w.mu.Lock()
	defer w.mu.Unlock()
	results := w.results
	w.results = nil
	return results
}

// decision records a decision about a rollout that was written, with its
// numbers.
func (a *auditor) decision(d decided, who string) {
	record := d.record(who)
	a.add(auditJob{"audit", d.model, func(ctx context.Context) error { return configs.RecordAudit(ctx, a.store, record) }})
}

// unsure records a decision if it was written although the store's answer was
// lost: once the store answers again, it says what it holds.
func (a *auditor) unsure(d decided, text, who string) {
	a.add(auditJob{"audit", d.model, func(ctx context.Context) error {
		item, _, err := a.store.Get(ctx, configs.OverrideKey(d.model))
		if err != nil || string(item.Value) != text {
			return err
		}
		d.written = item.Index
		return configs.RecordAudit(ctx, a.store, d.record(who))
	}})
}

// record is the audit's record of a decision that was written.
func (d decided) record(who string) configs.AuditRecord {
	return configs.DecisionRecord(d.doc, d.written, d.before, d.next, configs.AuditWho{User: who})
}
