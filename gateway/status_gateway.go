package gateway

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
)

// statusPublisher keeps the newest status for the admin listener and hands
// changes to the announcer.
type statusPublisher struct {
	newest  atomic.Pointer[configs.GatewayStatus]
	updates chan []byte // holds at most the newest
}

func newStatusPublisher() *statusPublisher {
	p := &statusPublisher{updates: make(chan []byte, 1)}
	p.newest.Store(&configs.GatewayStatus{})
	return p
}

// set makes a status the newest one. Only the reconciler calls it.
func (p *statusPublisher) set(s configs.GatewayStatus) {
	old := p.newest.Load()
	p.newest.Store(&s)
	if statusEqual(*old, s) {
		return
	}
	encoded, err := s.Encode()
	if err != nil {
		panic("gateway: status does not encode: " + err.Error())
	}
	select {
	case <-p.updates:
	default:
	}
	p.updates <- encoded
}

// statusEqual compares what two statuses say, their time apart.
func statusEqual(a, b configs.GatewayStatus) bool {
	a.At, b.At = time.Time{}, time.Time{}
	x, errX := a.Encode()
	y, errY := b.Encode()
	return errX == nil && errY == nil && string(x) == string(y)
}

// gatewayStatus says where everything stands.
func (r *reconciler) gatewayStatus(now time.Time) configs.GatewayStatus {
	source := r.opts.Source.State()
	s := configs.GatewayStatus{
		Instance: r.opts.Instance, Version: r.opts.Version, At: now.UTC(), Ready: r.ready && !r.draining.Load(),
		Config: configs.ConfigStatus{
			Connected: source.Connected, FromLastGood: r.snapshot.FromLastGood, SentinelPresent: r.snapshot.Settings != nil,
			Frozen: r.frozen(), Index: r.snapshot.Index,
		},
		Models: make(map[string]configs.ModelStatus, len(r.models)),
	}
	for name, m := range r.models {
		s.Models[name] = r.modelStatus(m, now)
	}
	return s
}

func (r *reconciler) modelStatus(m *modelState, now time.Time) configs.ModelStatus {
	s := configs.ModelStatus{
		WantedIndex: m.newest.Index, Rejected: m.problems, Waiting: r.waitingFor(m, now),
		Versions: map[string]configs.VersionStatus{}, Weights: r.weightsInForce(m),
	}
	if m.newest.Value != nil {
		s.WantedDigest = configs.EntryDigest(m.newest.Value)
	}
	if m.inForce != nil {
		s.Index, s.Digest = m.inForce.entry.Index, configs.EntryDigest(m.inForce.entry.Value)
	}
	if newest := cmp.Or(m.wanted, m.inForce, m.lastGood); newest != nil {
		if hold := r.steer(m.name, newest.doc, now).Hold; hold != nil {
			s.Override = &configs.OverrideStatus{Kind: hold.Kind, By: hold.By, Reason: hold.Reason, Until: hold.Until, Weights: hold.Weights}
		}
	}
	s.Rollout = r.rolloutStatus(m, now)
	s.Follow = r.followStatus(m)
	if !m.missingSince.IsZero() && !m.guarded {
		end := m.missingSince.Add(r.settings.inForce.Grace()).UTC()
		s.Deleting = &end
	}
	for _, a := range []*accepted{cmp.Or(m.inForce, m.lastGood), m.wanted} {
		if a == nil {
			continue
		}
		for version := range a.doc.Versions {
			w := r.wantedVersion(m, a, version)
			res, st := r.loader.Lookup(w)
			v := configs.VersionStatus{
				State: st.State.String(), Reason: st.Reason, Warnings: st.Warnings, Digest: st.Digest, Since: st.Since.UTC(), Execution: execution(res),
				Quality: r.metrics.quality(m.name, version), Drift: r.monitor.Status(m.name, version),
			}
			if st.SignedBy != nil {
				v.SignedBy = st.SignedBy.String()
			}
			if st.State == loader.StateFetching {
				v.FetchedBytes, v.SizeBytes = st.Fetched, st.Size
			}
			if st.Reason != "" {
				v.Attempt = st.Attempt
			}
			if st.State == loader.StateFailed && !st.RetryAt.IsZero() {
				v.RetryAt = st.RetryAt.UTC()
			}
			if res != nil {
				if err := r.signatures.unsigned(w, st.SignedBy); err != nil {
					v.Reason = "serves on, though " + err.Error()
				}
			}
			if st.Cost != (loader.Cost{}) {
				v.Memory = &configs.MemoryStatus{Peak: st.Cost.Peak, Held: st.Cost.Held}
			}
			if compatibility, ok := m.compatibility[version]; ok {
				v.Compatibility = &compatibility
			}
			s.Versions[version] = v
		}
	}
	return s
}

// execution says how a version in memory runs its requests, nil where it is in
// none.
func execution(res *loader.Resident) *configs.ExecutionStatus {
	if res == nil {
		return nil
	}
	i := res.Instance().(Instance)
	p := i.Plan()
	return &configs.ExecutionStatus{
		Mode: p.Mode, Workers: p.Workers, Instances: p.Sessions, FixedNS: p.Fixed.Nanoseconds(), PerRowNS: p.PerRow.Nanoseconds(),
		MaxBatch: p.MaxBatch, Batching: p.Batching, Queue: i.Stats().QueueLimit,
	}
}

// waitingFor says what stands between the newest state of the model's keys and
// its coming into force, empty when nothing does.
func (r *reconciler) waitingFor(m *modelState, now time.Time) string {
	var parts []string
	if m.frozen {
		parts = append(parts, "settings.freeze is on: the newest document is not taken")
	}
	if m.waiting != "" {
		parts = append(parts, m.waiting)
	}
	if waiting := r.waitingForRegistry(m); waiting != "" {
		parts = append(parts, waiting)
	}
	if newest := cmp.Or(m.wanted, m.inForce, m.lastGood); newest != nil {
		if s := r.steer(m.name, newest.doc, now); s.Problem != nil {
			parts = append(parts, "the hold by "+r.overrideOf(m.name, newest.doc).By+" does not apply: "+s.Problem.Error())
		}
	}
	switch {
	case !m.absent:
	case m.guarded:
		parts = append(parts, "its document is missing, and so are most others: it goes when it is deleted by name")
	case r.frozen():
		parts = append(parts, "settings.freeze is on: its document is missing, and it serves on")
	case m.missingSince.IsZero():
		parts = append(parts, "its document is missing from an answer that may not be whole: it serves on")
	}
	return strings.Join(parts, "; ")
}

// weightsInForce are the shares that answer now, nil while the model does not
// serve.
func (r *reconciler) weightsInForce(m *modelState) map[string]float64 {
	if m.inForce == nil {
		return nil
	}
	return shares(m.weights, m.inForce.doc)
}

// weightsWanted are the shares that the wanted document asks for.
func (r *reconciler) weightsWanted(m *modelState, now time.Time) map[string]float64 {
	if m.wanted == nil {
		return r.weightsInForce(m)
	}
	return shares(r.steer(m.name, m.wanted.doc, now).Weights, m.wanted.doc)
}

// shares turns relative weights into shares that sum to 1, with a 0 for every
// version of the document that has no weight.
func shares(weights map[string]float64, doc *configs.Document) map[string]float64 {
	total := 0.0
	for _, version := range slices.Sorted(maps.Keys(weights)) {
		total += weights[version]
	}
	out := make(map[string]float64, len(doc.Versions))
	for version := range doc.Versions {
		out[version] = weights[version] / total
	}
	return out
}
