package oip

import (
	"math"
	"math/bits"
	"strconv"
)

// float32Of rounds ±mantissa·10^exponent once to the nearest float32, ties to
// even. ok is false where that cannot be decided here; the caller then asks
// strconv with the number's digits.
func float32Of(mantissa uint64, exponent int, f form) (value float32, ok bool) {
	if f&long != 0 {
		return 0, false
	}
	if mantissa <= 1<<24 && uint(exponent+10) <= 20 {
		// Both operands are exact, so that one operation rounds once.
		value = float32(mantissa)
		if exponent < 0 {
			value /= exact32[-exponent]
		} else {
			value *= exact32[exponent]
		}
	} else if value, ok = lemire32(mantissa, exponent); !ok {
		return 0, false
	}
	if f&negative != 0 {
		value = -value
	}
	return value, true
}

// float64Of is float32Of for doubles.
func float64Of(mantissa uint64, exponent int, f form) (value float64, ok bool) {
	if f&long != 0 {
		return 0, false
	}
	if mantissa <= 1<<53 && uint(exponent+22) <= 44 {
		value = float64(mantissa)
		if exponent < 0 {
			value /= exact64[-exponent]
		} else {
			value *= exact64[exponent]
		}
	} else if value, ok = lemire64(mantissa, exponent); !ok {
		return 0, false
	}
	if f&negative != 0 {
		value = -value
	}
	return value, true
}

var exact32 = [...]float32{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}

var exact64 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// lemire multiplies the mantissa with a 128-bit power of ten and keeps the
// upper bits: rounded holds mantissaBits+1 bits rounded to mantissaBits, ties
// excluded, and exponent2 is the biased exponent to go with them. It is the
// algorithm of Eisel and Lemire (arXiv:2101.11408); it gives up (ok false)
// where the truncated product cannot tell on which side of a tie the number
// lies, on subnormal and overflowing results, and outside of the table.
func lemire(mantissa uint64, exponent, explicitBits, bias int) (rounded uint64, exponent2 int, ok bool) {
	index := exponent - smallestPower
	if mantissa == 0 {
		return 0, 0, true
	}
	if uint(index) >= uint(len(powers)) {
		return 0, 0, false
	}
	power := &powers[index]
	zeros := bits.LeadingZeros64(mantissa)
	mantissa <<= zeros
	// 217706/2^16 is log2(10), near enough over the range of the table.
	exponent2 = (217706*exponent)>>16 + 64 + bias - zeros

	drop := 64 - (explicitBits + 3) // bits of the upper word below the rounding bit, the carry bit apart
	rest := uint64(1)<<drop - 1
	high, low := bits.Mul64(mantissa, power.high)
	if high&rest == rest && low+mantissa < low {
		high2, low2 := bits.Mul64(mantissa, power.low)
		sum, carry := bits.Add64(low, high2, 0)
		high += carry
		if high&rest == rest && sum+1 == 0 && low2+mantissa < low2 {
			return 0, 0, false
		}
		low = sum
	}
	top := high >> 63
	rounded = high >> (uint(drop) + uint(top))
	exponent2 -= int(1 ^ top)
	if low == 0 && high&rest == 0 && rounded&3 == 1 {
		return 0, 0, false // exactly between two floats, or just above
	}
	rounded += rounded & 1
	rounded >>= 1
	if rounded>>(explicitBits+1) != 0 {
		rounded >>= 1
		exponent2++
	}
	return rounded, exponent2, exponent2 >= 1 && exponent2 <= 2*bias
}

func lemire32(mantissa uint64, exponent int) (float32, bool) {
	rounded, exponent2, ok := lemire(mantissa, exponent, 23, 127)
	return math.Float32frombits(uint32(exponent2)<<23 | uint32(rounded)&(1<<23-1)), ok
}

func lemire64(mantissa uint64, exponent int) (float64, bool) {
	rounded, exponent2, ok := lemire(mantissa, exponent, 52, 1023)
	return math.Float64frombits(uint64(exponent2)<<52 | rounded&(1<<52-1)), ok
}

// slowFloat rounds a JSON number with strconv, which is exact on every number
// and slower. ok is false where the magnitude is over the type's largest.
func slowFloat(number []byte, size int) (value float64, ok bool) {
	value, err := strconv.ParseFloat(view(number), size)
	return value, err == nil
}
