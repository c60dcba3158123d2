package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/segue-serving/segue/configs"
)

// auditor writes to the store what the gateway owes it: a record of each
// document that was written directly, and the deletion of overrides that have
// ended. It works in its own goroutine, because a slow store must not hold a
// configuration change up.
type auditor struct {
	store   configs.Store
	log     *slog.Logger
	now     func() time.Time
	metrics *Metrics
	jobs    chan auditJob
}

// auditJob is one write: its kind is the first part of the key.
type auditJob struct {
	kind, model string
	do          func(context.Context) error
}

// auditQueue bounds how much is owed to a store that is away; what comes on
// top is dropped and said.
const auditQueue = 1024

// auditRetry is how long a store that did not answer is left alone.
const auditRetry = 2 * time.Second

func newAuditor(store configs.Store, log *slog.Logger, now func() time.Time, metrics *Metrics) *auditor {
	return &auditor{store: store, log: log, now: now, metrics: metrics, jobs: make(chan auditJob, auditQueue)}
}

// run does the jobs in order until ctx ends.
func (a *auditor) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case job := <-a.jobs:
			a.finish(ctx, job)
		}
	}
}

// finish tries a job until the store answers or ctx ends.
func (a *auditor) finish(ctx context.Context, job auditJob) {
	for {
		err := job.do(ctx)
		switch {
		case err == nil:
			a.metrics.StoreWrite(job.kind, "ok")
			return
		case errors.Is(err, configs.ErrConflict):
			// Another gateway was quicker.
			a.metrics.StoreWrite(job.kind, "conflict")
			return
		case ctx.Err() != nil:
			return
		}
		a.metrics.StoreWrite(job.kind, "error")
		if !errors.Is(err, configs.ErrUnreachable) {
			a.log.Warn("cannot write to the configuration store", "kind", job.kind, "model", job.model, "error", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(auditRetry):
		}
	}
}

func (a *auditor) add(job auditJob) {
	select {
	case a.jobs <- job:
	default:
		a.log.Warn("too much is owed to the configuration store; left out", "kind", job.kind, "model", job.model)
	}
}

// document records a document that somebody wrote into the store directly,
// under the model's name or configs.AuditSettings. What seguectl wrote it
// recorded itself, knowing who and why.
func (a *auditor) document(name string, before, after configs.Entry, problems []string) {
	if after.WrittenByTool || after.Problem != "" {
		return
	}
	record := configs.AuditRecord{
		Model: name, Index: after.Index, Event: configs.EventDocument, At: a.now().UTC(),
		Who: configs.AuditWho{User: configs.DirectWriter}, Document: string(after.Value), Outcome: "accepted",
	}
	if before.Index != 0 {
		record.BeforeDigest = configs.EntryDigest(before.Value)
	}
	if len(problems) > 0 {
		record.Outcome = "refused: " + strings.Join(problems, "; ")
	}
	a.addRecord(record)
}

// addRecord owes the store a record.
func (a *auditor) addRecord(record configs.AuditRecord) {
	a.add(auditJob{"audit", record.Model, func(ctx context.Context) error { return configs.RecordAudit(ctx, a.store, record) }})
}

// dropOverride deletes a model's override if it is still the one at index, or
// writes what is left of it.
func (a *auditor) dropOverride(model string, index uint64, left *configs.Override) {
	write := configs.Write{Key: configs.OverrideKey(model), Delete: true, Index: index}
	if left != nil {
		write.Delete, write.Value = false, configs.CanonicalOverride(left)
	}
	a.add(auditJob{"overrides", model, func(ctx context.Context) error {
		_, err := a.store.Apply(ctx, write)
		return err
	}})
}
