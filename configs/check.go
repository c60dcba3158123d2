package configs

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds beyond which a number is a slip of the hand.
const (
	maxThreads   = 1024
	maxInstances = 64
	maxBatchSize = 1 << 20
	maxBurst     = 1 << 30
	maxSalt      = 256
)

// checkDocument reports what the types alone cannot say. Where decoding left a
// value out, checks that would need it keep silent.
func checkDocument(d *Document, e Entry, r *report) {
	if r.spoilt("") && len(r.at) <= 1 {
		return // not even a mapping
	}
	if !r.spoilt("model") {
		if err := CheckName(d.Model); err != nil {
			r.problem("model", "%s", err)
		} else if e.Name != "" && d.Model != e.Name {
			r.problem("model", "is %q, but the document is stored as %q: make them equal", d.Model, e.Name)
		}
	}
	switch {
	case d.Follow != nil:
		checkFollow(d, r)
	case r.at["versions"] == nil && r.at["follow"] == nil:
		r.problem("versions", "missing: name at least one version, or follow a registry")
	case r.at["versions"] != nil && len(d.Versions) == 0 && !r.spoilt("versions"):
		r.problem("versions", "empty: name at least one version")
	}
	for _, name := range slices.Sorted(maps.Keys(d.Versions)) {
		checkVersion(d.Versions[name], e, keyPath("versions", name), r)
	}
	checkTraffic(d, r)
	checkShadow(d, r)
	if d.Rollout != nil {
		checkRollout(d, r)
	}
	checkFeedback(d.Feedback, r)
	checkRuntime(d.Runtime, "runtime", r)
	checkMemoryLimits(d, r)
	checkLimits(d.Limits, r)
	checkSigners(d.RequireSignature, "require_signature", nil, r)
	oneOf(r, "nonfinite", d.NonFinite, NonFiniteError, NonFiniteNull, NonFiniteLiteral)
	if d.Drift != nil {
		checkDrift(d, r)
	}
}

func checkVersion(v Version, e Entry, path string, r *report) {
	uri, digest := path+".uri", path+".digest"
	if !r.spoilt(uri) && r.at[uri] != nil {
		if message := checkURI(v.URI); message != "" {
			r.problem(uri, "%s", message)
		} else if v.local() && !filepath.IsAbs(v.path()) && e.Base == "" {
			r.warn(uri, "a relative path, and the document lies in no folder: it counts from the gateway's working directory")
		}
	}
	if !r.spoilt(digest) && r.at[digest] != nil {
		if message := checkDigest(v.Digest); message != "" {
			r.problem(digest, "%s", message)
		}
	} else if r.at[path] != nil && !r.spoilt(path) {
		r.warn(path, "no digest: the first artifact seen is pinned")
	}
	between(r, path+".attempt", v.Attempt, math.MaxInt)
	checkRuntime(v.Runtime, path+".runtime", r)
}

func checkTraffic(d *Document, r *report) {
	t := d.Traffic
	for _, name := range slices.Sorted(maps.Keys(t.Names)) {
		path := keyPath("traffic.names", name)
		checkVersionName(d, name, path, r)
		switch variant := t.Names[name]; {
		case r.spoilt(path):
		case variant == "fallback":
			r.problem(path, "fallback is the name of answers that another version stood in for: choose another")
		default:
			if err := CheckName(variant); err != nil {
				r.problem(path, "%s", err)
			}
		}
	}
	warnSameNames(t.Names, r)
	checkSticky(t.Sticky, r)
	if r.at["traffic.testers.header"] != nil && !r.spoilt("traffic.testers.header") {
		if message := checkHeader(t.Testers.Header); message != "" {
			r.problem("traffic.testers.header", "%s", message)
		} else if strings.EqualFold(t.Testers.Header, t.Sticky.Header) {
			r.problem("traffic.testers.header", "the same as traffic.sticky.header: testers are told by a header of their own")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Weights)) {
		checkVersionName(d, name, keyPath("traffic.weights", name), r)
	}
	switch {
	case d.Rollout != nil:
		if r.at["traffic.weights"] != nil {
			r.problem("traffic.weights", "the rollout moves the weights: leave one of the two out")
		}
	case len(t.Weights) > 0:
		checkWeights(t.Weights, "traffic.weights", r)
	case r.at["traffic.weights"] != nil && !r.spoilt("traffic.weights"):
		r.problem("traffic.weights", "empty: name at least one version, or leave it out")
	case len(d.Versions) > 1 && !r.spoilt("traffic.weights"):
		r.warn("traffic.weights", "missing: of %s the version that the gateway's MODEL_VERSION names answers, by default the latest, %s",
			nameList(d.Versions), d.DefaultVersion(LatestVersion))
	}
}

// checkVersionName reports a name for which there is no version.
func checkVersionName(d *Document, name, path string, r *report) {
	if d.Follow != nil && len(d.Versions) == 0 {
		checkLabel(d.Follow, name, path, r)
		return
	}
	if _, ok := d.Versions[name]; ok || r.spoilt(path) || len(d.Versions) == 0 {
		return
	}
	r.problem(path, "there is no version %q, only %s%s", name, nameList(d.Versions),
		didYouMean(name, slices.Collect(maps.Keys(d.Versions))))
}

// checkWeights is for documents and overrides alike.
func checkWeights(weights map[string]float64, path string, r *report) {
	sum := 0.0
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		if weights[name] < 0 {
			r.problem(keyPath(path, name), "must not be negative, found %v", weights[name])
		}
		sum += weights[name]
	}
	switch {
	case r.spoilt(path):
	case sum == 0:
		r.problem(path, "all are 0: give at least one version a share")
	case math.IsInf(sum, 0):
		r.problem(path, "add up to more than can be counted: use smaller numbers")
	case sum != 100:
		var shares []string
		for _, name := range slices.Sorted(maps.Keys(weights)) {
			shares = append(shares, fmt.Sprintf("%s gets %s %%", name, strconv.FormatFloat(weights[name]/sum*100, 'g', 4, 64)))
		}
		r.warn(path, "add up to %v instead of 100: %s", sum, strings.Join(shares, ", "))
	}
}

func warnSameNames(names map[string]string, r *report) {
	first := map[string]string{}
	for _, version := range slices.Sorted(maps.Keys(names)) {
		if other, ok := first[names[version]]; ok {
			r.warn(keyPath("traffic.names", version), "the same name as version %q has: answers cannot be told apart by it", other)
		}
		first[names[version]] = version
	}
}

func checkSticky(s Sticky, r *report) {
	if r.at["traffic.sticky"] == nil || r.spoilt("traffic.sticky") {
		return
	}
	switch message := checkHeader(s.Header); {
	case s.Header == "" && s.Required:
		r.problem("traffic.sticky.required", "needs traffic.sticky.header: name the header that is required")
	case r.at["traffic.sticky.header"] != nil && message != "":
		r.problem("traffic.sticky.header", "%s", message)
	case s.Header == "":
		r.warn("traffic.sticky", "has no effect without a header")
	}
	if len(s.Salt) > maxSalt {
		r.problem("traffic.sticky.salt", "has %d bytes, the most is %d", len(s.Salt), maxSalt)
	}
}

func checkRuntime(rt Runtime, path string, r *report) {
	if at := path + ".device"; r.at[at] != nil && !r.spoilt(at) && !deviceRegexp.MatchString(rt.Device) {
		r.problem(at, "%s is not a device: write cpu, cuda or cuda:0 to cuda:99", quoteShort(rt.Device))
	}
	between(r, path+".threads", rt.Threads, maxThreads)
	between(r, path+".instances", rt.Instances, maxInstances)
	between(r, path+".max_batch_size", rt.MaxBatchSize, maxBatchSize)
	between(r, path+".max_dimension", rt.MaxDimension, math.MaxInt)
	if at := path + ".idle_unload"; r.at[at] != nil && !r.spoilt(at) && rt.IdleUnload > 0 && rt.IdleUnload < Duration(time.Second) {
		r.problem(at, "is %s: at least 1s, which is how exactly the last request is known", time.Duration(rt.IdleUnload))
	}
}

// checkMemoryLimits refuses a limit that no version could keep to: on the CPU
// the versions share the process's memory.
func checkMemoryLimits(d *Document, r *report) {
	const refusal = "bounds a device's memory, and %s on cpu: what the whole process may take there is its control group's to say"
	devices := 0
	if d.Follow != nil && d.RuntimeOf("", Runtime{}).Device != DefaultDevice {
		devices++
	}
	for _, name := range slices.Sorted(maps.Keys(d.Versions)) {
		own, path := d.Versions[name].Runtime, keyPath("versions", name)+".runtime"
		if r.spoilt(path+".device") || r.spoilt("runtime.device") || d.RuntimeOf(name, Runtime{}).Device != DefaultDevice {
			devices++
		} else if own.MemoryLimit > 0 {
			r.problem(path+".memory_limit", refusal, "this version runs")
		}
	}
	if devices == 0 && d.Runtime.MemoryLimit > 0 {
		r.problem("runtime.memory_limit", refusal, "all versions run")
	}
}

func checkLimits(l Limits, r *report) {
	checkRate(l.Rate, l.Burst, "limits", r)
	between(r, "limits.queue", l.Queue, math.MaxInt)
	if l.Timeout > Duration(time.Hour) {
		r.warn("limits.timeout", "is longer than an hour")
	}
	if l.QueueTime > 0 && l.QueueTime >= l.WithDefaults().Timeout && !r.spoilt("limits.timeout") {
		r.warn("limits.queue_time", "limits.timeout ends the wait before")
	}
}

// checkRate is for models and keys alike.
func checkRate(rate float64, burst int, path string, r *report) {
	if rate < 0 {
		r.problem(path+".rate", "must not be negative, found %v", rate)
	}
	between(r, path+".burst", burst, maxBurst)
	if burst > 0 && rate == 0 && !r.spoilt(path) && !r.spoilt(path+".rate") {
		r.warn(path+".burst", "has no effect without a rate")
	}
}

// between reports a number that is negative or more than the most.
func between(r *report, path string, n, most int) {
	switch {
	case n < 0:
		r.problem(path, "must not be negative, found %d", n)
	case n > most:
		r.problem(path, "must be at most %d, found %d", most, n)
	}
}

// oneOf reports a text that was given and is none of the known ones.
func oneOf(r *report, path, text string, known ...string) {
	if r.at[path] == nil || r.spoilt(path) || slices.Contains(known, text) {
		return
	}
	r.problem(path, "%s is not one of %s%s", quoteShort(text), strings.Join(known, ", "), didYouMean(text, known))
}

// nameList is for messages: the first names in order.
func nameList[V any](m map[string]V) string {
	names := slices.Sorted(maps.Keys(m))
	if len(names) > 8 {
		return strings.Join(names[:8], ", ") + fmt.Sprintf(" and %d more", len(names)-8)
	}
	return strings.Join(names, ", ")
}
