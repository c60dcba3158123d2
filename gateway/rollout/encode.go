package rollout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
)

// MaxEncoded is the largest size of an encoded Evidence in bytes.
const MaxEncoded = 100 << 10

// format is the first byte of an encoded Evidence.
const format = 1

// Encode is the evidence as bytes for other gateways, at most MaxEncoded of
// them. The same evidence always gives the same bytes. Numbers are LEB128 or
// little-endian; the last eight bytes are the XXH64 of the others.
func (e *Evidence) Encode() []byte {
	b := []byte{format}
	b = appendString(b, e.Rollout)
	b = appendString(b, e.Writer)
	b = binary.AppendUvarint(b, e.Seq)
	b = binary.AppendUvarint(b, uint64(e.Step-(ShadowStep-1)))
	for i := range e.requests {
		for _, list := range e.requests[i].lists() {
			for _, n := range list {
				b = binary.AppendUvarint(b, n)
			}
		}
	}
	for _, n := range e.shadow {
		b = binary.AppendUvarint(b, n)
	}
	for _, m := range e.quality {
		b = binary.AppendUvarint(b, m.N)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(m.Sum))
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(m.Spread))
	}
	b = binary.AppendUvarint(b, uint64(len(e.runs)))
	last := -maxIndex - 1
	for _, bin := range e.runs {
		b = binary.AppendUvarint(b, uint64(bin.index-last-1))
		b = binary.AppendUvarint(b, bin.count)
		last = bin.index
	}
	for _, t := range e.tables() {
		b = binary.AppendUvarint(b, uint64(t.level))
		b = binary.AppendUvarint(b, uint64(len(t.rows)))
		for _, r := range t.rows {
			b = binary.LittleEndian.AppendUint64(b, uint64(r))
		}
	}
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// lists are the counts in the order of their encoding.
func (c *armCounts) lists() [][]uint64 { return [][]uint64{c.judged[:], c.bad[:], c.class[:]} }

// Decode reads what Encode wrote. It refuses everything else: other formats,
// bytes that were changed or cut off, and numbers that no recorder writes.
func Decode(b []byte) (*Evidence, error) {
	switch {
	case len(b) > MaxEncoded:
		return nil, fmt.Errorf("evidence: %d bytes, at most %d are possible", len(b), MaxEncoded)
	case len(b) < 9:
		return nil, errors.New("evidence: too short")
	case b[0] != format:
		return nil, fmt.Errorf("evidence: format %d, want %d", b[0], format)
	}
	body, sum := b[:len(b)-8], binary.LittleEndian.Uint64(b[len(b)-8:])
	if xxhash.Sum64(body) != sum {
		return nil, errors.New("evidence: checksum does not match")
	}
	d := decoder{rest: body[1:]}
	e := d.evidence()
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes too many", len(d.rest))
	}
	if d.err != nil {
		return nil, fmt.Errorf("evidence: %w", d.err)
	}
	return e, nil
}

// decoder reads from rest until the first error.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.rest = nil
}

func (d *decoder) evidence() *Evidence {
	e := &Evidence{Rollout: d.name(), Writer: d.name(), Seq: d.uint(math.MaxUint64)}
	e.Step = int(d.uint(MaxSteps+1)) + ShadowStep - 1
	for i := range e.requests {
		for _, list := range e.requests[i].lists() {
			for j := range list {
				list[j] = d.uint(maxCount)
			}
		}
	}
	for i := range e.shadow {
		e.shadow[i] = d.uint(maxCount)
	}
	for i := range e.quality {
		e.quality[i] = d.mean()
	}
	e.runs = d.bins()
	capacity := capacities()
	for i, t := range e.tables() {
		*t = d.table(capacity[i])
	}
	return e
}

// maxCount bounds a count, so that the sums of many writers do not overflow.
const maxCount = 1 << 48

func (d *decoder) uint(limit uint64) uint64 {
	n, size := binary.Uvarint(d.rest)
	switch {
	case size <= 0:
		d.fail("cut off")
		return 0
	case size > 1 && d.rest[size-1] == 0:
		d.fail("a number longer than need be")
		return 0
	case n > limit:
		d.fail("%d, at most %d is possible", n, limit)
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) name() string {
	n := d.uint(maxName)
	if uint64(len(d.rest)) < n {
		d.fail("cut off")
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) word() uint64 {
	if len(d.rest) < 8 {
		d.fail("cut off")
		return 0
	}
	w := binary.LittleEndian.Uint64(d.rest)
	d.rest = d.rest[8:]
	return w
}

func (d *decoder) mean() Mean {
	m := Mean{N: d.uint(maxCount), Sum: math.Float64frombits(d.word()), Spread: math.Float64frombits(d.word())}
	n := float64(m.N)
	if !(m.Sum >= 0 && m.Sum <= n*(1+1e-9) && m.Spread >= 0 && m.Spread <= n*(1+1e-9)) {
		d.fail("a mean out of bounds")
	}
	return m
}

func (d *decoder) bins() []bin {
	n := d.uint(maxBins)
	if n == 0 {
		return nil
	}
	bins := make([]bin, 0, n)
	last := -maxIndex - 1
	for range n {
		b := bin{index: last + 1 + int(d.uint(2*maxIndex)), count: d.uint(maxCount)}
		if b.index > maxIndex || b.count == 0 {
			d.fail("a run time out of bounds")
		}
		if d.err != nil {
			return nil
		}
		bins = append(bins, b)
		last = b.index
	}
	return bins
}

func (d *decoder) table(capacity int) table {
	t := table{level: int(d.uint(maxLevel))}
	n := int(d.uint(uint64(capacity)))
	if len(d.rest) < 8*n {
		d.fail("cut off")
		return table{}
	}
	if n > 0 {
		t.rows = make([]row, 0, n)
	}
	bound := uint64(1) << (hashBits - t.level)
	for i := range n {
		r := row(d.word())
		if !r.valid() || r.hash() >= bound || i > 0 && r.hash() <= t.rows[i-1].hash() {
			d.fail("row %d of a table is none", i)
			return table{}
		}
		t.rows = append(t.rows, r)
	}
	return t
}
