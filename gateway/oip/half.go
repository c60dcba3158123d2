package oip

import (
	"math"
	"strconv"
)

// halfOf rounds a JSON number once to the nearest FP16, ties to even; exact
// is the double nearest to the number. ok is false over 65519, which has no
// finite FP16.
//
// The double decides alone unless it lies exactly between two FP16 values:
// then the number's own digits say on which side of it the number is.
func halfOf(exact float64, number []byte) (half uint16, ok bool) {
	magnitude := math.Abs(exact)
	if magnitude > 65520 {
		return 0, false
	}
	if magnitude == 0 {
		return uint16(math.Float64bits(exact) >> 48), true
	}
	// The spacing of FP16 values around the magnitude: 2^-24 below the normal
	// range, else 2^-10 of the leading bit's value.
	_, exponent := math.Frexp(magnitude)
	shift := max(exponent-11, -24)
	scaled := math.Ldexp(magnitude, -shift)
	below := math.Floor(scaled)
	units := uint16(below)
	switch remainder := scaled - below; {
	case remainder > 0.5:
		units++
	case remainder == 0.5:
		side := compareDigits(number, magnitude)
		if side > 0 || side == 0 && units&1 == 1 {
			units++
		}
	}
	// units counts spacings, and with its leading bit added to the exponent
	// field a carry out of the mantissa lands in the next exponent.
	half = units
	if shift > -24 {
		half += uint16(shift+24) << 10
	}
	if half >= 0x7c00 {
		return 0, false
	}
	if math.Signbit(exact) {
		half |= 0x8000
	}
	return half, true
}

// floatOfHalf widens an FP16, which is exact.
func floatOfHalf(half uint16) float32 {
	sign := uint32(half>>15) << 31
	exponent := uint32(half >> 10 & 31)
	mantissa := uint32(half & 0x3ff)
	switch exponent {
	case 0:
		value := float32(mantissa) / (1 << 24)
		return math.Float32frombits(math.Float32bits(value) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | mantissa<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | mantissa<<13)
}

// compareDigits compares the magnitude of a JSON number with a double that it
// rounds to and that lies between two FP16 values: -1, 0 or 1.
//
// The doubles in question are multiples of 2^-25 below 2^16, and none of them
// is a power of ten. So the first digit that is not zero stands at the same
// place in both, and only the digits need comparing.
func compareDigits(number []byte, magnitude float64) int {
	var buffer [64]byte
	// 5 digits before the point and 25 behind it hold such a double exactly.
	a := significant(number)
	b := significant(strconv.AppendFloat(buffer[:0], magnitude, 'f', 25, 64))
	for {
		x, xOK := a.next()
		y, yOK := b.next()
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		case !xOK && !yOK:
			return 0
		}
	}
}

// digits is the rest of a JSON number whose digits are walked over.
type digits []byte

// significant stands before the first digit that is not zero.
func significant(number []byte) digits {
	i := 0
	for i < len(number) && (number[i] == '-' || number[i] == '0' || number[i] == '.') {
		i++
	}
	return number[i:]
}

// next returns the next digit's value, 0 and false after the last.
func (d *digits) next() (value byte, ok bool) {
	for len(*d) > 0 && (*d)[0]|0x20 != 'e' {
		c := (*d)[0]
		*d = (*d)[1:]
		if c != '.' {
			return c - '0', true
		}
	}
	return 0, false
}
