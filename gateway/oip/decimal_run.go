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
// The first eight bytes are taken to hold a digit, a point and six more: the
// point is removed within the word, so that such a number takes one step. Where
// digits end is found by counting zeros and not by a loop, so that numbers of
// varying lengths cost no mispredicted branch. Numbers of other shapes than a
// digit, a point and more, or up to 7 digits, are left to scanPlain.
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
		var mantissa uint64
		i, form := at+8, minus
		if uint8(x>>8) == '.'^'0' {
			others &^= 0xff00
			x = x&^0xffff | x&0xff<<8
			if others == 0 {
				mantissa = eightDigits(x)
				if b[i] != ',' {
					x = binary.LittleEndian.Uint64(b[at+8:]) ^ zeroDigits
					if others = nonDigits(x); others == 0 {
						mantissa = mantissa*1e8 + eightDigits(x)
						x = binary.LittleEndian.Uint64(b[at+16:]) ^ zeroDigits
						i = at + 16
						others = nonDigits(x)
					}
					end := bits.TrailingZeros64(others | 1<<63)
					mantissa = mantissa*powersOfTen[end>>3] + firstDigits(x, end)
					i += end >> 3
					if i > at+1+mostDigits || mantissa>>63 != 0 {
						return n, start
					}
				}
			} else {
				end := bits.TrailingZeros64(others)
				if end < 24 {
					return n, start // no digit before or behind the point
				}
				mantissa = firstDigits(x, end)
				i = at + end>>3
			}
			form |= uint32(i - 2 - at)
		} else {
			end := bits.TrailingZeros64(others | 1<<63)
			if end < 8 || x&0xff == 0 && end > 15 {
				return n, start // no digit, or a leading zero
			}
			mantissa = firstDigits(x, end)
			i = at + end>>3
			if b[i] == '.' {
				x = binary.LittleEndian.Uint64(b[i+1:]) ^ zeroDigits
				end = bits.TrailingZeros64(nonDigits(x) | 1<<63)
				if end < 8 {
					return n, start // no digit behind the point
				}
				mantissa = mantissa*powersOfTen[end>>3] + firstDigits(x, end)
				i += 1 + end>>3
				form |= uint32(end >> 3)
			}
		}
		if b[i] != ',' {
			var places int
			if mantissa, places, i = scanPlain(b, at); i < 0 {
				return n, start
			}
			form = minus | uint32(places)
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

// scanPlain reads any number that a decimal holds and that a comma follows. The
// caller has seen that a digit is at the position, that it is no leading zero,
// and that runWindow bytes follow. end is the comma's position, or -1.
func scanPlain(b []byte, at int) (mantissa uint64, places, end int) {
	i, point := at, -1
	for i-at <= mostDigits {
		x := binary.LittleEndian.Uint64(b[i:]) ^ zeroDigits
		others := nonDigits(x)
		if others == 0 {
			mantissa = mantissa*1e8 + eightDigits(x)
			i += 8
			continue
		}
		stop := bits.TrailingZeros64(others)
		mantissa = mantissa*powersOfTen[stop>>3] + firstDigits(x, stop)
		i += stop >> 3
		if b[i] != '.' || point >= 0 {
			break
		}
		point = i
		i++
	}
	digits := i - at
	if point >= 0 {
		places = i - 1 - point
		digits--
		if places == 0 {
			return 0, 0, -1
		}
	}
	if b[i]|0x20 == 'e' {
		var exponent int
		if exponent, i = smallExponent(b, i+1); exponent == 0 {
			return 0, 0, -1
		}
		places += exponent
	}
	if b[i] != ',' || digits > mostDigits || mantissa>>63 != 0 || places > mostPlaces {
		return 0, 0, -1
	}
	return mantissa, places, i
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

// firstDigits is the number of the digits at the start of x, at most 7: those
// before the byte whose highest bit is bit end. The others are shifted out, and
// zeros in before the digits.
func firstDigits(x uint64, end int) uint64 { return eightDigits(x << (^end & 63) << 8) }
