package runtimetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/segue-serving/segue/runtime"
)

// Place copies tensors into memory of a pool, where an engine may read them;
// the test's end gives it back.
func Place(t testing.TB, tensors ...runtime.Tensor) []runtime.Tensor {
	t.Helper()
	pool := runtime.NewPool()
	placed := slices.Clone(tensors)
	for i := range placed {
		if placed[i].Type == runtime.BYTES {
			continue
		}
		block, err := pool.Get(len(placed[i].Data))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(block.Release)
		copy(block.Bytes(), placed[i].Data)
		placed[i].Data = block.Bytes()
	}
	return placed
}

// Clone copies a tensor, so that it outlives the Result that it came in.
func Clone(t runtime.Tensor) runtime.Tensor {
	t.Shape, t.Data = slices.Clone(t.Shape), bytes.Clone(t.Data)
	t.Strings = slices.Clone(t.Strings)
	for i := range t.Strings {
		t.Strings[i] = append([]byte{}, t.Strings[i]...)
	}
	return t
}

// Diff says how got differs from want in name, type, shape or any bit, "" when
// it does not.
func Diff(got, want runtime.Tensor) string {
	switch {
	case got.Name != want.Name || got.Type != want.Type:
		return fmt.Sprintf("got %s of %s, want %s of %s", got.Name, got.Type, want.Name, want.Type)
	case !slices.Equal(got.Shape, want.Shape):
		return fmt.Sprintf("%s: got shape %s, want %s", want.Name, runtime.FormatShape(got.Shape), runtime.FormatShape(want.Shape))
	case !bytes.Equal(got.Data, want.Data):
		return fmt.Sprintf("%s: got bytes %x, want %x", want.Name, clip(got.Data), clip(want.Data))
	case !slices.EqualFunc(got.Strings, want.Strings, bytes.Equal):
		return fmt.Sprintf("%s: got strings %q, want %q", want.Name, got.Strings, want.Strings)
	}
	return ""
}

// DiffWithin is Diff, but that FP32 numbers may differ by tolerance, of one and
// of their own size together.
func DiffWithin(got, want runtime.Tensor, tolerance float64) string {
	if tolerance == 0 || want.Type != runtime.FP32 || got.Type != want.Type || len(got.Data) != len(want.Data) {
		return Diff(got, want)
	}
	for at := 0; at < len(want.Data); at += 4 {
		g := float64(math.Float32frombits(binary.LittleEndian.Uint32(got.Data[at:])))
		w := float64(math.Float32frombits(binary.LittleEndian.Uint32(want.Data[at:])))
		same := g == w || math.IsNaN(g) && math.IsNaN(w)
		if !same && (math.IsInf(w, 0) || !(math.Abs(g-w) <= tolerance*(1+math.Abs(w)))) {
			return fmt.Sprintf("%s: element %d is %v, want %v", want.Name, at/4, g, w)
		}
	}
	got.Data = want.Data
	return Diff(got, want)
}

func clip(b []byte) []byte { return b[:min(len(b), 64)] }

// FP32 returns a tensor of the shape that holds the values.
func FP32(name string, shape []int64, values ...float32) runtime.Tensor {
	data := make([]byte, 0, 4*len(values))
	for _, v := range values {
		data = le(data, uint64(math.Float32bits(v)), 4)
	}
	return runtime.Tensor{Name: name, Type: runtime.FP32, Shape: shape, Data: data}
}

// INT64 returns a tensor of the shape that holds the values.
func INT64(name string, shape []int64, values ...int64) runtime.Tensor {
	data := make([]byte, 0, 8*len(values))
	for _, v := range values {
		data = le(data, uint64(v), 8)
	}
	return runtime.Tensor{Name: name, Type: runtime.INT64, Shape: shape, Data: data}
}

// BYTES returns a tensor of the shape that holds the elements.
func BYTES(name string, shape []int64, elements ...string) runtime.Tensor {
	strings := make([][]byte, len(elements))
	for i, e := range elements {
		strings[i] = []byte(e)
	}
	return runtime.Tensor{Name: name, Type: runtime.BYTES, Shape: shape, Strings: strings}
}

func le(to []byte, bits uint64, size int) []byte {
	for range size {
		to = append(to, byte(bits))
		bits >>= 8
	}
	return to
}

// AlignedAt reports how many bytes past a multiple of runtime.Alignment the
// data begins.
func AlignedAt(data []byte) int {
	return int(uintptr(unsafe.Pointer(unsafe.SliceData(data))) % runtime.Alignment)
}
