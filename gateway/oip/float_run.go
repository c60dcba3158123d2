package oip

import (
	"encoding/binary"
	"math"
	"strconv"
)

// float32Run rounds decimals once each to the nearest float32, ties to even,
// and writes them.
//
// It computes a double with three roundings, of the mantissa, of the power of
// ten and of their product: at most 3·2^-53 of the value off, which is under
// four units in the double's last place. Where that is nearer to the number
// than any middle between two float32, rounding the double is rounding the
// number. The middles are the doubles whose lower 29 bits are 2^28, as a decimal
// is 0 or in the range of normal floats.
func float32Run(dst []byte, run []decimal) {
	const unsure = 4
	dst = dst[:4*len(run)]
	for i := range run {
		d := &run[i]
		double := float64(int64(d.mantissa)) * scales[d.form%uint32(len(scales))]
		value := float32(double)
		if (math.Float64bits(double)-(1<<28-unsure))&(1<<29-1) <= 2*unsure {
			value = float32(d.round(32))
			if d.form&minusForm != 0 {
				value = -value
			}
		}
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(value))
	}
}

// float64Run rounds decimals once each to the nearest double, ties to even, and
// writes them. A power of ten up to 10^22 is exact, and so is a mantissa up to
// 2^53: one division then rounds once (Clinger's fast path).
func float64Run(dst []byte, run []decimal) {
	dst = dst[:8*len(run)]
	for i := range run {
		d := &run[i]
		places := int(d.form & placesForm)
		value := 0.0
		if d.mantissa <= 1<<53 && places < len(exact64) {
			value = float64(int64(d.mantissa)) / exact64[places]
		} else if rounded, ok := lemire64(d.mantissa, -places); ok {
			value = rounded
		} else {
			value = d.round(64)
		}
		if d.form&minusForm != 0 {
			value = -value
		}
		binary.LittleEndian.PutUint64(dst[8*i:], math.Float64bits(value))
	}
}

// round rounds the magnitude of a decimal to a float of size bits with strconv,
// which is exact and slow.
func (d *decimal) round(size int) float64 {
	var text [32]byte
	number := append(strconv.AppendUint(text[:0], d.mantissa, 10), "e-"...)
	value, _ := strconv.ParseFloat(view(strconv.AppendUint(number, uint64(d.form&placesForm), 10)), size)
	return value
}

// integerRun writes the lower size bytes of each decimal, and reports false
// where one is not a whole number from lowest to highest.
func integerRun(dst []byte, size int, run []decimal, lowest int64, highest uint64) bool {
	for i := range run {
		d := &run[i]
		value, limit := d.mantissa, highest
		if d.form&minusForm != 0 {
			value, limit = -value, -uint64(lowest)
		}
		if d.mantissa > limit || d.form&placesForm != 0 {
			return false
		}
		putInteger(dst[size*i:], size, value)
	}
	return true
}

// scales holds ±10^-places for every form of a decimal.
var scales = [2 * minusForm]float64{
	1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17, 1e-18, 1e-19, 1e-20, 1e-21, 1e-22, 1e-23, 1e-24, 1e-25, 1e-26, 1e-27, 1e-28, 1e-29, 1e-30, 1e-31, 1e-32, 1e-33, 1e-34, 1e-35, 1e-36, 1e-37,
	minusForm: -1, -1e-1, -1e-2, -1e-3, -1e-4, -1e-5, -1e-6, -1e-7, -1e-8, -1e-9, -1e-10, -1e-11, -1e-12, -1e-13, -1e-14, -1e-15, -1e-16, -1e-17, -1e-18, -1e-19, -1e-20, -1e-21, -1e-22, -1e-23, -1e-24, -1e-25, -1e-26, -1e-27, -1e-28, -1e-29, -1e-30, -1e-31, -1e-32, -1e-33, -1e-34, -1e-35, -1e-36, -1e-37,
}
