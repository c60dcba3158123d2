package oip

import (
	"encoding/binary"
	"math/bits"
)

// decimal is the exact number ±mantissa·10^-places of a plain notation:
// digits, perhaps with a point among them, and no exponent.
type decimal struct {
	mantissa uint64 // less than 2^63
	form     uint32 // places, the digits behind the point, 0 without a point; and minusForm
}

const (
	placesForm = 31     // the bits of a decimal's places, which are at most 18
	minusForm  = 1 << 5 // set with a minus sign

	// runLength is how many numbers are scanned before they are converted. Two
	// short loops leave the compiler enough registers, where one that does
	// both spills them.
	runLength = 64
	// runWindow is how far behind a number's first digit scanRun may look.
	runWindow = 40
	// mostDigits is how many digits scanRun reads at most: uint64 holds them.
	mostDigits = 19
)

// scanRun reads numbers of a list from position at on, until it has read most
// or one comes that it leaves to scanNumber: one with an exponent, of more than
// mostDigits, without a comma right behind it, near the end of the text, or not
// a number at all. It returns how many it read and the position of the next.
//
// As in scanNumber digits are read eight at a time within one machine word. The
// first eight bytes are taken to hold a digit, a point and six more: from them
// the point is removed, so that such a number takes one step. Where digits end
// is found by counting zeros and not by a loop, so that numbers of varying
// lengths cost no mispredicted branch.
func scanRun(run *[runLength]decimal, most int, b []byte, at int) (n, next int) {
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
		mantissa := eightDigits(x)
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
			digits := i - at
			if point >= 0 {
				digits--
			}
			if b[i] != ',' || digits > mostDigits || mantissa>>63 != 0 {
				return n, start
			}
		}
		form := minus
		if point >= 0 {
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

const zeroDigits = '0' * lowBits

// nonDigits marks the highest bit of the first byte of x that is over 9, and of
// some behind it: carries only reach later bytes, so that the lowest mark is
// exact.
func nonDigits(x uint64) uint64 { return ((x + 0x76*lowBits) | x) & highBits }
