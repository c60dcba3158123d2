package measure

import (
	"testing"
	"time"

	"github.com/segue-serving/segue/bench/load"
)

// overload makes samples every 10 ms: calm for a second, too much for a second,
// then what is asked for, for a second.
func overload(after func(since time.Duration) load.Sample) []load.Sample {
	var all []load.Sample
	for due := time.Duration(0); due < 3*time.Second; due += 10 * time.Millisecond {
		s := load.Sample{Latency: 4 * time.Millisecond}
		switch {
		case due >= 2*time.Second:
			s = after(due - 2*time.Second)
		case due >= time.Second && due%(20*time.Millisecond) == 0:
			s = load.Sample{Kind: load.Refused, Latency: time.Millisecond}
		case due >= time.Second:
			s.Latency = 500 * time.Millisecond
		}
		s.Due = due
		all = append(all, s)
	}
	return all
}

func TestRecoveryEndsWithTheLastWindowThatIsNotAsBefore(t *testing.T) {
	good := load.Sample{Latency: 4 * time.Millisecond}
	slow := load.Sample{Latency: 20 * time.Millisecond}
	for name, one := range map[string]struct {
		after func(time.Duration) load.Sample
		want  time.Duration
	}{
		"at once":       {func(time.Duration) load.Sample { return good }, 0},
		"within bounds": {func(time.Duration) load.Sample { return load.Sample{Latency: 11 * time.Millisecond} }, 0},
		"slow for a while": {func(since time.Duration) load.Sample {
			if since < 260*time.Millisecond {
				return slow
			}
			return good
		}, 300 * time.Millisecond},
		"one slow answer in ten": {func(since time.Duration) load.Sample {
			if since%(100*time.Millisecond) == 0 {
				return slow
			}
			return good
		}, 0},
		"a late refusal": {func(since time.Duration) load.Sample {
			if since == 700*time.Millisecond {
				return load.Sample{Kind: load.Refused}
			}
			return good
		}, 800 * time.Millisecond},
		"never": {func(time.Duration) load.Sample { return slow }, time.Second},
	} {
		if got := recovery(overload(one.after), time.Second, 2*time.Second); got != one.want {
			t.Errorf("%s: recovered after %s, want %s", name, got, one.want)
		}
	}
	over := during(overload(func(time.Duration) load.Sample { return good }), time.Second, 2*time.Second)
	if over.refused != 50 || over.good.Count() != 50 || over.good.Quantile(.5) < 499*time.Millisecond {
		t.Errorf("during the overload %d were refused, %d good", over.refused, over.good.Count())
	}
	// Of 50 that were due then, 25 were answered only after it.
	if got := arrived(overload(func(time.Duration) load.Sample { return good }), time.Second, 2*time.Second); got != 25 {
		t.Errorf("%d good answers came during the overload, want 25", got)
	}
}

func TestOnlyRequestsSoonAfterAWriteCount(t *testing.T) {
	var samples []load.Sample
	for i := range 100 {
		samples = append(samples, load.Sample{Due: time.Duration(i) * 10 * time.Millisecond, Latency: time.Duration(i) * time.Millisecond})
	}
	samples[25].Kind = load.Failed
	h := within(samples, []float64{200, 250, 900}, 100*time.Millisecond)
	// Due from 200 to 340 ms, without the one that failed, and from 900 ms on.
	if h.Count() != 14+10 || h.Max() != 99*time.Millisecond || h.Quantile(0) < 19*time.Millisecond {
		t.Errorf("%d count, from %s to %s", h.Count(), h.Quantile(0), h.Max())
	}
}
