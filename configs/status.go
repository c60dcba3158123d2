package configs

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// StatusPrefix is the part of the store under which each gateway publishes its
// GatewayStatus, by instance.
const StatusPrefix = "status/"

// MaxStatusBytes bounds one gateway's status as it is published.
const MaxStatusBytes = 16 << 10

// GatewayStatus is what one gateway says of itself: whether it is ready, how it
// stands with its configuration source, and what it has in force for each
// model. It lies under status/<instance> for as long as the gateway lives, so
// the keys there are the fleet. Readers accept fields that they do not know.
type GatewayStatus struct {
	// Instance is the name under which the gateway is seen.
	Instance string `json:"instance"`
	// Version is the version of the program.
	Version string `json:"version"`
	// At is when this status was made. It is not a heartbeat: a status is
	// published when something changed.
	At time.Time `json:"at"`
	// Ready is what /readyz answers.
	Ready bool `json:"ready"`
	// Config says how the gateway stands with its configuration source.
	Config ConfigStatus `json:"config"`
	// Models are all configured models by name, also those that have never
	// served and those that are about to go.
	Models map[string]ModelStatus `json:"models"`
	// Truncated reports that Encode left details out to keep the size.
	Truncated bool `json:"truncated,omitempty"`
}

// ConfigStatus says how a gateway stands with its configuration source.
type ConfigStatus struct {
	// Connected is false while the source cannot be read.
	Connected bool `json:"connected"`
	// FromLastGood reports that the configuration in force is the copy on
	// disk, because the source could not be reached at start.
	FromLastGood bool `json:"from_last_good,omitempty"`
	// SentinelPresent reports that settings exist; without them no deletion
	// counts.
	SentinelPresent bool `json:"sentinel_present"`
	// Frozen reports that settings.freeze is in force.
	Frozen bool `json:"frozen,omitempty"`
	// Index is the index of the newest snapshot read.
	Index uint64 `json:"index"`
}

// ModelStatus is what one gateway has in force for one model, and what it still
// wants.
type ModelStatus struct {
	// WantedIndex is the index of the newest document read, Index that of the
	// document in force; 0 where there is none yet. The two differ while the
	// newest document is refused or awaited.
	WantedIndex uint64 `json:"wanted_index"`
	Index       uint64 `json:"index"`
	// WantedDigest and Digest are the EntryDigest of those two documents,
	// empty where there is none. Encode may cut them: compare with Wants and
	// Enforces.
	WantedDigest string `json:"wanted_digest,omitempty"`
	Digest       string `json:"digest,omitempty"`
	// Rejected are the problems of the newest document, each with its place;
	// empty when it was accepted.
	Rejected []string `json:"rejected,omitempty"`
	// Waiting says what has to happen before the wanted document is in force
	// (a version that is still loading, a freeze); empty when nothing has to.
	Waiting string `json:"waiting,omitempty"`
	// Override is the override in force, nil where there is none.
	Override *OverrideStatus `json:"override,omitempty"`
	// Rollout is how the document's rollout stands, nil where it has none.
	Rollout *RolloutStatus `json:"rollout,omitempty"`
	// Follow says what registry the document follows, nil where it follows none.
	Follow *FollowStatus `json:"follow,omitempty"`
	// Weights are the shares in force by version, 0–1, summing to 1; empty
	// while the model does not serve.
	Weights map[string]float64 `json:"weights,omitempty"`
	// Versions are the versions in force and those wanted, by name.
	Versions map[string]VersionStatus `json:"versions,omitempty"`
	// Deleting is when the model stops being served, because its document was
	// deleted; nil while the document is there.
	Deleting *time.Time `json:"deleting,omitempty"`
}

// FollowStatus is what a gateway knows of the registry that a model's document
// follows.
type FollowStatus struct {
	From string `json:"from"`
	// Aliases name versions; By is the gateway that found them at At. They are
	// left out while nothing was found.
	Aliases map[string]string `json:"aliases,omitempty"`
	By      string            `json:"by,omitempty"`
	At      time.Time         `json:"at,omitzero"`
	// Problem is why this gateway, which asks for the fleet, could not ask the
	// last time.
	Problem string `json:"problem,omitempty"`
}

// OverrideStatus is an override as a gateway has it in force.
type OverrideStatus struct {
	Kind    OverrideKind       `json:"kind"`
	By      string             `json:"by"`
	Reason  string             `json:"reason"`
	Until   time.Time          `json:"until"`
	Weights map[string]float64 `json:"weights,omitempty"`
}

// States of a version on which readers of a status decide.
const (
	// VersionReady can answer.
	VersionReady = "Ready"
	// VersionFailed did not come to life.
	VersionFailed = "Failed"
)

// VersionStatus says where one version of a model stands in one gateway.
type VersionStatus struct {
	// State is the loader's: wanted, fetching, verifying, probing, opening,
	// warming, draining, evicted, gone, VersionReady or VersionFailed.
	State string `json:"state"`
	// Reason says why, where the state is VersionFailed, and why the last try
	// failed while the version is tried again; of one that serves, which rule of
	// now about signatures it does not keep.
	Reason string `json:"reason,omitempty"`
	// Attempt counts the tries of a version that has failed, and RetryAt is
	// when a Failed one is tried next; zero where it is not.
	Attempt int       `json:"attempt,omitempty"`
	RetryAt time.Time `json:"retry_at,omitzero"`
	// FetchedBytes and SizeBytes say how far a version is that is being
	// fetched; SizeBytes is 0 where that is not known.
	FetchedBytes int64 `json:"fetched_bytes,omitempty"`
	SizeBytes    int64 `json:"size_bytes,omitempty"`
	// SignedBy is who signed the artifact: a signer of the settings and, in
	// brackets, the subject of the certificate.
	SignedBy string `json:"signed_by,omitempty"`
	// Warnings came up while it was loaded, and refuse nothing.
	Warnings []string `json:"warnings,omitempty"`
	// Digest is that of the artifact's manifest, once known.
	Digest string `json:"digest,omitempty"`
	// Since is when the state was entered.
	Since time.Time `json:"since,omitzero"`
	// Compatibility says what the version's signature is to that of the model's
	// main version, nil of that one and of versions that are not in memory.
	Compatibility *CompatibilityStatus `json:"compatibility,omitempty"`
	// Memory is what the version takes of its device's memory, where that is
	// known.
	Memory *MemoryStatus `json:"memory,omitempty"`
	// Execution says how requests are run, of a version in memory.
	Execution *ExecutionStatus `json:"execution,omitempty"`
	// Quality is what feedback to this gateway said of the version since the
	// gateway began: at most one for labels and one for rewards.
	Quality []QualityStatus `json:"quality,omitempty"`
	// Drift says how the version is compared, nil where its document does not
	// ask for that.
	Drift *DriftStatus `json:"drift,omitempty"`
}

// MemoryStatus is what a version takes of its device's memory, in bytes, as it
// was measured when it was tried in a process of its own.
type MemoryStatus struct {
	// Peak is the most that loading it takes, which must be left before it is
	// loaded; Held what it takes in the end.
	Peak int64 `json:"peak_bytes"`
	Held int64 `json:"held_bytes"`
}

// Values of CompatibilityStatus.Is.
const (
	CompatibilitySame       = "same"
	CompatibilityCompatible = "compatible"
	CompatibilityBreaking   = "breaking"
)

// CompatibilityStatus says what the callers of one version have to change for
// another.
type CompatibilityStatus struct {
	// Than is the version that it is compared with: the stable one of a
	// rollout, else the one with the largest weight.
	Than string `json:"than"`
	// Is is same, compatible (callers need not change) or breaking (some must).
	// A breaking version takes no weight unless its document allows it.
	Is string `json:"is"`
	// Differences are all of them, those that break first.
	Differences []string `json:"differences,omitempty"`
}

// ExecutionStatus says how the requests of a version are run, as warming it up
// found best, with the figures that it was chosen by.
type ExecutionStatus struct {
	// Mode is inline (a request runs in its own goroutine) or worker (it is
	// handed over to one of Workers threads).
	Mode    string `json:"mode"`
	Workers int    `json:"workers"`
	// Instances is how many sessions there are.
	Instances int `json:"instances"`
	// FixedNS and PerRowNS are the cost of a run in nanoseconds: the first, and
	// the second for each row.
	FixedNS  int64 `json:"fixed_ns"`
	PerRowNS int64 `json:"per_row_ns"`
	// MaxBatch is how many rows of several requests may share a run, and
	// Batching why.
	MaxBatch int    `json:"max_batch"`
	Batching string `json:"batching"`
	// Queue is how many requests may wait.
	Queue int `json:"queue"`
}

// StatusKey is the key of an instance's status.
func StatusKey(instance string) string { return StatusPrefix + instance }

// ParseStatus reads a published status. Fields that it does not know are
// ignored, so that an older tool can read a newer gateway.
func ParseStatus(value []byte) (GatewayStatus, error) {
	var s GatewayStatus
	if err := json.Unmarshal(value, &s); err != nil {
		return GatewayStatus{}, fmt.Errorf("gateway status: %w", err)
	}
	return s, nil
}

// Encode writes the status in at most MaxStatusBytes. Where it does not fit,
// details are left out and Truncated is set, least needed first: long texts,
// the numbers of guards in rollouts that have ended, the digests and times of versions, versions that are ready, shares, the tails
// of digests, the versions of settled models, and in the end whole models,
// settled ones first (where there are more than about a hundred). What remains is true; s itself is not changed.
func (s GatewayStatus) Encode() ([]byte, error) {
	value, err := json.Marshal(s)
	if err != nil || len(value) <= MaxStatusBytes {
		return value, err
	}
	s.Truncated = true
	for _, trim := range []func(ModelStatus) ModelStatus{trimTexts, trimEndedRollout, trimVersionDetails, trimReadyVersions, trimWeights, trimGuards, trimDigests, trimSettled} {
		models := make(map[string]ModelStatus, len(s.Models))
		for name, m := range s.Models {
			models[name] = trim(m)
		}
		s.Models = models
		if value, err = json.Marshal(s); err != nil || len(value) <= MaxStatusBytes {
			return value, err
		}
	}
	return s.encodeFewer()
}

// encodeFewer keeps as many models as fit, those in trouble first.
func (s GatewayStatus) encodeFewer() ([]byte, error) {
	names := make([]string, 0, len(s.Models))
	for name := range s.Models {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := s.Models[names[i]].settled(), s.Models[names[j]].settled()
		if a != b {
			return b
		}
		return names[i] < names[j]
	})
	// The largest count that fits, by bisection: sort.Search finds the first
	// count that does not.
	var failure error
	keep := func(count int) []byte {
		some := make(map[string]ModelStatus, count)
		for _, name := range names[:count] {
			some[name] = s.Models[name]
		}
		fewer := s
		fewer.Models = some
		value, err := json.Marshal(fewer)
		if err != nil {
			failure = err
		}
		return value
	}
	fits := sort.Search(len(names), func(i int) bool { return len(keep(i+1)) > MaxStatusBytes })
	encoded := keep(fits)
	return encoded, failure
}

// Enforces reports that the document with this EntryDigest is in force.
func (m ModelStatus) Enforces(digest string) bool { return sameDigest(m.Digest, digest) }

// Wants reports that the document with this EntryDigest is the newest that the
// gateway has read.
func (m ModelStatus) Wants(digest string) bool { return sameDigest(m.WantedDigest, digest) }

// shortDigest is how many characters of a digest Encode keeps where space is
// short: the algorithm and 64 bits.
const shortDigest = len("sha256:") + 16

// sameDigest compares a published digest, which may be cut, with a whole one.
func sameDigest(published, digest string) bool {
	return published == digest || len(published) == shortDigest && strings.HasPrefix(digest, published)
}

// settled reports that all that is wanted of the model is in force.
func (m ModelStatus) settled() bool {
	return m.WantedDigest == m.Digest && m.Digest != "" && len(m.Rejected) == 0 && m.Waiting == "" && m.Deleting == nil
}

// maxStatusText is the length to which long texts are cut in a status that
// does not fit.
const maxStatusText = 160

func cutText(text string) string {
	runes := []rune(text)
	if len(runes) <= maxStatusText {
		return text
	}
	return string(runes[:maxStatusText-1]) + "…"
}

func trimTexts(m ModelStatus) ModelStatus {
	m.Waiting = cutText(m.Waiting)
	const few = 3
	rejected := make([]string, 0, few+1)
	for i, problem := range m.Rejected {
		if i == few {
			rejected = append(rejected, fmt.Sprintf("and %d more", len(m.Rejected)-few))
			break
		}
		rejected = append(rejected, cutText(problem))
	}
	m.Rejected = rejected
	m.Versions = mapVersions(m.Versions, func(v VersionStatus) (VersionStatus, bool) {
		v.Reason = cutText(v.Reason)
		v.Warnings = slices.Clone(v.Warnings)
		for i, w := range v.Warnings {
			v.Warnings[i] = cutText(w)
		}
		return v, true
	})
	return m
}

func trimVersionDetails(m ModelStatus) ModelStatus {
	m.Versions = mapVersions(m.Versions, func(v VersionStatus) (VersionStatus, bool) {
		v.Warnings, v.Compatibility, v.Memory, v.Digest, v.SignedBy, v.Since, v.Execution, v.Quality, v.Drift = nil, nil, nil, "", "", time.Time{}, nil, nil, nil
		v.Attempt, v.RetryAt, v.FetchedBytes, v.SizeBytes = 0, time.Time{}, 0, 0
		return v, true
	})
	return m
}

func trimReadyVersions(m ModelStatus) ModelStatus {
	m.Versions = mapVersions(m.Versions, func(v VersionStatus) (VersionStatus, bool) { return v, v.State != VersionReady })
	return m
}

func trimWeights(m ModelStatus) ModelStatus {
	m.Weights = nil
	if m.Override != nil {
		override := *m.Override
		override.Reason = cutText(override.Reason)
		m.Override = &override
	}
	return m
}

func trimDigests(m ModelStatus) ModelStatus {
	m.WantedDigest = m.WantedDigest[:min(len(m.WantedDigest), shortDigest)]
	m.Digest = m.Digest[:min(len(m.Digest), shortDigest)]
	return m
}

func trimSettled(m ModelStatus) ModelStatus {
	if m.settled() {
		m.Versions = nil
		if m.Rollout != nil && m.Rollout.ended() {
			m.Rollout = nil
		}
	}
	return m
}

func mapVersions(versions map[string]VersionStatus, change func(VersionStatus) (VersionStatus, bool)) map[string]VersionStatus {
	changed := make(map[string]VersionStatus, len(versions))
	for name, v := range versions {
		if v, keep := change(v); keep {
			changed[name] = v
		}
	}
	return changed
}
