package runtime

import (
	"reflect"
	"testing"
)

func TestCopiesShareNothing(t *testing.T) {
	tensors := func() []Tensor {
		return []Tensor{
			{Name: "x", Type: UINT8, Shape: []int64{1, 3}, Data: []byte{1, 2, 3}},
			{Name: "none", Type: FP32, Shape: []int64{0}, Data: []byte{}},
			{Name: "s", Type: BYTES, Shape: []int64{2}, Strings: [][]byte{[]byte("ab"), {}}},
		}
	}
	from, p := tensors(), NewPool()
	if size := TensorBytes(from); size != 5 {
		t.Errorf("%d bytes, want 5", size)
	}
	copies, memory, err := p.Copy(from)
	if err != nil || len(memory) != 2 {
		t.Fatalf("%d blocks, %v", len(memory), err)
	}
	if !reflect.DeepEqual(copies, from) {
		t.Errorf("got %+v, want %+v", copies, from)
	}
	from[0].Shape[0], from[0].Data[0], from[2].Strings[0][0], from[2].Strings[1] = 9, 9, 'x', []byte("y")
	if want := tensors(); !reflect.DeepEqual(copies, want) {
		t.Errorf("after the original changed: %+v, want %+v", copies, want)
	}
	for _, m := range memory {
		m.Release()
	}
	if again, err := p.Get(3); err != nil || again != memory[1] && again != memory[0] {
		t.Errorf("the memory was not given back: %v", err)
	}
}
