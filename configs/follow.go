package configs

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// Follow takes a model's versions from a registry instead of Document.Versions.
// One gateway of the fleet asks the registry and writes a Resolution; all follow
// that, and never the registry.
type Follow struct {
	// From names the registered model: mlflow:models/mozart.
	From string `json:"from"`
	// Policy says which of its versions are loaded. Default is what the
	// process's MODEL_VERSION says: the latest, or one version.
	Policy FollowPolicy `json:"policy,omitzero"`
	// Interval is about how often the registry is asked, from 1s to 24h; default
	// 30s. It spreads by a fifth, so that registries are not asked by all at once.
	Interval Duration `json:"interval,omitempty"`
	// AllowBreaking and Attempt are those of Version, for all versions.
	AllowBreaking bool `json:"allow_breaking,omitempty"`
	Attempt       int  `json:"attempt,omitempty"`
}

// FollowPolicy says which versions of a registered model are loaded. At most one
// field is set; with none the process decides. In documents it is written
// latest, {latest: 3}, ["1", "2"] or {aliases: [champion, challenger]}.
type FollowPolicy struct {
	// Latest is how many of the newest are loaded.
	Latest int
	// Versions are names of versions.
	Versions []string
	// Aliases are names that the registry gives to versions. Weights and the
	// rollout may use them in the place of versions. Without weights the first
	// one answers.
	Aliases []string
}

// MarshalJSON writes a policy as documents do.
func (p FollowPolicy) MarshalJSON() ([]byte, error) {
	switch {
	case len(p.Versions) > 0:
		return json.Marshal(p.Versions)
	case len(p.Aliases) > 0:
		return json.Marshal(map[string][]string{"aliases": p.Aliases})
	case p.Latest > 1:
		return json.Marshal(map[string]int{"latest": p.Latest})
	case p.Latest == 1:
		return json.Marshal(LatestVersion)
	}
	return []byte("null"), nil
}

// IsZero reports that the process decides.
func (p FollowPolicy) IsZero() bool {
	return p.Latest == 0 && len(p.Versions) == 0 && len(p.Aliases) == 0
}

// Equal reports that two policies are the same.
func (p FollowPolicy) Equal(other FollowPolicy) bool {
	return p.Latest == other.Latest && slices.Equal(p.Versions, other.Versions) && slices.Equal(p.Aliases, other.Aliases)
}

// Or is the policy, or the one that a process's MODEL_VERSION stands for.
func (p FollowPolicy) Or(modelVersion string) FollowPolicy {
	switch {
	case !p.IsZero():
		return p
	case modelVersion == LatestVersion || modelVersion == "":
		return FollowPolicy{Latest: 1}
	}
	return FollowPolicy{Versions: []string{modelVersion}}
}

// String is the policy as JSON.
func (p FollowPolicy) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}

// Every is Interval with its default.
func (f *Follow) Every() time.Duration {
	if f.Interval == 0 {
		return DefaultFollowInterval
	}
	return time.Duration(f.Interval)
}

// ResolvedPrefix is the part of the store that holds resolutions.
const ResolvedPrefix = "resolved/"

// ResolvedKey is the key of a model's resolution.
func ResolvedKey(model string) string { return ResolvedPrefix + model }

// Resolution is what a registry had for a model when it last changed. One
// gateway writes it by check-and-set, and every gateway follows it.
type Resolution struct {
	// From and Policy are those of the document's follow block; for a document
	// that says something else it does not count.
	From   string       `json:"from"`
	Policy FollowPolicy `json:"policy,omitzero"`
	// Versions are those that the policy asks for, by name.
	Versions map[string]ResolvedVersion `json:"versions"`
	// Aliases name versions among them.
	Aliases map[string]string `json:"aliases,omitempty"`
	// By is the gateway that asked, At when it found this.
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// ResolvedVersion is where one version's artifact lies.
type ResolvedVersion struct {
	// URI names one version, never an alias.
	URI string `json:"uri"`
	// Digest is that of the artifact's manifest, empty where the artifact has
	// none.
	Digest string `json:"digest,omitempty"`
}

// ParseResolution reads a resolution like Parse.
func ParseResolution(e Entry) (*Resolution, error) {
	r := newReport()
	s := new(Resolution)
	if n := parseTree(e, r); n != nil {
		decode(n, s, r)
		checkResolution(s, r)
	}
	if err := r.err(e.Where); err != nil {
		return nil, err
	}
	return s, nil
}

// CanonicalResolution is Canonical for resolutions.
func CanonicalResolution(s *Resolution) []byte {
	full := *s
	if full.Versions == nil {
		full.Versions = map[string]ResolvedVersion{} // a mapping, where there are none
	}
	return marshalIndented(&full)
}

// Answers reports that the resolution is one for a follow block. A nil one is
// for none.
func (s *Resolution) Answers(f *Follow) bool {
	return s != nil && f != nil && s.From == f.From && s.Policy.Equal(f.Policy)
}

// Same reports that two resolutions say the same of the registry, whoever asked
// it and when.
func (s *Resolution) Same(other *Resolution) bool {
	return s != nil && other != nil && s.From == other.From && s.Policy.Equal(other.Policy) &&
		maps.Equal(s.Versions, other.Versions) && maps.Equal(s.Aliases, other.Aliases)
}

// Changes says in words what is another than in the resolution before, which may
// be nil: "champion moved from 3 to 4; version 4 is new".
func (s *Resolution) Changes(before *Resolution) string {
	if before == nil {
		before = &Resolution{}
	}
	var parts []string
	for _, alias := range sortedKeys(s.Aliases, before.Aliases) {
		was, is := before.Aliases[alias], s.Aliases[alias]
		switch {
		case was == is:
		case was == "":
			parts = append(parts, alias+" names version "+is)
		case is == "":
			parts = append(parts, alias+" names no version any more")
		default:
			parts = append(parts, alias+" moved from "+was+" to "+is)
		}
	}
	for _, version := range sortedKeys(s.Versions, before.Versions) {
		was, had := before.Versions[version]
		is, has := s.Versions[version]
		switch {
		case had && !has:
			parts = append(parts, "version "+version+" is not followed any more")
		case has && !had:
			parts = append(parts, "version "+version+" is new")
		case was != is:
			parts = append(parts, "version "+version+" has another artifact")
		}
	}
	return strings.Join(parts, "; ")
}

// sortedKeys are the names in both, as people order them.
func sortedKeys[V any](a, b map[string]V) []string {
	names := map[string]struct{}{}
	for _, m := range []map[string]V{a, b} {
		for name := range m {
			names[name] = struct{}{}
		}
	}
	return slices.SortedFunc(maps.Keys(names), CompareVersions)
}
