package drift

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// number bins the reference's values of an ordered feature by their quantiles,
// or each by itself where they are few.
func (b *Builder) number(p *Profile, name string, values []float64) Series {
	finite := make([]float64, 0, len(values))
	infinite := 0
	for _, x := range values {
		switch {
		case math.IsInf(x, 0):
			infinite++
		case !math.IsNaN(x):
			finite = append(finite, x)
		}
	}
	slices.Sort(finite)
	s := Series{Edges: edges(finite, b.options.Bins)}
	switch {
	case len(finite) == 0:
		p.Notes = append(p.Notes, fmt.Sprintf("%s: no value in any row; any that comes counts as unseen", name))
	case finite[0] == finite[len(finite)-1]:
		p.Notes = append(p.Notes, fmt.Sprintf("%s: always %v; another value counts as out of range", name, finite[0]))
	}
	if infinite > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%s: %d infinite values count as out of range", name, infinite))
	}
	s.Reference.Bins = make([]uint64, s.bins())
	c := newColumn(&Feature{Kind: Numeric}, &s, 0, 0)
	counts := make([]uint64, atBins+len(s.Reference.Bins))
	for _, x := range values {
		c.number(counts, x)
	}
	copy(s.Reference.Bins, counts[atBins:])
	s.Reference.Missing, s.Reference.Unseen = counts[atMissing], counts[atUnseen]
	s.Reference.Below, s.Reference.Above = counts[atBelow], counts[atAbove]
	return s
}

// edges are those of at most this many bins with about as many of the sorted
// values each. Values that come often have a bin of their own, and where there
// are no more different values than bins, all have.
func edges(sorted []float64, bins int) []float64 {
	if len(sorted) == 0 {
		return nil
	}
	cuts := slices.Compact(slices.Clone(sorted))
	least, most := cuts[0], cuts[len(cuts)-1]
	if len(cuts) > bins {
		cuts = cuts[:1]
		for i := 1; i < bins; i++ {
			cuts = append(cuts, sorted[i*len(sorted)/bins])
		}
		cuts = slices.Compact(cuts)
	}
	// The last bin holds its upper edge, so that one for the greatest value
	// alone begins just below it.
	if last := len(cuts) - 1; last > 0 && cuts[last] == most {
		cuts[last] = math.Nextafter(most, least)
	}
	if cuts = slices.Compact(cuts); len(cuts) > 1 && cuts[len(cuts)-1] == most {
		return cuts
	}
	return append(cuts, most)
}

// category lists the most frequent texts, and counts unlisted others that
// already were left out.
func (b *Builder) category(p *Profile, name string, texts []string, unlisted int) Series {
	counts := map[string]uint64{}
	for _, t := range texts {
		counts[t]++
	}
	all := make([]string, 0, len(counts))
	var s Series
	for t, n := range counts {
		all = append(all, t)
		if n == 1 {
			s.Singletons++
		}
	}
	slices.SortFunc(all, func(x, y string) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y))
	})
	other := uint64(unlisted)
	if len(all) > b.options.Categories || unlisted > 0 {
		s.Other = true
		listed := min(b.options.Categories, len(all))
		for _, t := range all[listed:] {
			other += counts[t]
		}
		p.Notes = append(p.Notes, fmt.Sprintf("%s: %d of %d categories are listed, the others share a bin and new ones are not told from them", name, listed, len(all)))
		all = all[:listed]
	}
	s.Categories = all
	for _, t := range all {
		s.Reference.Bins = append(s.Reference.Bins, counts[t])
	}
	if s.Other {
		s.Reference.Bins = append(s.Reference.Bins, other)
	}
	if len(all) == 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("%s: no value in any row; any that comes counts as unseen", name))
	}
	return s
}
