package monitor

import (
	"bytes"
	"slices"

	"github.com/segue-serving/segue/runtime"
)

const (
	// maxWaiting and maxWaitingBytes bound the samples that wait to be counted;
	// what comes on top is dropped.
	maxWaiting      = 256
	maxWaitingBytes = 32 << 20
	// maxSampleBytes bounds one sample: a larger row is not looked at.
	maxSampleBytes = 8 << 20
)

// sample is one row of a request with its answer. It owns its memory.
type sample struct {
	of              *Target
	inputs, outputs []runtime.Tensor
	unit            uint64
	blocks          []*runtime.Memory
	size            int64
}

// viewRow is one row of every tensor, in the request's memory: the first
// dimension counts rows where rows is over 0, else the tensors are taken whole.
func viewRow(tensors []runtime.Tensor, row, rows int64) []runtime.Tensor {
	views := slices.Clone(tensors)
	for i := range views {
		t := &views[i]
		t.Shape = slices.Clone(t.Shape)
		if rows > 0 && len(t.Shape) > 0 && t.Shape[0] == rows {
			t.Shape[0] = 1
			data, texts := int64(len(t.Data))/rows, int64(len(t.Strings))/rows
			t.Data, t.Strings = t.Data[row*data:(row+1)*data], t.Strings[row*texts:(row+1)*texts]
		}
		t.Strings = slices.Clone(t.Strings)
	}
	return views
}

// own puts views into memory of the sample's own. It reports whether there was
// any.
func (s *sample) own(pool *runtime.Pool, views []runtime.Tensor) bool {
	for i := range views {
		t := &views[i]
		if len(t.Data) > 0 {
			block, err := pool.Get(len(t.Data))
			if err != nil {
				return false
			}
			s.blocks = append(s.blocks, block)
			copy(block.Bytes(), t.Data)
			t.Data = block.Bytes()
		}
		for j, text := range t.Strings {
			t.Strings[j] = bytes.Clone(text)
		}
	}
	return true
}

func tensorBytes(tensors []runtime.Tensor) (size int64) {
	for i := range tensors {
		size += int64(len(tensors[i].Data))
		for _, text := range tensors[i].Strings {
			size += int64(len(text))
		}
	}
	return size
}

// release gives the memory back.
func (s *sample) release() {
	for _, block := range s.blocks {
		block.Release()
	}
	s.blocks, s.inputs, s.outputs = nil, nil, nil
}
