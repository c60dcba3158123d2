package oip

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// form is what scanNumber learnt of a number beside its value.
type form uint8

const (
	negative form = 1 << iota // a minus sign
	long                      // more than 19 significant digits: the mantissa is not the number's
	real                      // a fraction or an exponent, even an empty one such as .0
)

// maxExponent bounds the exponents that scanNumber reports; beyond it every
// float type overflows or is zero whatever the mantissa's 19 digits are.
const maxExponent = 1 << 20

var powersOfTen = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
	1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// scanNumber reads the JSON number at position i: its value is
// ±mantissa·10^exponent unless the form says long. end is the position behind
// it, or the complement of the position of the byte that breaks JSON's grammar
// (no leading zeros or plus, digits on both sides of the point), and then
// negative.
//
// Digits are read eight at a time within one machine word (SWAR), the
// remainder of less than eight by shifting zeros in before them.
func scanNumber(b []byte, i int) (mantissa uint64, exponent, end int, f form) {
	if i < len(b) && b[i] == '-' {
		f = negative
		i++
	}
	if i >= len(b) {
		return 0, 0, ^i, f
	}
	first := i
	c := b[i] - '0'
	if c > 9 {
		return 0, 0, ^i, f
	}
	mantissa = uint64(c)
	i++
	for i < len(b) {
		c := b[i] - '0'
		if c > 9 {
			break
		}
		mantissa = mantissa*10 + uint64(c)
		i++
	}
	digits := i - first
	if c == 0 && digits > 1 {
		return 0, 0, ^(first + 1), f
	}
	if i < len(b) && b[i] == '.' {
		f |= real
		i++
		fraction := i
		for {
			if len(b)-i < 8 {
				for ; i < len(b); i++ {
					c := b[i] - '0'
					if c > 9 {
						break
					}
					mantissa = mantissa*10 + uint64(c)
				}
				break
			}
			x := binary.LittleEndian.Uint64(b[i:]) ^ 0x30*lowBits
			// A byte over 9 sets its own high bit here; carries only reach
			// later bytes, so the lowest mark is exact.
			others := ((x + 0x76*lowBits) | x) & highBits
			if others == 0 {
				mantissa = mantissa*1e8 + eightDigits(x)
				i += 8
				continue
			}
			n := bits.TrailingZeros64(others) >> 3 & 7
			mantissa = mantissa*powersOfTen[n] + eightDigits(x<<(64-8*n))
			i += n
			break
		}
		if i == fraction {
			return 0, 0, ^i, f
		}
		digits += i - fraction
		exponent = fraction - i
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		f |= real
		written, behind := scanExponent(b, i+1)
		if behind < 0 {
			return 0, 0, behind, f
		}
		i = behind
		exponent = max(-maxExponent, min(maxExponent, exponent+written))
	}
	if digits > 19 && significantDigits(b[first:i]) > 19 {
		f |= long
	}
	return mantissa, exponent, i, f
}

// eightDigits is the number whose digits are the bytes of x, the first one in
// the lowest byte.
func eightDigits(x uint64) uint64 {
	const pairs, fours = 0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF
	x = x * (1 + 10<<8) >> 8 & pairs
	x = x * (1 + 100<<16) >> 16 & fours
	return x * (1 + 10000<<32) >> 32
}

func scanExponent(b []byte, i int) (exponent, end int) {
	minus := i < len(b) && b[i] == '-'
	if minus || i < len(b) && b[i] == '+' {
		i++
	}
	first := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		if exponent < maxExponent*16 {
			exponent = exponent*10 + int(b[i]-'0')
		}
	}
	if i == first {
		return 0, ^i
	}
	if minus {
		exponent = -exponent
	}
	return exponent, i
}

// significantDigits counts the digits of an unsigned number from the first
// that is not zero to the end of its fraction.
func significantDigits(number []byte) int {
	n := 0
	for _, c := range number {
		switch {
		case c-'0' <= 9:
			if n > 0 || c != '0' {
				n++
			}
		case c != '.':
			return n
		}
	}
	return n
}

// view lends bytes as a string without a copy, for calls that do not keep it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
