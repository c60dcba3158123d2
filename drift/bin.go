package drift

import "math"

// number counts one value of an ordered feature.
func (c *column) number(counts []uint64, x float64) {
	counts[c.offset+c.place(x)]++
}

// place is where a number is counted. NaN is missing, infinities are out of
// range.
func (c *column) place(x float64) int {
	switch {
	case math.IsNaN(x):
		return atMissing
	case c.empty:
		return atUnseen
	case x < c.least:
		return atBelow
	case x > c.most:
		return atAbove
	}
	i := atBins
	for _, e := range c.inner {
		if x >= e {
			i++
		}
	}
	return i
}

// bits counts one whole number of a categorical feature, or a class.
func (c *column) bits(counts []uint64, bits uint64) {
	i, ok := c.byBits[bits]
	c.category(counts, i, ok)
}

// text counts one text of a categorical feature; an empty one is missing.
func (c *column) text(counts []uint64, text []byte) {
	if len(text) == 0 {
		counts[c.offset+atMissing]++
		return
	}
	i, ok := c.byText[string(text)]
	c.category(counts, i, ok)
}

func (c *column) category(counts []uint64, i int32, listed bool) {
	switch {
	case listed:
		counts[c.offset+atBins+int(i)]++
	case c.other:
		counts[c.offset+atBins+c.bins-1]++
	default:
		counts[c.offset+atUnseen]++
	}
}
