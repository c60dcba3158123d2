package configs

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Bounds of what a document may ask a registry for.
const (
	minFollowInterval = time.Second
	maxFollowInterval = 24 * time.Hour
	maxFollowed       = 64
)

// fromPrefix begins the address of a registered model.
const fromPrefix = "mlflow:models/"

func checkFollow(d *Document, r *report) {
	f := d.Follow
	if r.at["versions"] != nil {
		r.problem("follow", "takes the versions from a registry: leave versions or follow out")
	}
	if at := "follow.from"; r.at[at] != nil && !r.spoilt(at) {
		if message := checkFrom(f.From); message != "" {
			r.problem(at, "%s", message)
		}
	}
	if at := "follow.interval"; r.at[at] != nil && !r.spoilt(at) && (f.Interval < Duration(minFollowInterval) || f.Interval > Duration(maxFollowInterval)) {
		r.problem(at, "must be from %s to %s, found %s", Duration(minFollowInterval), Duration(maxFollowInterval), f.Interval)
	}
	between(r, "follow.attempt", f.Attempt, math.MaxInt)
	checkFollowPolicy(f.Policy, "follow.policy", r)
}

// checkFrom says what is wrong with the address of a registered model.
func checkFrom(from string) string {
	name, ok := strings.CutPrefix(from, fromPrefix)
	switch {
	case !ok:
		return fmt.Sprintf("%s is no registered model: write %sNAME", quoteShort(from), fromPrefix)
	case name == "" || strings.ContainsAny(name, ":") || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return fmt.Sprintf("%s is no name of a registered model", quoteShort(name))
	case strings.ContainsAny(name, "/@"):
		return fmt.Sprintf("names one version: follow the model, %s, and say which of its versions in policy", quoteShort(fromPrefix+name[:strings.IndexAny(name, "/@")]))
	}
	return ""
}

func checkFollowPolicy(p FollowPolicy, path string, r *report) {
	if r.at[path] == nil || r.spoilt(path) {
		return
	}
	if p.Latest < 0 || p.Latest > maxFollowed || p.Latest == 0 && r.at[path+".latest"] != nil {
		r.problem(path+".latest", "must be from 1 to %d, found %d", maxFollowed, p.Latest)
	}
	names, at := p.Versions, path
	if r.at[path+".aliases"] != nil {
		names, at = p.Aliases, path+".aliases"
	}
	if len(names) == 0 && p.Latest == 0 && r.at[path+".latest"] == nil {
		r.problem(at, "empty: name at least one, or write latest")
	}
	if len(names) > maxFollowed {
		r.problem(at, "are %d, the most is %d", len(names), maxFollowed)
	}
	first := map[string]int{}
	for i, name := range names {
		if err := CheckName(name); err != nil {
			r.problem(indexPath(at, i), "%s", err)
			continue
		}
		once(r, first, name, i, indexPath(at, i), "the name of "+at)
	}
}

// checkLabel reports a name that a follow block cannot bring: with aliases they
// and numbers of versions are known, with a list of versions only those.
func checkLabel(f *Follow, name, path string, r *report) {
	if r.spoilt(path) || r.spoilt("follow") {
		return
	}
	known, numbers := slices.Concat(f.Policy.Versions, f.Policy.Aliases), len(f.Policy.Versions) == 0
	if slices.Contains(known, name) || numbers && strings.Trim(name, "0123456789") == "" {
		return
	}
	if len(known) == 0 {
		r.problem(path, "%q is no number of a version, and aliases have to be in follow.policy: {aliases: [%s]}", name, name)
		return
	}
	r.problem(path, "follow.policy does not bring %q, only %s%s", name, strings.Join(known, ", "), didYouMean(name, known))
}

func checkResolution(s *Resolution, r *report) {
	if r.at["from"] != nil && !r.spoilt("from") {
		if message := checkFrom(s.From); message != "" {
			r.problem("from", "%s", message)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Versions)) {
		path := keyPath("versions", name)
		if at := path + ".uri"; r.at[at] != nil && !r.spoilt(at) && !strings.HasPrefix(s.Versions[name].URI, strings.TrimSuffix(fromPrefix, "models/")) {
			r.problem(at, "%s is not of the registry", quoteShort(s.Versions[name].URI))
		}
		checkBasis(s.Versions[name].Digest, path+".digest", r)
	}
	checkFollowPolicy(s.Policy, "policy", r)
	for _, alias := range slices.Sorted(maps.Keys(s.Aliases)) {
		if _, ok := s.Versions[s.Aliases[alias]]; !ok && !r.spoilt("versions") {
			r.problem(keyPath("aliases", alias), "names version %q, which is not among the versions", s.Aliases[alias])
		}
	}
}
