package configs

import (
	"errors"
	"maps"
	"slices"
)

// ErrUnresolved says that a document follows a registry which has not been asked
// for what the document wants now. It passes by itself.
var ErrUnresolved = errors.New("the registry that the document follows has not answered yet")

// Resolve is the document with what a registry has: with versions in the place of
// follow, and names of versions in the place of aliases. A document that follows
// nothing is returned as it is. The resolution may be nil; where it is not for
// this document the error is ErrUnresolved, and *Problems where the document
// names what the registry does not have.
//
// Where a rollout's two labels name one version there is nothing to roll out, and
// that version answers.
func (d *Document) Resolve(s *Resolution) (*Document, error) {
	if d.Follow == nil {
		return d, nil
	}
	if !s.Answers(d.Follow) {
		return nil, ErrUnresolved
	}
	full := *d
	full.Follow = nil
	full.Versions = make(map[string]Version, len(s.Versions))
	for name, v := range s.Versions {
		full.Versions[name] = Version{URI: v.URI, Digest: v.Digest, AllowBreaking: d.Follow.AllowBreaking, Attempt: d.Follow.Attempt}
	}
	to := &labels{resolution: s, report: newReport()}
	if len(s.Versions) == 0 {
		to.problem("follow", "the registry has no version that the policy asks for")
	}
	full.Traffic.Weights = renamed(to, "traffic.weights", d.Traffic.Weights, func(a, b float64) float64 { return a + b })
	full.Traffic.Names = renamed(to, "traffic.names", d.Traffic.Names, func(a, _ string) string { return a })
	full.Traffic.Shadow = renamed(to, "traffic.shadow", d.Traffic.Shadow, func(a, b float64) float64 { return max(a, b) })
	if d.Rollout != nil {
		rollout := *d.Rollout
		rollout.Stable, rollout.Canary = to.version("rollout.stable", rollout.Stable), to.version("rollout.canary", rollout.Canary)
		full.Rollout = &rollout
		if rollout.Stable == rollout.Canary {
			full.Rollout, full.Traffic.Weights = nil, map[string]float64{rollout.Stable: 100}
		}
	} else if len(d.Traffic.Weights) == 0 && len(d.Follow.Policy.Aliases) > 0 {
		first := d.Follow.Policy.Aliases[0]
		full.Traffic.Weights = map[string]float64{to.version("follow.policy.aliases", first): 100}
	}
	if err := to.err(""); err != nil {
		return nil, err
	}
	full.dropNeedlessShadows()
	return &full, nil
}

// dropNeedlessShadows takes out copies for versions that answer themselves, which
// two labels of one version make.
func (d *Document) dropNeedlessShadows() {
	maps.DeleteFunc(d.Traffic.Shadow, func(version string, _ float64) bool {
		return d.Traffic.Weights[version] > 0 || d.Rollout != nil && d.Rollout.Stable == version
	})
	if len(d.Traffic.Shadow) == 0 {
		d.Traffic.Shadow = nil
	}
}

// labels turns what a document calls versions into their names.
type labels struct {
	*report
	resolution *Resolution
}

// version is the name that a label stands for; what is nothing is a problem.
func (l *labels) version(path, label string) string {
	if _, ok := l.resolution.Versions[label]; ok {
		return label
	}
	if version, ok := l.resolution.Aliases[label]; ok {
		return version
	}
	l.problem(path, "the registry has no version or alias %q that the policy asks for, only %s", label, nameList(l.known()))
	return label
}

func (l *labels) known() map[string]struct{} {
	all := map[string]struct{}{}
	for name := range l.resolution.Versions {
		all[name] = struct{}{}
	}
	for name := range l.resolution.Aliases {
		all[name] = struct{}{}
	}
	return all
}

// renamed is a mapping by labels as one by versions; values of two labels for one
// version are joined.
func renamed[V any](l *labels, path string, by map[string]V, join func(a, b V) V) map[string]V {
	if by == nil {
		return nil
	}
	out := make(map[string]V, len(by))
	for _, label := range slices.Sorted(maps.Keys(by)) {
		version := l.version(keyPath(path, label), label)
		if before, ok := out[version]; ok {
			out[version] = join(before, by[label])
			continue
		}
		out[version] = by[label]
	}
	return out
}
