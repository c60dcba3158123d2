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
// number. The middles are the doubles whose lower 29 bits are 2^28: a decimal
// of at most 19 digits and 18 places is 0 or in the range of normal floats.
func float32Run(dst []byte, run []decimal) {
	const unsure = 4
	dst = dst[:4*len(run)]
	for i := range run {
		d := &run[i]
		double := float64(int64(d.mantissa)) * scales[d.form%uint32(len(scales))]
		value := float32(double)
		if (math.Float64bits(double)-(1<<28-unsure))&(1<<29-1) <= 2*unsure {
			value = float32(d.round(32))
		}
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(value))
	}
}

// round rounds the decimal to a float of size bits with strconv, which is exact
// and slow.
func (d *decimal) round(size int) float64 {
	var text [32]byte
	number := text[:0]
	if d.form&minusForm != 0 {
		number = append(number, '-')
	}
	number = append(strconv.AppendUint(number, d.mantissa, 10), "e-"...)
	value, _ := strconv.ParseFloat(view(strconv.AppendUint(number, uint64(d.form&placesForm), 10)), size)
	return value
}

// scales holds ±10^-places for every form of a decimal.
var scales = [2 * minusForm]float64{
	1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16, 1e-17, 1e-18,
	minusForm: -1, -1e-1, -1e-2, -1e-3, -1e-4, -1e-5, -1e-6, -1e-7, -1e-8, -1e-9, -1e-10, -1e-11, -1e-12, -1e-13, -1e-14, -1e-15, -1e-16, -1e-17, -1e-18,
}
