package rollout

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
)

// sealed is an encoding with its format and its checksum made right.
func sealed(body []byte) []byte {
	b := append([]byte{format}, body...)
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
}

// someEvidence has a bit of everything.
func someEvidence(t testing.TB) *Evidence {
	plan := everyGuard(t)
	r := NewRecorder(plan.ID, "gateway-1/4711")
	random := generator(7)
	for step := plan.First(); step < len(plan.Steps); step++ {
		r.Begin(step, 0.02)
		for i := range 60 {
			o := Observation{Step: step, Canary: i%3 == 0, Judged: Guards(random.IntN(64)), Bad: Guards(random.IntN(64)), Class: i}
			if i%2 == 0 {
				o.Unit = unitOf(i)
			}
			r.Record(o)
			r.Run(false, random.Float64())
			r.Value(i%2 == 0, random.Float64())
		}
	}
	return r.Snapshot()
}

func TestChangedBytesAreNoEvidence(t *testing.T) {
	text := someEvidence(t).Encode()
	for n := range text {
		if _, err := Decode(text[:n]); err == nil {
			t.Fatalf("cut off after %d bytes it was taken", n)
		}
		changed := bytes.Clone(text)
		changed[n] ^= 0x40
		if _, err := Decode(changed); err == nil {
			t.Fatalf("with byte %d changed it was taken", n)
		}
	}
	if _, err := Decode(append(bytes.Clone(text), 0)); err == nil {
		t.Error("with a byte more it was taken")
	}
	if _, err := Decode(make([]byte, MaxEncoded+1)); err == nil {
		t.Error("it was taken though too long")
	}
}

// FuzzDecode reads anything whose checksum is right: it never panics, what is
// taken is written back as the same bytes, and verdicts can be made of it.
func FuzzDecode(f *testing.F) {
	text := someEvidence(f).Encode()
	f.Add(text[1 : len(text)-8])
	f.Add((&Evidence{Rollout: "0123456789abcdef", Writer: "w"}).Encode()[1:40])
	f.Add([]byte{})
	plan := everyGuard(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := Decode(sealed(body))
		if err != nil {
			return
		}
		if got := e.Encode(); !bytes.Equal(got, sealed(body)) {
			t.Fatalf("%x was read and written back as %x", sealed(body), got)
		}
		e.Rollout = plan.ID
		for step := plan.First(); step < len(plan.Steps); step++ {
			v := plan.Decide(State{Step: step, Since: begin}, plan.Merge(step, e, e), begin.Add(time.Hour))
			for _, j := range v.Judgements {
				if j.LnE != j.LnE || j.PromoteLnE != j.PromoteLnE || j.Threshold != j.Threshold {
					t.Fatalf("a number that is none: %+v", j)
				}
			}
		}
	})
}
