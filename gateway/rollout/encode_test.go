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

func TestNumbersThatNoRecorderWritesAreNoEvidence(t *testing.T) {
	low, high := newRow(1<<26, 1, false, silent, 0), newRow(1<<63, 1, false, silent, 0)
	for _, c := range []struct {
		name   string
		change func(e *Evidence)
	}{
		{"a caller twice", func(e *Evidence) { e.bad[0] = table{0, []row{low, low | 1}} }},
		{"callers out of order", func(e *Evidence) { e.bad[0] = table{0, []row{high, low}} }},
		{"a caller beyond the level", func(e *Evidence) { e.bad[0] = table{1, []row{high}} }},
		{"a level that is none", func(e *Evidence) { e.bad[0] = table{maxLevel + 1, nil} }},
		{"a step that is none", func(e *Evidence) { e.bad[0] = table{0, []row{newRow(1<<26, MaxSteps+1, false, silent, 0)}} }},
		{"a class that is none", func(e *Evidence) { e.bad[0] = table{0, []row{newRow(1<<26, 1, false, classes, 0)}} }},
		{"a step before that came later", func(e *Evidence) { e.bad[0] = table{0, []row{low.withBefore(2)}} }},
		{"too many callers", func(e *Evidence) {
			for i := range badUnits + 1 {
				e.bad[0].rows = append(e.bad[0].rows, newRow(uint64(i+1)<<26, 1, false, silent, 0))
			}
		}},
		{"a step beyond the last", func(e *Evidence) { e.Step = MaxSteps + 1 }},
		{"a name that is too long", func(e *Evidence) { e.Writer = string(make([]byte, maxName+1)) }},
		{"more than can be counted", func(e *Evidence) { e.requests[1].judged[1] = maxCount + 1 }},
		{"a mean over 1", func(e *Evidence) { e.quality[0] = Mean{N: 1, Sum: 2} }},
		{"a run time that is none", func(e *Evidence) { e.runs = []bin{{maxIndex + 1, 1}} }},
		{"an empty bin", func(e *Evidence) { e.runs = []bin{{1, 0}} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &Evidence{Rollout: "r", Writer: "w"}
			if _, err := Decode(e.Encode()); err != nil {
				t.Fatal(err)
			}
			c.change(e)
			if got, err := Decode(e.Encode()); err == nil {
				t.Errorf("it was read as %+v", got)
			}
		})
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
