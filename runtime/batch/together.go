package batch

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/segue-serving/segue/runtime"
)

// together says why rows of several calls may not share a run of the model, ""
// where they may: a row must give by itself what it gives beside another.
// Models that normalise over a batch or carry a state from row to row do not.
func (i *Instance) together(ctx context.Context) string {
	switch {
	case i.options.MaxBatch <= 1:
		return "max_batch_size is 1"
	case !i.Signature().Batches():
		return "an input or output has no dynamic first size"
	}
	p := []pattern{even, odd, both}
	answers, err := i.answers(ctx, p)
	if err != nil {
		// Made-up numbers are not to every model's taste; zeros tell less.
		if answers, err = i.answers(ctx, []pattern{zero, zero, zero}); err != nil {
			return fmt.Sprintf("the model refuses two rows that were made up: %v", err)
		}
	}
	for o, pair := range answers[2] {
		for row := range 2 {
			if diff := differ(&answers[row][o], &pair, row); diff != "" {
				return fmt.Sprintf("output %q: %s", pair.Name, diff)
			}
		}
	}
	return ""
}

// answers runs one row of the first pattern, one of the second and two of the
// third. The tensors are copies.
func (i *Instance) answers(ctx context.Context, patterns []pattern) ([][]runtime.Tensor, error) {
	all := make([][]runtime.Tensor, len(patterns))
	for n, p := range patterns {
		rows := 1
		if n == 2 {
			rows = 2
		}
		inputs, release, err := i.inputs(rows, p)
		if err != nil {
			release()
			return nil, err
		}
		res, _, err := i.runBackground(ctx, inputs)
		release()
		if err != nil {
			return nil, err
		}
		for _, t := range res.Tensors {
			t.Shape, t.Data = slices.Clone(t.Shape), slices.Clone(t.Data)
			t.Strings = slices.Clone(t.Strings)
			for s := range t.Strings {
				t.Strings[s] = slices.Clone(t.Strings[s])
			}
			all[n] = append(all[n], t)
		}
		res.Release()
	}
	return all, nil
}

// Rows that are computed side by side are added up in another order.
const (
	relative = 1e-2
	absolute = 1e-4
)

// differ says how one row of a pair differs from the row alone.
func differ(alone, pair *runtime.Tensor, row int) string {
	if len(alone.Shape) == 0 || len(pair.Shape) == 0 || alone.Shape[0] != 1 || pair.Shape[0] != 2 ||
		!slices.Equal(alone.Shape[1:], pair.Shape[1:]) {
		return fmt.Sprintf("one row gives the shape %s, two give %s", runtime.FormatShape(alone.Shape), runtime.FormatShape(pair.Shape))
	}
	const mixed = "rows change each other's results"
	if alone.Type == runtime.BYTES {
		n := len(alone.Strings)
		if !slices.EqualFunc(alone.Strings, pair.Strings[row*n:(row+1)*n], slices.Equal[[]byte]) {
			return mixed
		}
		return ""
	}
	n := len(alone.Data)
	part := pair.Data[row*n : (row+1)*n]
	size := alone.Type.Size()
	for at := 0; at < n; at += size {
		a, b := alone.Data[at:at+size], part[at:at+size]
		if slices.Equal(a, b) {
			continue
		}
		if !alone.Type.IsFloat() {
			return mixed
		}
		x, y := float(alone.Type, a), float(alone.Type, b)
		if math.IsNaN(x) && math.IsNaN(y) {
			continue
		}
		if !(math.Abs(x-y) <= absolute+relative*max(math.Abs(x), math.Abs(y))) {
			return mixed
		}
	}
	return ""
}

// float reads one little-endian number of a float type.
func float(t runtime.DataType, b []byte) float64 {
	switch t {
	case runtime.FP64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	case runtime.FP32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case runtime.BF16:
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
	}
	half := uint64(binary.LittleEndian.Uint16(b))
	exponent, fraction := int(half>>10&31), float64(half&1023)
	value := math.Ldexp(fraction, -24)
	switch {
	case exponent == 31 && fraction == 0:
		value = math.Inf(1)
	case exponent == 31:
		value = math.NaN()
	case exponent > 0:
		value = math.Ldexp(1024+fraction, exponent-25)
	}
	if half>>15 == 1 {
		value = -value
	}
	return value
}

// paint fills the rows of a tensor by a pattern.
func paint(t *runtime.Tensor, rows int, p pattern) {
	if rows == 0 || len(t.Data) == 0 {
		return
	}
	each, size := len(t.Data)/rows, t.Type.Size()
	for row := range rows {
		seed := uint32(p)
		if p == both {
			seed = uint32(even) + uint32(row%2)
		}
		data := t.Data[row*each : (row+1)*each]
		for at := 0; at < each; at += size {
			seed = seed*1664525 + 1013904223 // the linear generator of Numerical Recipes
			paintOne(t.Type, data[at:at+size], seed>>24)
		}
	}
}

// paintOne writes a number made from one byte.
func paintOne(t runtime.DataType, to []byte, noise uint32) {
	fraction := float64(noise) / 256
	switch t {
	case runtime.FP64:
		binary.LittleEndian.PutUint64(to, math.Float64bits(fraction))
	case runtime.FP32:
		binary.LittleEndian.PutUint32(to, math.Float32bits(float32(fraction)))
	case runtime.BF16:
		binary.LittleEndian.PutUint16(to, uint16(math.Float32bits(float32(fraction))>>16))
	case runtime.FP16:
		// 1 and a fraction of ten bits, less one bit of the exponent: ½ to 1.
		binary.LittleEndian.PutUint16(to, uint16(14<<10|noise<<2))
	default:
		to[0] = byte(noise & 1)
	}
}
