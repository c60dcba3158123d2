package runtime

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestElementsOfAShape(t *testing.T) {
	f := func(want int64, shape ...int64) {
		t.Helper()
		if got, err := Elements(shape); err != nil || got != want {
			t.Errorf("%v: got %d, %v, want %d", shape, got, err, want)
		}
	}
	f(1)
	f(6, 2, 3)
	f(0, 0)
	f(0, math.MaxInt64, 0, 1)
	f(math.MaxInt64, math.MaxInt64, 1)
	f(1<<62, 1<<31, 1<<31)
	refused := func(says string, shape ...int64) {
		t.Helper()
		if got, err := Elements(shape); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: got %d, %v, want an error that says %q", shape, got, err, says)
		}
	}
	refused("size -1 at dimension 0 is negative", -1)
	refused("size -2 at dimension 1 is negative", 0, -2)
	refused("overflows", 1<<32, 1<<31)
	refused("overflows", math.MaxInt64, 2)
	refused("overflows", math.MaxInt64, 0, 2)
	refused("overflows", 3, math.MaxInt64/3+1)
	refused("shape [4,-9223372036854775808]", 4, math.MinInt64)
}

func TestElementsAreTheProductOrOverflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shape := rapid.SliceOfN(rapid.Int64Range(1, math.MaxInt64), 0, 5).Draw(t, "shape")
		for i := range shape {
			shape[i] >>= rapid.IntRange(0, 62).Draw(t, "shift")
			shape[i] = max(1, shape[i])
		}
		product := big.NewInt(1)
		for _, d := range shape {
			product.Mul(product, big.NewInt(d))
		}
		got, err := Elements(shape)
		if product.IsInt64() != (err == nil) || err == nil && got != product.Int64() {
			t.Fatalf("%v: got %d, %v, want %s", shape, got, err, product)
		}
	})
}

func TestByteSize(t *testing.T) {
	f := func(typ DataType, want int64, shape ...int64) {
		t.Helper()
		if got, err := ByteSize(typ, shape); err != nil || got != want {
			t.Errorf("%s %v: got %d, %v, want %d", typ, shape, got, err, want)
		}
	}
	f(FP32, 24, 2, 3)
	f(BF16, 2)
	f(BOOL, 0, 0, 5)
	f(INT8, math.MaxInt64, math.MaxInt64)
	for _, bad := range []struct {
		typ   DataType
		shape []int64
		says  string
	}{
		{BYTES, []int64{1}, "BYTES elements have no fixed size"},
		{Invalid, nil, "INVALID elements have no fixed size"},
		{FP64, []int64{math.MaxInt64 / 8, 2}, "overflows"},
		{FP64, []int64{math.MaxInt64/8 + 1}, "size in bytes overflows"},
		{FP32, []int64{-1}, "negative"},
	} {
		if got, err := ByteSize(bad.typ, bad.shape); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s %v: got %d, %v, want %q", bad.typ, bad.shape, got, err, bad.says)
		}
	}
}

func TestShapesAreWrittenAsClientsWriteThem(t *testing.T) {
	for want, shape := range map[string][]int64{"[]": nil, "[2]": {2}, "[-1,3]": {Dynamic, 3}} {
		if got := FormatShape(shape); got != want {
			t.Errorf("%v: got %s, want %s", shape, got, want)
		}
	}
}
