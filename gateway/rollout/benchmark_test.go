package rollout

import (
	"fmt"
	"sync/atomic"
	"testing"
)

func BenchmarkRecord(b *testing.B) {
	for _, c := range []struct {
		name string
		unit func(i uint64) uint64
		bad  Guards
	}{
		{"good", func(uint64) uint64 { return 0 }, 0},
		{"bad", func(uint64) uint64 { return 0 }, Of(Errors)},
		{"sticky", func(i uint64) uint64 { return mix(i % 10_000) }, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := NewRecorder("id", "w")
			r.Begin(0, 0)
			var next atomic.Uint64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := next.Add(1 << 32); pb.Next(); i++ {
					r.Record(Observation{Canary: i%20 == 0, Unit: c.unit(i), Judged: Of(Errors, NonFinite, Slow, Classes), Bad: c.bad, Class: int(i % 10)})
				}
			})
		})
	}
}

// BenchmarkVerdict merges the full tables of 20 gateways and decides.
func BenchmarkVerdict(b *testing.B) {
	plan := everyGuard(b)
	for _, sticky := range []bool{false, true} {
		b.Run(fmt.Sprint("sticky=", sticky), func(b *testing.B) {
			var fleet []*Evidence
			for gateway := range 20 {
				r := NewRecorder(plan.ID, fmt.Sprint(gateway))
				r.Begin(0, 0)
				random := generator(uint64(gateway))
				for i := range 50_000 {
					o := Observation{Canary: random.Float64() < 0.05, Judged: Of(Errors, NonFinite, Slow, Classes), Class: i % 10}
					if random.IntN(20) == 0 {
						o.Bad = Of(Errors)
					}
					if sticky {
						o.Unit = random.Uint64()
					}
					r.Record(o)
				}
				fleet = append(fleet, r.Snapshot())
			}
			for b.Loop() {
				plan.Decide(State{Since: begin}, plan.Merge(0, fleet...), begin)
			}
		})
	}
}
