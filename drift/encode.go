package drift

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// windowFormat is the first byte of an encoded window.
const windowFormat = 1

// maxCount is the largest count that is read back, so that a year of merged
// windows cannot overflow.
const maxCount = 1 << 48

// MarshalBinary writes a window compactly: a format byte, the fingerprint of
// its bins, and variable-length counts, of which runs of zeros take two bytes.
// A window of 20 features and 1,000 rows takes about 3 KB, at most MaxEncoded
// bytes.
func (w *Window) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, 64+2*len(w.counts))
	b = append(b, windowFormat)
	b = binary.LittleEndian.AppendUint64(b, w.profile.plan.id)
	b = binary.AppendUvarint(b, w.rows)
	b = binary.AppendUvarint(b, w.units.anonymous)
	b = appendCounts(b, len(w.counts), func(i int) uint64 { return w.counts[i] })
	b = appendCounts(b, len(w.units.registers), func(i int) uint64 { return uint64(w.units.registers[i]) })
	return appendCounts(b, len(w.units.loads), func(i int) uint64 { return zigzag(w.units.loads[i]) }), nil
}

// MaxEncoded is the largest number of bytes that MarshalBinary gives for a
// window of this profile.
func (p *Profile) MaxEncoded() int {
	return 1 + 8 + 2*binary.MaxVarintLen64 + binary.MaxVarintLen64*(p.plan.size+1<<registerBits+1<<loadBits)
}

// appendCounts writes n numbers; a zero is followed by how many more follow it.
func appendCounts(b []byte, n int, at func(int) uint64) []byte {
	for i := 0; i < n; i++ {
		x := at(i)
		b = binary.AppendUvarint(b, x)
		if x != 0 {
			continue
		}
		more := 0
		for i+1 < n && at(i+1) == 0 {
			i, more = i+1, more+1
		}
		b = binary.AppendUvarint(b, uint64(more))
	}
	return b
}

func zigzag(n int64) uint64 { return uint64(n<<1) ^ uint64(n>>63) }

func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

// ParseWindow reads what MarshalBinary wrote. ErrOtherBins is the error where
// that was with other bins; anything else that MarshalBinary does not write is
// refused too.
func (p *Profile) ParseWindow(data []byte) (*Window, error) {
	if len(data) > p.MaxEncoded() {
		return nil, fmt.Errorf("drift window: %d bytes, more than the %d that one can have", len(data), p.MaxEncoded())
	}
	if len(data) < 9 || data[0] != windowFormat {
		return nil, errors.New("drift window: not in a format that is known here")
	}
	if binary.LittleEndian.Uint64(data[1:]) != p.plan.id {
		return nil, ErrOtherBins
	}
	r := countReader{rest: data[9:]}
	w := p.NewWindow()
	w.rows = r.next(maxCount)
	w.units.anonymous = r.next(w.rows)
	r.counts(len(w.counts), w.rows, func(i int, n uint64) { w.counts[i] = n })
	r.counts(len(w.units.registers), 64-registerBits+1, func(i int, n uint64) { w.units.registers[i] = uint8(n) })
	r.counts(len(w.units.loads), 2*w.rows, func(i int, n uint64) { w.units.loads[i] = unzigzag(n) })
	if r.broken || len(r.rest) > 0 {
		return nil, errors.New("drift window: cut off or damaged")
	}
	if !w.consistent() {
		return nil, errors.New("drift window: its counts contradict each other")
	}
	return w, nil
}

// consistent reports whether no series counts more than there were rows.
func (w *Window) consistent() bool {
	for i, f := range w.profile.Features {
		for j := range f.Series {
			c := w.Counts(i, j)
			if total, ok := sum(c); !ok || total > w.rows {
				return false
			}
		}
	}
	return true
}

type countReader struct {
	rest   []byte
	broken bool
}

// next reads one number of at most most, in the shortest way to write it.
func (r *countReader) next(most uint64) uint64 {
	x, n := binary.Uvarint(r.rest)
	if n <= 0 || x > most || n > 1 && r.rest[n-1] == 0 {
		r.broken = true
		r.rest = nil
		return 0
	}
	r.rest = r.rest[n:]
	return x
}

func (r *countReader) counts(n int, most uint64, put func(int, uint64)) {
	for i := 0; i < n && !r.broken; i++ {
		x := r.next(most)
		put(i, x)
		if x == 0 {
			i += int(r.next(uint64(min(n-1-i, math.MaxInt32))))
		}
	}
}

// MarshalText writes MarshalBinary's bytes in base64, as a JSON document holds
// them.
func (w *Window) MarshalText() ([]byte, error) {
	b, err := w.MarshalBinary()
	return base64.StdEncoding.AppendEncode(nil, b), err
}
