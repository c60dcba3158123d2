package drift

import (
	"math"
	"strconv"

	"github.com/segue-serving/segue/runtime"
)

func (p *Profile) validateSeries(found *problems, at string, f *Feature, s *Series, spec *runtime.TensorSpec) {
	categories := !f.Kind.ordered()
	switch {
	case categories && len(s.Edges) > 0:
		found.add(at+".edges", "a feature of kind %s has categories", f.Kind)
	case !categories && (len(s.Categories) > 0 || s.Other):
		found.add(at+".categories", "a feature of kind %s has edges", f.Kind)
	case len(s.Edges) > MaxBins+1 || len(s.Categories) > MaxBins:
		found.add(at, "more than the %d bins allowed", MaxBins)
	}
	validateEdges(found, at+".edges", s.Edges)
	validateCategories(found, at+".categories", f.Kind, s.Categories, spec.Type)
	if got, want := len(s.Reference.Bins), s.bins(); got != want {
		found.add(at+".reference.bins", "%d counts for %d bins", got, want)
		return
	}
	if total, ok := sum(s.Reference); !ok || total > p.Samples {
		found.add(at+".reference", "counts more than the profile's %d samples", p.Samples)
	}
	if s.Singletons > p.Samples {
		found.add(at+".singletons", "%d, more than the profile's %d samples", s.Singletons, p.Samples)
	}
	if len(s.Correct) == 0 {
		return
	}
	if f.Kind != Confidence || len(s.Correct) != len(s.Reference.Bins) {
		found.add(at+".correct", "has one count for each bin of a confidence")
		return
	}
	for i, n := range s.Correct {
		if n > s.Reference.Bins[i] {
			found.add(at+".correct", "bin %d has %d right answers of %d", i, n, s.Reference.Bins[i])
		}
	}
}

func validateEdges(found *problems, at string, edges []float64) {
	if len(edges) == 1 {
		found.add(at, "one edge makes no bin")
	}
	for i, e := range edges {
		switch {
		case math.IsNaN(e) || math.IsInf(e, 0):
			found.add(at, "edge %d is not finite", i)
		case i == 0 || e > edges[i-1] || len(edges) == 2 && e == edges[0]:
		default:
			found.add(at, "out of order: edge %d is %v after %v", i, e, edges[i-1])
			return
		}
	}
}

func validateCategories(found *problems, at string, kind Kind, categories []string, t runtime.DataType) {
	if kind == Boolean && len(categories) != 2 {
		found.add(at, "a boolean has the categories false and true")
		return
	}
	seen := map[string]bool{}
	for i, c := range categories {
		if seen[c] {
			found.add(at, "%q is there twice", clip(c))
		}
		seen[c] = true
		switch kind {
		case Boolean:
			if c != strconv.FormatBool(i == 1) {
				found.add(at, "a boolean has the categories false and true")
			}
		case Class:
			if n, err := strconv.Atoi(c); err != nil || n < 0 || strconv.Itoa(n) != c {
				found.add(at, "%q is not the position of a class", clip(c))
			}
		case Categorical:
			if _, ok := categoryBits(c, t); t != runtime.BYTES && !ok {
				found.add(at, "%q is not a whole number of type %s", clip(c), t)
			}
		}
	}
}

// categoryBits reads a category of whole numbers as the bits by which windows
// look it up, and refuses any but the one way to write it.
func categoryBits(s string, t runtime.DataType) (uint64, bool) {
	if t == runtime.UINT64 {
		n, err := strconv.ParseUint(s, 10, 64)
		return n, err == nil && strconv.FormatUint(n, 10) == s
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return uint64(n), err == nil && strconv.FormatInt(n, 10) == s
}

// sum adds counts up; ok is false where that overflows.
func sum(c Counts) (total uint64, ok bool) {
	for _, n := range append([]uint64{c.Missing, c.Unseen, c.Below, c.Above}, c.Bins...) {
		if total+n < total {
			return 0, false
		}
		total += n
	}
	return total, true
}
