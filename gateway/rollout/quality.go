package rollout

import "math"

// Mean is what is known of the mean of numbers from 0 to 1: right labels are 1
// and wrong ones 0, rewards are scaled. The zero value knows nothing. Its fields
// only add up, so that gateways' means merge exactly, and an interval of the
// merged one holds at every time, however often it is looked at.
type Mean struct {
	// N is how many numbers there were, Sum their sum.
	N   uint64  `json:"n"`
	Sum float64 `json:"sum"`
	// Spread is the sum of the squared differences of each number from what was
	// expected before it was seen, by its own writer.
	Spread float64 `json:"spread"`
}

// Add takes note of a number. What is not between 0 and 1 counts as the nearer
// of them, and what is no number not at all.
func (m *Mean) Add(x float64) {
	if math.IsNaN(x) {
		return
	}
	x = min(max(x, 0), 1)
	expected := (0.5 + m.Sum) / float64(m.N+1)
	m.N++
	m.Sum += x
	m.Spread += (x - expected) * (x - expected)
}

// Plus is the mean of both one's and the other's numbers.
func (m Mean) Plus(o Mean) Mean {
	return Mean{m.N + o.N, m.Sum + o.Sum, m.Spread + o.Spread}
}

// Estimate is a mean with its interval.
type Estimate struct {
	N    uint64  `json:"n"`
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Share is the estimate for numbers that are 0 or 1 alone, like accuracy: the
// interval in which the mean has been at all times so far, with a probability of
// at least 1−alpha (a confidence sequence). It holds the means against which a
// uniform mixture of Bernoulli likelihoods has never had more than 1/alpha
// (Robbins, 1970).
func (m Mean) Share(alpha float64) Estimate {
	n, good := float64(m.N), math.Round(m.Sum)
	e := Estimate{N: m.N, Low: 0, High: 1}
	if m.N == 0 {
		return e
	}
	e.Mean = good / n
	// The evidence against p: a beta function over the likelihood of p.
	mixture := lnBeta(good+1, n-good+1)
	inside := func(p float64) bool {
		return mixture-xlny(good, p)-xlny(n-good, 1-p) < -math.Log(alpha)
	}
	e.Low = bisect(0, e.Mean, inside)
	e.High = 1 - bisect(0, 1-e.Mean, func(q float64) bool { return inside(1 - q) })
	return e
}

// Bounded is the estimate for any numbers from 0 to 1, like rewards: the
// empirical-Bernstein confidence sequence with the polynomial stitched boundary
// (Howard, Ramdas, McAuliffe and Sekhon, 2021, theorems 1 and 4; η 2, s 1.4).
func (m Mean) Bounded(alpha float64) Estimate {
	e := Estimate{N: m.N, Low: 0, High: 1}
	if m.N == 0 {
		return e
	}
	n := float64(m.N)
	e.Mean = m.Sum / n
	radius := stitched(max(1, m.Spread), alpha/2) / n
	e.Low, e.High = max(0, e.Mean-radius), min(1, e.Mean+radius)
	return e
}

// stitched is a bound on the sum's deviation that holds for all times with a
// probability of at least 1−alpha, given intrinsic time v ≥ 1, for a scale of 1.
func stitched(v, alpha float64) float64 {
	const eta, s, zeta = 2, 1.4, 3.105547277977581 // Riemann's zeta(1.4)
	l := s*math.Log(math.Log(eta*v)/math.Log(eta)) + math.Log(zeta/alpha)
	k1 := (math.Pow(eta, 0.25) + math.Pow(eta, -0.25)) / math.Sqrt2
	k2 := (math.Sqrt(eta) + 1) / 2
	return math.Sqrt(k1*k1*v*l+k2*k2*l*l) + k2*l
}

// bisect is the lowest x from low to high for which inside holds, given that it
// holds at high and, once it holds, goes on holding.
func bisect(low, high float64, inside func(float64) bool) float64 {
	if inside(low) {
		return low
	}
	for range 60 {
		if x := low + (high-low)/2; inside(x) {
			high = x
		} else {
			low = x
		}
	}
	return high
}

// xlny is x·ln y, 0 where x is 0.
func xlny(x, y float64) float64 {
	if x == 0 {
		return 0
	}
	return x * math.Log(y)
}
