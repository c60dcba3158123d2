package loader

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
)

func bareResident() *Resident {
	return newResident(Wanted{Model: "m", Version: "1"}, &artifact.Artifact{Manifest: &artifact.Manifest{}}, nil, nil)
}

func isIdle(r *Resident) bool {
	select {
	case <-r.idle:
		return true
	default:
		return false
	}
}

func TestAcquireEndsWithTheDrain(t *testing.T) {
	r := bareResident()
	for range 2 {
		if !r.Acquire() {
			t.Fatal("a ready resident was not to be had")
		}
	}
	r.Release()
	if isIdle(r) {
		t.Fatal("idle before the drain")
	}
	r.drain()
	if r.Acquire() {
		t.Error("acquired while draining")
	}
	if isIdle(r) || r.inUse() != 1 {
		t.Errorf("idle with %d holders", r.inUse())
	}
	r.Release()
	if !isIdle(r) || r.inUse() != 0 {
		t.Error("not idle after the last release")
	}
	if r.Acquire() || r.inUse() != 0 {
		t.Error("acquired after the drain")
	}

	unused := bareResident()
	unused.drain()
	if !isIdle(unused) {
		t.Error("an unused resident is not idle")
	}
}

func TestReleaseWithoutAcquirePanics(t *testing.T) {
	for name, prepare := range map[string]func(*Resident){
		"ready": func(*Resident) {}, "draining": (*Resident).drain,
	} {
		t.Run(name, func(t *testing.T) {
			r := bareResident()
			prepare(r)
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			r.Release()
		})
	}
}

// Many goroutines use a resident while it drains: it must become idle exactly
// when the last holder is gone, and no use may begin afterwards.
func TestDrainUnderConcurrentUse(t *testing.T) {
	for range 200 {
		r := bareResident()
		var held atomic.Int64
		var users sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			users.Go(func() {
				<-begin
				for r.Acquire() {
					held.Add(1)
					if isIdle(r) {
						t.Error("idle while it is held")
					}
					held.Add(-1)
					r.Release()
				}
			})
		}
		close(begin)
		for range rand.IntN(1000) {
			r.uses.Load()
		}
		r.drain()
		<-r.idle
		if held.Load() != 0 {
			t.Fatalf("idle with %d holders", held.Load())
		}
		users.Wait()
	}
}

func BenchmarkAcquireRelease(b *testing.B) {
	r := bareResident()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if r.Acquire() {
				r.Release()
			}
		}
	})
}
