package configs

import (
	"slices"
	"strings"
)

// nearest is the name that somebody probably meant, empty where none is near:
// the same but for case, hyphens and underscores, or few letters away.
func nearest(name string, names []string) string {
	best, bestDistance := "", 1+max(1, len(name)/3)
	if len(name) < 3 {
		bestDistance = 1
	}
	for _, candidate := range slices.Sorted(slices.Values(names)) {
		if plain(candidate) == plain(name) {
			return candidate
		}
		if d := distance(name, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

func didYouMean(name string, names []string) string {
	if best := nearest(name, names); best != "" {
		return ": did you mean " + best + "?"
	}
	return ""
}

func plain(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}

// distance counts the letters to insert, delete, replace or swap. Long names
// are cut: nobody means them.
func distance(a, b string) int {
	const most = 64
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
