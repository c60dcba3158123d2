package runtime

import (
	"bytes"
	"slices"
)

// TensorBytes returns how many bytes the elements of tensors take: their data,
// or the text of their strings.
func TensorBytes(tensors []Tensor) (size int64) {
	for i := range tensors {
		size += int64(len(tensors[i].Data))
		for _, text := range tensors[i].Strings {
			size += int64(len(text))
		}
	}
	return size
}

// Copy returns copies of tensors that share nothing with them, their data in
// memory of the pool. The caller releases the memory when it needs the copies no
// more. It fails only where the system has no memory left, and keeps none then.
func (p *Pool) Copy(tensors []Tensor) (copies []Tensor, memory []*Memory, err error) {
	copies = slices.Clone(tensors)
	for i := range copies {
		t := &copies[i]
		t.Shape = slices.Clone(t.Shape)
		if t.Data != nil {
			block, err := p.Get(len(t.Data))
			if err != nil {
				for _, m := range memory {
					m.Release()
				}
				return nil, nil, err
			}
			memory = append(memory, block)
			copy(block.Bytes(), t.Data)
			t.Data = block.Bytes()
		}
		t.Strings = slices.Clone(t.Strings)
		for j, text := range t.Strings {
			t.Strings[j] = bytes.Clone(text)
		}
	}
	return copies, memory, nil
}
