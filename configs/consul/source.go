package consul

import (
	"bytes"
	"context"
	"maps"
	"sync"
	"time"

	"github.com/segue-serving/segue/configs"
)

// Run implements configs.Source. Where Consul cannot be read for a second it
// publishes the last good copy, and the real configuration when Consul is
// there. Snapshots come in the order in which they count: after a Consul that
// was set up anew a later one has a lower Index.
func (f *Fleet) Run(ctx context.Context, publish func(configs.Snapshot)) error {
	copied, haveCopy := f.loadCopy()
	answers := make(chan answer)
	w := &watch{fleet: f, limit: newBucket(readRate, readBurst), answers: answers}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { w.run(ctx) })

	p := &publisher{fleet: f, publish: publish, ledger: newLedger(copied, haveCopy), warned: map[string]bool{}}
	if haveCopy {
		offered := fromDisk(copied)
		p.copied = &offered
		p.saved = p.ledger.toSave()
	}
	first := time.NewTimer(f.tempo.first)
	defer first.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-answers:
			p.take(a, time.Now())
		case <-first.C:
			if p.last == nil {
				p.offerCopy("Consul cannot be read")
			}
		}
	}
}

// publisher decides what of the answers is passed on, and keeps the copy.
type publisher struct {
	fleet   *Fleet
	publish func(configs.Snapshot)
	ledger  *ledger
	// copied is the copy that was found at start, nil once it was published or
	// is of no use any more.
	copied *configs.Snapshot
	last   *configs.Snapshot
	saved  configs.Snapshot
	warned map[string]bool
}

func (p *publisher) take(a answer, now time.Time) {
	lostBefore := len(p.ledger.lost)
	s, ok := p.ledger.judge(a, now)
	if !ok {
		p.warn("stale", "Consul has no leader, and what a server without one holds is older or less than what is known: not taken")
		return
	}
	if !a.stale {
		p.fleet.regain(now)
	}
	p.report(a, lostBefore)
	if p.last == nil && !s.Authoritative && p.lacks(s) {
		// What serves must not depend on when the process was started: a
		// process that runs would keep these models.
		p.offerCopy("Consul's answer lacks models and is not authoritative")
	}
	if p.last == nil || differs(*p.last, s) {
		p.last, p.copied = &s, nil
		p.publish(s)
	}
	p.save()
}

// lacks reports that the copy holds models which the snapshot does not.
func (p *publisher) lacks(s configs.Snapshot) bool {
	if p.copied == nil {
		return false
	}
	for name := range p.copied.Models {
		if _, there := s.Models[name]; !there {
			return true
		}
	}
	return false
}

func (p *publisher) offerCopy(why string) {
	if p.copied == nil {
		return
	}
	p.fleet.log.Warn("starting from the last good configuration", "reason", why, "index", p.copied.Index, "models", len(p.copied.Models))
	p.last, p.copied = p.copied, nil
	p.publish(*p.last)
}

// report tells people what is unusual in an answer, each thing once.
func (p *publisher) report(a answer, lostBefore int) {
	for _, key := range a.ignored {
		p.warn(key, "key ignored: a model's name has no slash", "key", key)
	}
	if a.complete {
		delete(p.warned, "incomplete")
	} else if !a.stale {
		p.warn("incomplete", "Consul's answer is not complete, so no deletion counts: this token may not read all of the prefix, or the keys change all the time",
			"prefix", p.fleet.prefix)
	}
	if lost := p.ledger.lostKeys(); len(lost) > lostBefore {
		p.fleet.log.Warn("Consul's history went back and these keys are missing since: they were not deleted and what they configure stays; write them again (and delete what is not wanted), until then no deletion counts",
			"keys", lost)
	}
}

func (p *publisher) warn(once, message string, args ...any) {
	if !p.warned[once] {
		p.warned[once] = true
		p.fleet.log.Warn(message, args...)
	}
}

// differs reports that b says something that a did not. The index of the set
// alone says nothing, and neither does an authority that was lost: nothing is
// missing that was not missing before.
func differs(a, b configs.Snapshot) bool {
	return a.FromLastGood != b.FromLastGood || (b.Authoritative && !a.Authoritative) || !sameContent(a, b)
}

func sameContent(a, b configs.Snapshot) bool {
	same := func(a, b configs.Entry) bool {
		return a.Index == b.Index && a.WrittenByTool == b.WrittenByTool && a.Where == b.Where && bytes.Equal(a.Value, b.Value)
	}
	if (a.Settings == nil) != (b.Settings == nil) || (a.Settings != nil && !same(*a.Settings, *b.Settings)) {
		return false
	}
	return maps.EqualFunc(a.Models, b.Models, same) &&
		maps.EqualFunc(a.Overrides, b.Overrides, same) &&
		maps.EqualFunc(a.Resolved, b.Resolved, same)
}

// loadCopy reads the last good copy. A damaged one counts as none.
func (f *Fleet) loadCopy() (configs.Snapshot, bool) {
	if f.stateDir == "" {
		return configs.Snapshot{}, false
	}
	s, ok, err := configs.LoadLastGood(f.stateDir, f.source)
	if err != nil {
		f.log.Warn("no last good configuration", "err", err)
	}
	return s, ok
}

// save writes the copy where its content or its mark changed.
func (p *publisher) save() {
	s := p.ledger.toSave()
	if p.fleet.stateDir == "" || (sameContent(s, p.saved) && (s.Index == lossyIndex) == (p.saved.Index == lossyIndex) && p.saved.Models != nil) {
		return
	}
	if err := configs.SaveLastGood(p.fleet.stateDir, p.fleet.source, s); err != nil {
		p.warn("save", "the last good configuration cannot be kept: a restart needs Consul", "err", err)
		return
	}
	delete(p.warned, "save")
	p.saved = s
}

// lose and regain keep State and say so when it changes.
func (f *Fleet) lose(err error) {
	if before := f.State(); before.Connected || before.LastContactUnixNano == 0 && before.Err == errNotAsked {
		f.log.Warn("Consul cannot be read: what serves stays", "err", err)
	}
	f.failed(err)
}

func (f *Fleet) regain(now time.Time) {
	if !f.State().Connected {
		f.log.Info("Consul is read", "prefix", f.prefix)
	}
	f.contact(now)
}
