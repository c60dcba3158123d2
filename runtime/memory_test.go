package runtime

import (
	"sync"
	"testing"
	"unsafe"
)

func TestBlocksAreAlignedAndAsLongAsAskedFor(t *testing.T) {
	p := NewPool()
	for _, size := range []int{0, 1, 63, 4096, 4097, 1 << 20, 1<<20 + 1, 33 << 20} {
		m, err := p.Get(size)
		if err != nil {
			t.Fatal(err)
		}
		b := m.Bytes()
		if len(b) != size || cap(b) != size {
			t.Errorf("asked for %d bytes, got %d of capacity %d", size, len(b), cap(b))
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(b))) % Alignment; at != 0 {
			t.Errorf("block of %d bytes is %d past alignment", size, at)
		}
		for i := range b {
			b[i] = byte(i)
		}
		m.Release()
	}
}

func TestBlocksAreUsedAgain(t *testing.T) {
	p := NewPool()
	get := func(size int) *Memory {
		m, err := p.Get(size)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := get(5000)
	if got := p.MappedBytes(); got != 8192 {
		t.Errorf("%d bytes mapped, want 8192", got)
	}
	first.Release()
	if second := get(8192); second != first {
		t.Error("a block of the same class was mapped anew")
	}
	if third := get(4097); third == first {
		t.Error("a block in use was handed out")
	}
	if got := p.MappedBytes(); got != 2*8192 {
		t.Errorf("%d bytes mapped, want %d", got, 2*8192)
	}
}

func TestIdleMemoryIsBounded(t *testing.T) {
	for _, size := range []int{4 << 20, 32 << 20, 33 << 20, 1 << 30, 1<<30 + 1} {
		p := NewPool()
		var held []*Memory
		for range 20 {
			m, err := p.Get(size)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, m)
		}
		for _, m := range held {
			m.Release()
		}
		if got := p.MappedBytes(); got > idleBytesPerClass {
			t.Errorf("%d bytes stay mapped after blocks of %d, want at most %d", got, size, idleBytesPerClass)
		}
	}
}

func TestANegativeSizePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_, _ = NewPool().Get(-1)
}

func TestPoolIsSafeForManyGoroutines(t *testing.T) {
	p := NewPool()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				m, err := p.Get(1 + (g*i)%20000)
				if err != nil {
					t.Error(err)
					return
				}
				b := m.Bytes()
				mark := byte(g)
				for j := range b {
					b[j] = mark
				}
				for j := range b {
					if b[j] != mark {
						t.Errorf("block of goroutine %d holds %d", g, b[j])
						break
					}
				}
				m.Release()
			}
		})
	}
	wg.Wait()
}

func TestAResultIsReleasedOnce(t *testing.T) {
	freed := 0
	res := NewResult([]Tensor{{}}, func() { freed++ })
	res.Release()
	if freed != 1 || res.Tensors != nil {
		t.Errorf("freed %d times, tensors %v", freed, res.Tensors)
	}
	res.Release()
	if freed != 1 {
		t.Errorf("freed %d times after a second release", freed)
	}
	unfreed := NewResult(nil, nil)
	unfreed.Release()
}
