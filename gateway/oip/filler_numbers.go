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
	b, at := f.s.b, f.s.pos
	dst := f.data[4*f.next:]
	dst = dst[:4*n]
	var run [runLength]decimal
	for i := 0; i < n; i++ {
		for inList {
			// The last element has no comma behind it.
			read, next := scanRun(&run, min(runLength, n-1-i), b, at)
			float32Run(dst[4*i:], run[:read])
			i, at = i+read, next
			if read < runLength {
				break
			}
		}
		for at < len(b) && isSpace(b[at]) {
			at++
		}
		mantissa, exponent, end, form := scanNumber(b, at)
		value, ok := float32Of(mantissa, exponent, form)
		if end < 0 || !ok {
			var exact float64
			exact, end, ok = f.hard(at, end, 32)
			if !ok {
				f.s.pos = at
				return f.elementError(i)
			}
			value = float32(exact)
		}
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(value))
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
	b, at := f.s.b, f.s.pos
	dst := f.data[8*f.next:]
	dst = dst[:8*n]
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	for i := range n {
		mantissa, exponent, end, form := scanNumber(b, at)
		value, ok := float64Of(mantissa, exponent, form)
		if end < 0 || !ok {
			if value, end, ok = f.hard(at, end, 64); !ok {
				f.s.pos = at
				return f.elementError(i)
			}
		}
		binary.LittleEndian.PutUint64(dst[8*i:], math.Float64bits(value))
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

func (f *filler) halves(n int, inList bool) error {
	return f.each(n, inList, func(at, element int) (end int, ok bool) {
		mantissa, exponent, end, form := scanNumber(f.s.b, at)
		value, ok := float64Of(mantissa, exponent, form)
		if end < 0 || !ok {
			if value, end, ok = f.hard(at, end, 64); !ok {
				return 0, false
			}
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
		binary.LittleEndian.PutUint16(f.data[2*element:], half)
		return end, true
	})
}

// integers reads whole numbers, written without fraction or exponent, from
// lowest to highest.
func (f *filler) integers(n int, inList bool, lowest int64, highest uint64) error {
	size := f.kind.Size()
	return f.each(n, inList, func(at, element int) (end int, ok bool) {
		value, end, ok := scanInteger(f.s.b, at, lowest, highest)
		if !ok {
			return 0, false
		}
		switch to := f.data[size*element:]; size {
		case 8:
			binary.LittleEndian.PutUint64(to, value)
		case 4:
			binary.LittleEndian.PutUint32(to, uint32(value))
		case 2:
			binary.LittleEndian.PutUint16(to, uint16(value))
		default:
			to[0] = byte(value)
		}
		return end, true
	})
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

// each calls read for n elements, with the position of each and its place in
// the tensor; read returns the position behind it.
func (f *filler) each(n int, inList bool, read func(at, element int) (end int, ok bool)) error {
	at := f.s.pos
	for at < len(f.s.b) && isSpace(f.s.b[at]) {
		at++
	}
	for i := range n {
		end, ok := read(at, f.next+i)
		if !ok {
			f.s.pos = at
			return f.elementError(i)
		}
		at = end
		if !inList {
			break
		}
		next, ok := after(f.s.b, at, i+1 == n)
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

func (f *filler) booleans(n int, inList bool) error {
	return f.each(n, inList, func(at, element int) (end int, ok bool) {
		for _, word := range [...]struct {
			text  string
			value byte
		}{{"true", 1}, {"false", 0}, {"0", 0}, {"1", 1}} {
			end := at + len(word.text)
			if end <= len(f.s.b) && string(f.s.b[at:end]) == word.text && !continuesNumber(f.s.b, end) {
				f.data[element] = word.value
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
