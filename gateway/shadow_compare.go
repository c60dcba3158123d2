package gateway

import (
	"encoding/binary"
	"math"

	"github.com/segue-serving/segue/runtime"
)

// comparison is how the answers of two versions to one request differ.
type comparison struct {
	// labels is how many rows have a class in both, flips in how many of them
	// it is another.
	labels, flips int
	// largest and sum are of the absolute differences of count numbers. A
	// number against none (NaN), or against nothing, differs infinitely.
	largest, sum float64
	count        int
}

// agrees reports that the two answers say the same: the same class in every
// row, or, where there are no classes, no number that is further off than
// tolerance.
func (c *comparison) agrees(tolerance float64) bool {
	if c.labels > 0 {
		return c.flips == 0
	}
	return c.largest <= tolerance
}

// mean is the mean absolute difference, 0 where there are no numbers.
func (c *comparison) mean() float64 {
	if c.count == 0 {
		return 0
	}
	return c.sum / float64(c.count)
}

// compare compares outputs by their names. One that the other lacks, or has in
// another shape, is a difference.
func compare(ours, theirs []runtime.Tensor, of *classOutput, name string) comparison {
	var c comparison
	for i := range ours {
		a := &ours[i]
		b := tensorNamed(theirs, a.Name)
		if b == nil || a.Type != b.Type || len(a.Data) != len(b.Data) || len(a.Strings) != len(b.Strings) {
			c.differ(math.Inf(1))
			continue
		}
		if of.output >= 0 && a.Name == name {
			c.compareClasses(a, b)
		}
		c.compareValues(a, b)
	}
	return c
}

func tensorNamed(tensors []runtime.Tensor, name string) *runtime.Tensor {
	for i := range tensors {
		if tensors[i].Name == name {
			return &tensors[i]
		}
	}
	return nil
}

// compareClasses compares the class of each row.
func (c *comparison) compareClasses(a, b *runtime.Tensor) {
	for x, y := *a, *b; ; {
		p, q := classOfTensor(&x), classOfTensor(&y)
		if p == 0 || q == 0 {
			return
		}
		c.labels++
		if p != q {
			c.flips++
		}
		if !nextRow(&x) || !nextRow(&y) {
			return
		}
	}
}

// nextRow cuts off what classOfTensor looked at and reports that there is more.
func nextRow(t *runtime.Tensor) bool {
	switch {
	case t.Type == runtime.BYTES:
		t.Strings = t.Strings[1:]
		return len(t.Strings) > 0
	case !t.Type.IsFloat():
		t.Data = t.Data[t.Type.Size():]
	default:
		t.Data = t.Data[int(t.Shape[len(t.Shape)-1])*t.Type.Size():]
	}
	return len(t.Data) > 0
}

func (c *comparison) differ(by float64) {
	c.largest = max(c.largest, by)
	if !math.IsInf(by, 1) {
		c.sum += by
	}
	c.count++
}

// compareValues compares two tensors of one type and size value by value. Texts
// and the rarer floating-point types are the same or not.
func (c *comparison) compareValues(a, b *runtime.Tensor) {
	size := a.Type.Size()
	for i := range a.Strings {
		c.same(string(a.Strings[i]) == string(b.Strings[i]))
	}
	for at := 0; at+size <= len(a.Data) && size > 0; at += size {
		x, y := a.Data[at:at+size], b.Data[at:at+size]
		switch {
		case a.Type == runtime.FP32:
			c.numbers(float64(math.Float32frombits(binary.LittleEndian.Uint32(x))), float64(math.Float32frombits(binary.LittleEndian.Uint32(y))))
		case a.Type == runtime.FP64:
			c.numbers(math.Float64frombits(binary.LittleEndian.Uint64(x)), math.Float64frombits(binary.LittleEndian.Uint64(y)))
		case a.Type.IsFloat():
			c.same(string(x) == string(y))
		default:
			c.numbers(float64(integer(a.Type, x)), float64(integer(a.Type, y)))
		}
	}
}

func (c *comparison) same(same bool) {
	if same {
		c.differ(0)
	} else {
		c.differ(math.Inf(1))
	}
}

func (c *comparison) numbers(x, y float64) {
	switch d := math.Abs(x - y); {
	case x == y || math.IsNaN(x) && math.IsNaN(y):
		c.differ(0)
	case math.IsNaN(d):
		c.differ(math.Inf(1))
	default:
		c.differ(d)
	}
}
