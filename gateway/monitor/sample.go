package monitor

import (
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
	}
	return views
}

// own puts the views into memory of the sample's own. It reports whether there
// was any.
func (s *sample) own(pool *runtime.Pool) bool {
	for _, tensors := range []*[]runtime.Tensor{&s.inputs, &s.outputs} {
		copies, blocks, err := pool.Copy(*tensors)
		if err != nil {
			return false
		}
		*tensors, s.blocks = copies, append(s.blocks, blocks...)
	}
	return true
}

// release gives the memory back.
func (s *sample) release() {
	for _, block := range s.blocks {
		block.Release()
	}
	s.blocks, s.inputs, s.outputs = nil, nil, nil
}
