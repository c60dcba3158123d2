package rollout

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustSplit(t testing.TB, salt string, weights map[string]float64) *Split {
	t.Helper()
	var arms []Arm
	for v, w := range weights {
		arms = append(arms, Arm{Version: v, Weight: w})
	}
	s, err := NewSplit(salt, arms)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keyOf(i int) []byte { return fmt.Appendf(nil, "user-%d", i) }

func TestKeysAreSharedInProportionToWeights(t *testing.T) {
	const n = 200_000
	for _, weights := range []map[string]float64{
		{"1": 90, "2": 10}, {"1": 1, "2": 1, "3": 2}, {"1": 99.9, "2": 0.1}, {"1": 0, "2": 5}, {"1": 5},
	} {
		s := mustSplit(t, "salt", weights)
		byKey, byChance := map[string]int{}, map[string]int{}
		for i := range n {
			byKey[s.Choose(keyOf(i))]++
			byChance[s.ChooseRandom(unit(mix(uint64(i))))]++
		}
		for v := range weights {
			p := s.Share(v)
			// Five standard deviations of a binomial: one false alarm in
			// two million, and the keys are fixed anyway.
			slack := 5*math.Sqrt(n*p*(1-p)) + 1e-9
			for name, got := range map[string]int{"key": byKey[v], "chance": byChance[v]} {
				if math.Abs(float64(got)-n*p) > slack {
					t.Errorf("%v: version %s got %d of %d by %s, want %.0f±%.0f", weights, v, got, n, name, n*p, slack)
				}
			}
		}
	}
}

func TestRaisingAWeightOnlyAddsKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Float64Range(0.1, 100), 2, 6).Draw(t, "weights")
		raised := rapid.IntRange(0, len(weights)-1).Draw(t, "raised")
		factor := rapid.Float64Range(1, 50).Draw(t, "factor")
		arms := make([]Arm, len(weights))
		for i, w := range weights {
			arms[i] = Arm{Version: fmt.Sprint(i), Weight: w}
		}
		before, err := NewSplit("s", arms)
		if err != nil {
			t.Fatal(err)
		}
		arms[raised].Weight *= factor
		after, err := NewSplit("s", arms)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 500 {
			was, is := before.Choose(keyOf(i)), after.Choose(keyOf(i))
			if was != is && is != fmt.Sprint(raised) {
				t.Fatalf("key %d moved from %s to %s when the weight of %d was raised", i, was, is, raised)
			}
		}
	})
}

func TestSaltsAssignIndependently(t *testing.T) {
	const n = 100_000
	a := mustSplit(t, "a", map[string]float64{"1": 50, "2": 50})
	b := mustSplit(t, "b", map[string]float64{"1": 50, "2": 50})
	same := 0
	for i := range n {
		if a.Choose(keyOf(i)) == b.Choose(keyOf(i)) {
			same++
		}
	}
	if slack := 5 * math.Sqrt(n*.25); math.Abs(float64(same)-n/2) > slack {
		t.Errorf("%d of %d keys agree under two salts, want %d±%.0f", same, n, n/2, slack)
	}
}

func TestAssignmentIsTheSameForEver(t *testing.T) {
	s := mustSplit(t, "exp-12", map[string]float64{"1": 50, "2": 30, "3": 20})
	var got strings.Builder
	for i := range 40 {
		got.WriteString(s.Choose(keyOf(i)))
	}
	const want = "3132322111112121111121313113232213233132"
	if got.String() != want {
		t.Errorf("assignment of the first 40 keys is\n%s, was\n%s: every sticky caller would move", got.String(), want)
	}
}

func TestSplitRefusesWeightsThatAreNone(t *testing.T) {
	for name, arms := range map[string][]Arm{
		"no arms": nil, "all zero": {{"1", 0}}, "negative": {{"1", 1}, {"2", -1}},
		"NaN": {{"1", math.NaN()}}, "infinite": {{"1", math.Inf(1)}}, "sum overflows": {{"1", math.MaxFloat64}, {"2", math.MaxFloat64}},
		"twice": {{"1", 1}, {"1", 2}},
	} {
		if _, err := NewSplit("", arms); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestChoosingDoesNotAllocate(t *testing.T) {
	s := mustSplit(t, "salt", map[string]float64{"1": 90, "2": 10})
	key := keyOf(1)
	if n := testing.AllocsPerRun(100, func() { s.Choose(key); s.ChooseRandom(.3) }); n != 0 {
		t.Errorf("%v allocations per choice, want none", n)
	}
}

func BenchmarkChoose(b *testing.B) {
	s := mustSplit(b, "salt", map[string]float64{"1": 90, "2": 10})
	key := keyOf(1)
	for b.Loop() {
		s.Choose(key)
	}
}
