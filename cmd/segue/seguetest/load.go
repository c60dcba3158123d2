package seguetest

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Load is requests at a fixed rate, sent when they are due however slow the
// answers are, so that a stall shows in full (no coordinated omission).
type Load struct {
	stop context.CancelFunc
	done chan struct{}

	sent     atomic.Int64
	mu       sync.Mutex
	took     []time.Duration
	failures []error
	failed   int
}

// inFlightLimit bounds how many requests wait for their answer, below what the
// gateway queues: on a machine too busy for the rate, requests are sent late
// and their latency counts from when they were due.
const inFlightLimit = 128

// StartLoad posts body to url rate times a second and gives every answer to
// check, which may be called by many goroutines at once.
func StartLoad(url string, body []byte, rate float64, check func(Answer) error) *Load {
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{stop: stop, done: make(chan struct{})}
	go l.run(ctx, url, body, time.Duration(float64(time.Second)/rate), check)
	return l
}

func (l *Load) run(ctx context.Context, url string, body []byte, every time.Duration, check func(Answer) error) {
	defer close(l.done)
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, inFlightLimit)
	for due := time.Now(); ; due = due.Add(every) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		slots <- struct{}{}
		l.sent.Add(1)
		wg.Go(func() {
			defer func() { <-slots }()
			a, err := Do(http.MethodPost, url, body, nil)
			if err == nil {
				err = check(a)
			}
			l.note(time.Since(due), err)
		})
	}
}

func (l *Load) note(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.took = append(l.took, took)
		return
	}
	l.failed++
	if len(l.failures) < 10 {
		l.failures = append(l.failures, err)
	}
}

// Stop ends the load, waits for the last answers and fails the test for every
// request that failed. It returns how many were answered.
func (l *Load) Stop(t testing.TB) int {
	t.Helper()
	l.stop()
	<-l.done
	for _, err := range l.failures {
		t.Errorf("under load: %v", err)
	}
	if l.failed > 0 {
		t.Errorf("%d of %d requests failed", l.failed, l.sent.Load())
	}
	return len(l.took)
}

// Percentiles returns the latencies of good answers from when they were due,
// at the given quantiles.
func (l *Load) Percentiles(quantiles ...float64) []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Percentiles(l.took, quantiles...)
}

// Percentiles returns the quantiles of some durations, zeros where there are
// none.
func Percentiles(all []time.Duration, quantiles ...float64) []time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	out := make([]time.Duration, len(quantiles))
	for i, q := range quantiles {
		if len(sorted) > 0 {
			out[i] = sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
		}
	}
	return out
}

// Capacity measures how many requests a second are answered on the given
// number of connections, each with one request at a time.
func Capacity(t testing.TB, url string, body []byte, connections int, during time.Duration) float64 {
	t.Helper()
	var answered atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range connections {
		wg.Go(func() {
			for time.Since(start) < during {
				if a, err := Do(http.MethodPost, url, body, nil); err != nil || a.Code != http.StatusOK {
					t.Errorf("measuring capacity: %d %v %s", a.Code, err, a.Body)
					return
				}
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(answered.Load()) / time.Since(start).Seconds()
}
