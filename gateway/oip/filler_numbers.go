package oip

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// nonFinite reads the words that stand for values that JSON has no number for.
func nonFinite(b []byte, at int) (value float64, end int) {
	for _, word := range [...]struct {
		text  string
		value float64
	}{{"NaN", math.NaN()}, {"Infinity", math.Inf(1)}, {"-Infinity", math.Inf(-1)}} {
		if end := at + len(word.text); end <= len(b) && string(b[at:end]) == word.text {
			return word.value, end
		}
	}
	return 0, -1
}

func (f *filler) float32s(n int, inList bool) error {
	data := f.data[4*f.next:]
	return f.each(n, inList, func(run []decimal, i int) bool {
		float32Run(data[4*i:], run)
		return true
	}, func(at, i int) (end int, ok bool) {
		mantissa, exponent, end, form := scanNumber(f.s.b, at)
		value, ok := float32Of(mantissa, exponent, form)
		if end < 0 || !ok {
			var exact float64
			exact, end, ok = f.hard(at, end, 32)
			value = float32(exact)
		}
		binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(value))
		return end, ok
	})
}

// hard reads the floats that the quick path leaves: words for what is not
// finite, where no number was found (end < 0), and numbers that only all of
// their digits decide.
func (f *filler) hard(at, end, size int) (value float64, behind int, ok bool) {
	if end < 0 {
		value, behind = nonFinite(f.s.b, at)
		return value, behind, behind >= 0
	}
	value, ok = slowFloat(f.s.b[at:end], size)
	return value, end, ok
}

func (f *filler) float64s(n int, inList bool) error {
	data := f.data[8*f.next:]
	return f.each(n, inList, func(run []decimal, i int) bool {
		float64Run(data[8*i:], run)
		return true
	}, func(at, i int) (end int, ok bool) {
		value, end, ok := f.float64(at)
		binary.LittleEndian.PutUint64(data[8*i:], math.Float64bits(value))
		return end, ok
	})
}

// float64 reads the number at a position as a double.
func (f *filler) float64(at int) (value float64, end int, ok bool) {
	mantissa, exponent, end, form := scanNumber(f.s.b, at)
	value, ok = float64Of(mantissa, exponent, form)
	if end < 0 || !ok {
		return f.hard(at, end, 64)
	}
	return value, end, true
}

func (f *filler) halves(n int, inList bool) error {
	return f.each(n, inList, nil, func(at, i int) (end int, ok bool) {
		value, end, ok := f.float64(at)
		if !ok {
			return 0, false
		}
		half := uint16(0x7e00)
		switch {
		case math.IsInf(value, 0):
			half = 0x7c00 | uint16(math.Float64bits(value)>>48)&0x8000
		case !math.IsNaN(value):
			if half, ok = halfOf(value, f.s.b[at:end]); !ok {
				return 0, false
			}
		}
		binary.LittleEndian.PutUint16(f.data[2*(f.next+i):], half)
		return end, true
	})
}

// integers reads whole numbers, written without fraction or exponent, from
// lowest to highest.
func (f *filler) integers(n int, inList bool, lowest int64, highest uint64) error {
	size := f.kind.Size()
	data := f.data[size*f.next:]
	return f.each(n, inList, func(run []decimal, i int) bool {
		return integerRun(data[size*i:], size, run, lowest, highest)
	}, func(at, i int) (end int, ok bool) {
		value, end, ok := scanInteger(f.s.b, at, lowest, highest)
		if ok {
			putInteger(data[size*i:], size, value)
		}
		return end, ok
	})
}

// putInteger writes the lower size bytes of value.
func putInteger(to []byte, size int, value uint64) {
	switch size {
	case 8:
		binary.LittleEndian.PutUint64(to, value)
	case 4:
		binary.LittleEndian.PutUint32(to, uint32(value))
	case 2:
		binary.LittleEndian.PutUint16(to, uint16(value))
	default:
		to[0] = byte(value)
	}
}

// scanInteger reads a JSON integer between lowest and highest and returns its
// two's complement.
func scanInteger(b []byte, at int, lowest int64, highest uint64) (value uint64, end int, ok bool) {
	minus := at < len(b) && b[at] == '-'
	if minus {
		at++
	}
	first := at
	// Nineteen digits cannot overflow; a twentieth is looked at more closely.
	for quick := min(len(b), at+19); at < quick; at++ {
		c := b[at] - '0'
		if c > 9 {
			break
		}
		value = value*10 + uint64(c)
	}
	for at-first >= 19 && at < len(b) && b[at]-'0' <= 9 {
		high, low := bits.Mul64(value, 10)
		sum, carry := bits.Add64(low, uint64(b[at]-'0'), 0)
		if high+carry != 0 {
			return 0, 0, false
		}
		value = sum
		at++
	}
	if at == first || b[first] == '0' && at-first > 1 {
		return 0, 0, false
	}
	if at < len(b) && (b[at] == '.' || b[at]|0x20 == 'e') {
		return 0, 0, false
	}
	if minus {
		return -value, at, value <= -uint64(lowest)
	}
	return value, at, value <= highest
}

// each reads n elements. It calls read for one, with its position and how many
// of the n came before it; read returns the position behind it. Where convert
// is not nil, runs of plain numbers are given to it instead; it may refuse one
// that holds a number which is not of the tensor's type, and read then finds
// which.
func (f *filler) each(n int, inList bool, convert func(run []decimal, i int) bool, read func(at, i int) (end int, ok bool)) error {
	b, at := f.s.b, f.s.pos
	for i := 0; i < n; i++ {
		for at < len(b) && isSpace(b[at]) {
			at++
		}
		// The last element has no comma behind it.
		if convert != nil && inList && n-1-i >= shortestRun {
			i, at = f.runs(i, n-1, at, convert)
		}
		end, ok := read(at, i)
		if !ok {
			f.s.pos = at
			return f.elementError(i)
		}
		at = end
		if !inList {
			break
		}
		next, ok := after(b, at, i+1 == n)
		if !ok {
			f.s.pos = at
			return f.listError(i, n)
		}
		at = next
	}
	f.s.pos = at
	f.next += n
	return nil
}

// runs gives elements from i on to convert, at most those before last, and
// returns the first that is left, with its position.
func (f *filler) runs(i, last, at int, convert func(run []decimal, i int) bool) (next, position int) {
	s := f.s
	if s.run == nil {
		s.run = new(numberRun)
	}
	for {
		n, behind := scanRun(s.run, min(runLength, last-i), s.b, at)
		if !convert(s.run[:n], i) {
			return i, at
		}
		i, at = i+n, behind
		if n < runLength {
			return i, at
		}
	}
}

func (f *filler) booleans(n int, inList bool) error {
	return f.each(n, inList, nil, func(at, i int) (end int, ok bool) {
		for _, word := range [...]struct {
			text  string
			value byte
		}{{"true", 1}, {"false", 0}, {"0", 0}, {"1", 1}} {
			end := at + len(word.text)
			if end <= len(f.s.b) && string(f.s.b[at:end]) == word.text && !continuesNumber(f.s.b, end) {
				f.data[f.next+i] = word.value
				return end, true
			}
		}
		return 0, false
	})
}

// continuesNumber reports whether a number that seemed to end at the position
// goes on there.
func continuesNumber(b []byte, at int) bool {
	return at < len(b) && (b[at] >= '0' && b[at] <= '9' || b[at] == '.' || b[at]|0x20 == 'e')
}
