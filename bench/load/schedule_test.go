package load

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestSchedulesHaveTheirRateAndOrder(t *testing.T) {
	for _, arrivals := range []Arrivals{Poisson, Even} {
		due, err := Schedule(arrivals, 7, Stage{1000, 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSorted(due) || due[0] < 0 || due[len(due)-1] >= 20*time.Second {
			t.Errorf("%s: from %s to %s, sorted %v", arrivals, due[0], due[len(due)-1], slices.IsSorted(due))
		}
		// Five standard deviations of a Poisson count.
		if n := float64(len(due)); math.Abs(n-20_000) > 5*math.Sqrt(20_000) {
			t.Errorf("%s: %v requests, want about 20000", arrivals, n)
		}
		again, err := Schedule(arrivals, 7, Stage{1000, 20 * time.Second})
		if err != nil || !slices.Equal(due, again) {
			t.Errorf("%s: the same seed gives another schedule (%v)", arrivals, err)
		}
	}
}

func TestGapsAreExponentialOrEven(t *testing.T) {
	spread := func(arrivals Arrivals) float64 {
		due, err := Schedule(arrivals, 3, Stage{500, 40 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		var sum, squares float64
		for i := 1; i < len(due); i++ {
			gap := (due[i] - due[i-1]).Seconds()
			sum, squares = sum+gap, squares+gap*gap
		}
		n := float64(len(due) - 1)
		mean := sum / n
		return math.Sqrt(squares/n-mean*mean) / mean
	}
	if got := spread(Poisson); math.Abs(got-1) > .05 {
		t.Errorf("gaps of Poisson arrivals vary by %.3f of their mean, want 1", got)
	}
	if got := spread(Even); got > 1e-3 {
		t.Errorf("even gaps vary by %.5f of their mean", got)
	}
}

func TestSchedulesRefuseWhatTheyDoNotKnow(t *testing.T) {
	if _, err := Schedule("weekly", 0, Stage{10, time.Second}); err == nil {
		t.Error("unknown arrivals are taken")
	}
	if _, err := Schedule(Even, 0, Stage{0, time.Second}); err == nil {
		t.Error("a rate of 0 is taken")
	}
}

func TestStagesFollowOneAnother(t *testing.T) {
	due, err := Schedule(Even, 0, Stage{10, 200 * time.Millisecond}, Stage{1, 0}, Stage{100, 30 * time.Millisecond}, Stage{5, 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, d := range due {
		got = append(got, d.Milliseconds())
	}
	if want := []int64{0, 100, 200, 210, 220, 230}; !slices.Equal(got, want) {
		t.Errorf("due after %v ms, want %v", got, want)
	}
}
