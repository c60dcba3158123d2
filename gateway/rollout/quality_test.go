package rollout

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestIntervalsHoldAtAllTimesTogether(t *testing.T) {
	const alpha = 0.1
	for _, c := range []struct {
		name     string
		mean     float64
		draw     func(random *rand.Rand) float64
		estimate func(m Mean) Estimate
	}{
		{"accuracy of 0.9", 0.9, func(r *rand.Rand) float64 { return float64(arm(r.Float64() < 0.9)) }, func(m Mean) Estimate { return m.Share(alpha) }},
		{"accuracy of 0.01", 0.01, func(r *rand.Rand) float64 { return float64(arm(r.Float64() < 0.01)) }, func(m Mean) Estimate { return m.Share(alpha) }},
		{"rewards", 0.25, func(r *rand.Rand) float64 { return r.Float64() * r.Float64() }, func(m Mean) Estimate { return m.Bounded(alpha) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, missed := counts(100, 1000), 0
			width := 0.0
			for seed := range n {
				random := generator(uint64(seed))
				var writers [2]Mean
				out := false
				for i := range 2000 {
					writers[random.IntN(2)].Add(c.draw(random))
					if i%20 != 0 {
						continue
					}
					e := c.estimate(writers[0].Plus(writers[1]))
					if !(0 <= e.Low && e.Low <= e.Mean && e.Mean <= e.High && e.High <= 1) {
						t.Fatalf("an interval of %+v", e)
					}
					out = out || c.mean < e.Low || c.mean > e.High
					width = e.High - e.Low
				}
				if out {
					missed++
				}
			}
			t.Logf("%d of %d missed the mean at any time; %.3f wide after 2,000", missed, n, width)
			if float64(missed) > alpha*float64(n) {
				t.Errorf("%d of %d intervals missed the mean, alpha allows %.0f", missed, n, alpha*float64(n))
			}
			if width > 0.2 {
				t.Errorf("the interval is %.3f wide after 2,000", width)
			}
		})
	}
}

func TestAMeanTakesNothingThatIsOutOfBounds(t *testing.T) {
	var m Mean
	if e := m.Share(0.05); e.Low != 0 || e.High != 1 {
		t.Errorf("nothing is known, but %+v", e)
	}
	if e := m.Bounded(0.05); e.Low != 0 || e.High != 1 {
		t.Errorf("nothing is known, but %+v", e)
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 7, -7} {
		m.Add(x)
	}
	if m.N != 4 || m.Sum != 2 {
		t.Errorf("of NaN, ±Inf and ±7 it is %+v, want 4 with a sum of 2", m)
	}
}
