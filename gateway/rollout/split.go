package rollout

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// Arm is one version's relative share of a split.
type Arm struct {
	Version string
	// Weight is finite and not negative; arms without weight are never
	// chosen.
	Weight float64
}

// Split assigns callers to the versions of one model by weight. It is
// immutable and safe for concurrent use.
//
// The assignment is weighted rendezvous hashing (Schindelhauer and Schomaker,
// 2005): an arm's score for a key is an exponential variate drawn from the
// hash of (salt, version, key), divided by its weight; the smallest wins. So
// each arm gets keys in proportion to its weight, raising an arm's share only
// adds keys to it and lowering it only takes some away, whatever the number of
// arms, and another salt gives an independent assignment.
type Split struct {
	arms   []Arm
	seeds  []uint64  // hash of salt and version, by arm
	shares []float64 // cumulative, the last is 1
}

// NewSplit returns the split of the arms under salt. The order of the arms
// does not matter. It refuses weights that are negative, not finite, or all
// zero, and versions named twice.
func NewSplit(salt string, arms []Arm) (*Split, error) {
	s := &Split{}
	total := 0.0
	for _, a := range arms {
		if a.Weight < 0 || math.IsNaN(a.Weight) || math.IsInf(a.Weight, 0) {
			return nil, fmt.Errorf("weight %v of version %s: want a finite number that is not negative", a.Weight, a.Version)
		}
		if a.Weight > 0 {
			s.arms = append(s.arms, a)
			total += a.Weight
		}
	}
	if total <= 0 || math.IsInf(total, 0) {
		return nil, errors.New("weights: want a positive, finite sum")
	}
	slices.SortFunc(s.arms, func(a, b Arm) int { return strings.Compare(a.Version, b.Version) })
	sum := 0.0
	for i, a := range s.arms {
		if i > 0 && a.Version == s.arms[i-1].Version {
			return nil, fmt.Errorf("version %s is named twice", a.Version)
		}
		sum += a.Weight
		s.shares = append(s.shares, sum/total)
		s.seeds = append(s.seeds, seed(salt, a.Version))
	}
	s.shares[len(s.shares)-1] = 1
	return s, nil
}

// seed hashes salt and version with their lengths, so that no two pairs run
// together.
func seed(salt, version string) uint64 {
	var h xxhash.Digest
	h.Reset()
	fmt.Fprintf(&h, "%d:%s%d:%s", len(salt), salt, len(version), version)
	return h.Sum64()
}

// Choose returns the version that answers this key. The same key under the
// same salt gives the same version on every gateway.
func (s *Split) Choose(key []byte) string {
	if len(s.arms) == 1 {
		return s.arms[0].Version
	}
	hash := xxhash.Sum64(key)
	best, lowest := 0, math.Inf(1)
	for i := range s.arms {
		score := -math.Log(unit(mix(hash^s.seeds[i]))) / s.arms[i].Weight
		if score < lowest {
			best, lowest = i, score
		}
	}
	return s.arms[best].Version
}

// ChooseRandom returns the version for a request without a key, given a number
// drawn uniformly from [0, 1).
func (s *Split) ChooseRandom(u float64) string {
	for i, share := range s.shares {
		if u < share {
			return s.arms[i].Version
		}
	}
	return s.arms[len(s.arms)-1].Version
}

// Share returns the part of the traffic that version gets, between 0 and 1.
func (s *Split) Share(version string) float64 {
	before := 0.0
	for i, a := range s.arms {
		if a.Version == version {
			return s.shares[i] - before
		}
		before = s.shares[i]
	}
	return 0
}

// Versions returns the versions that have weight, sorted by name.
func (s *Split) Versions() []string {
	names := make([]string, len(s.arms))
	for i, a := range s.arms {
		names[i] = a.Version
	}
	return names
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every
// output bit depends on every input bit, which xor with a seed alone does not
// give.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit maps a hash to (0, 1): never 0, whose logarithm is infinite, and never
// 1, whose logarithm would tie every arm at 0.
func unit(x uint64) float64 { return (float64(x>>11) + 0.5) / (1 << 53) }
