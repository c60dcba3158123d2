package drift

import (
	"math"
	"math/bits"
)

const (
	// registerBits of a hash choose a HyperLogLog register: 1,024 of them.
	registerBits = 10
	// loadBits of a hash choose a bucket of the second moment: 4,096 of them,
	// for a standard error of √(2/4096) = 2.2 %.
	loadBits = 12
)

// units knows of whom the rows of a window are: how many units there are, and
// how unevenly they sent. Both sketches add up exactly, in any order.
//
// The HyperLogLog is our own because windows must not depend on the order in
// which they are merged nor allocate: those at hand begin sparse and allocate,
// or keep the low bits of registers only.
type units struct {
	anonymous uint64 // rows whose unit nobody knows
	registers [1 << registerBits]uint8
	// loads estimate the second moment Σ rows², by counts of random sign
	// (Charikar, Chen and Farach-Colton 2002; Thorup and Zhang 2004).
	loads [1 << loadBits]int64
}

func (u *units) add(unit, rows uint64) {
	if unit == 0 {
		u.anonymous += rows
		return
	}
	h := mix(unit)
	i := h >> (64 - registerBits)
	rank := uint8(bits.LeadingZeros64(h<<registerBits|1<<(registerBits-1)) + 1)
	u.registers[i] = max(u.registers[i], rank)
	h = mix(h)
	if h&1 == 0 {
		u.loads[h>>(64-loadBits)] += int64(rows)
	} else {
		u.loads[h>>(64-loadBits)] -= int64(rows)
	}
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood 2014), so that
// units need not be good hashes.
func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

func (u *units) merge(other *units) {
	u.anonymous += other.anonymous
	for i, r := range other.registers {
		u.registers[i] = max(u.registers[i], r)
	}
	for i, n := range other.loads {
		u.loads[i] += n
	}
}

// distinct is Ertl's improved estimator (New cardinality estimation algorithms
// for HyperLogLog sketches, 2017, algorithm 6), which needs no corrections.
func (u *units) distinct() uint64 {
	const m, q = 1 << registerBits, 64 - registerBits
	var histogram [q + 2]float64
	for _, r := range u.registers {
		histogram[r]++
	}
	if histogram[0] == m {
		return 0
	}
	z := m * tau(1-histogram[q+1]/m)
	for k := q; k >= 1; k-- {
		z = 0.5 * (z + histogram[k])
	}
	z += m * sigma(histogram[0]/m)
	return uint64(math.Round(m * m / (2 * math.Ln2) / z))
}

func sigma(x float64) float64 {
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += x * y
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}

// unevenness is Σ rows² / Σ rows over units, at least 1: the design effect
// (Kish 1965) where all rows of a unit are alike.
func (u *units) unevenness(rows uint64) float64 {
	if rows == 0 {
		return 1
	}
	moment := float64(u.anonymous)
	for _, n := range u.loads {
		moment += float64(n) * float64(n)
	}
	return max(1, moment/float64(rows))
}
