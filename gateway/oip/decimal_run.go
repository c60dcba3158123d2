package oip

import (
	"encoding/binary"
	"math/bits"
)

// decimal is the exact number ±mantissa·10^-places.
type decimal struct {
	mantissa uint64 // less than 2^63
	form     uint32 // places, 0 only without a point and an exponent; and minusForm
}

const (
	placesForm = 63     // the bits of a decimal's places
	minusForm  = 1 << 6 // set with a minus sign
	// mostPlaces leaves every decimal but 0 in the range of normal float32.
	mostPlaces = 37

	// runLength is how many numbers are scanned before they are converted. Two
	// short loops leave the compiler enough registers, where one that does
	// both spills them.
	runLength = 64
	// shortestRun is worth the calls.
	shortestRun = 4
	// runWindow is how far behind a number's first digit scanRun may look.
	runWindow = 40
	// mostDigits is how many digits scanRun reads at most: uint64 holds them.
	mostDigits = 19
)

// numberRun holds numbers of a list that follow each other.
type numberRun [runLength]decimal

// scanRun reads numbers of a list from position at on, until it has read most
// or one comes that it leaves to scanNumber: one of more than mostDigits, with
// an exponent over 0 or far below it, without a comma right behind it, near the
// end of the text, or not a number at all. It returns how many it read and the
// position of the next.
//
// As in scanNumber digits are read eight at a time within one machine word. The
// first eight bytes are taken to hold a digit, a point and six more: from them
// the point is removed, so that such a number takes one step. Where digits end
// is found by counting zeros and not by a loop, so that numbers of varying
// lengths cost no mispredicted branch.
func scanRun(run *numberRun, most int, b []byte, at int) (n, next int) {
	start, minus := at, uint32(0)
	for n < most && at >= 0 && at < len(b)-runWindow {
		x := binary.LittleEndian.Uint64(b[at:]) ^ zeroDigits
		if uint8(x) == '-'^'0' && minus == 0 {
			minus = minusForm
			at++
			continue
		}
		others := nonDigits(x)
		i, point := at+8, at+1
		if uint8(x>>8) == '.'^'0' {
			others &^= 0xff00
			x = x&^0xffff | x&0xff<<8
		} else {
			point = -1
			if x&0xff == 0 && others&0xff00 == 0 || others&0xff != 0 {
				return n, start // a leading zero, or no digit
			}
		}
		if others != 0 {
			end := bits.TrailingZeros64(others)
			if end < 24 && point >= 0 {
				return n, start // no digit before or behind the point
			}
			x = x << (^end & 63) << 8
			i = at + end>>3
		}
		mantissa, form := eightDigits(x), minus
		if b[i] != ',' {
			// More digits, or a point that is not behind the first.
			for i-at <= mostDigits {
				if b[i] == '.' && point < 0 {
					point = i
					i++
					if b[i]-'0' > 9 {
						return n, start
					}
				}
				x = binary.LittleEndian.Uint64(b[i:]) ^ zeroDigits
				if others = nonDigits(x); others == 0 {
					mantissa = mantissa*1e8 + eightDigits(x)
					i += 8
					continue
				}
				end := bits.TrailingZeros64(others)
				mantissa = mantissa*powersOfTen[end>>3] + eightDigits(x<<(^end&63)<<8)
				i += end >> 3
				if b[i] != '.' || point >= 0 {
					break
				}
			}
			places, digits := 0, i-at
			if point >= 0 {
				places = i - 1 - point
				digits--
			}
			if b[i]|0x20 == 'e' {
				var exponent int
				if exponent, i = smallExponent(b, i+1); exponent == 0 {
					return n, start
				}
				places += exponent
			}
			if b[i] != ',' || digits > mostDigits || mantissa>>63 != 0 || places > mostPlaces {
				return n, start
			}
			form = minus | uint32(places)
		} else if point >= 0 {
			form |= uint32(i - 1 - point)
		}
		run[n&(runLength-1)] = decimal{mantissa, form}
		n++
		i++
		if b[i] <= ' ' {
			for i < len(b) && isSpace(b[i]) {
				i++
			}
		}
		at, start, minus = i, i, 0
	}
	return n, start
}

// smallExponent reads a negative exponent of one or two digits and returns it
// without its sign; it returns 0 for every other. The position is behind it.
func smallExponent(b []byte, i int) (exponent, end int) {
	if b[i] != '-' || b[i+1]-'0' > 9 {
		return 0, i
	}
	exponent = int(b[i+1] - '0')
	if b[i+2]-'0' > 9 {
		return exponent, i + 2
	}
	return exponent*10 + int(b[i+2]-'0'), i + 3
}

const zeroDigits = '0' * lowBits

// nonDigits marks the highest bit of the first byte of x that is over 9, and of
// some behind it: carries only reach later bytes, so that the lowest mark is
// exact.
func nonDigits(x uint64) uint64 { return ((x + 0x76*lowBits) | x) & highBits }
