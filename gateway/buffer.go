package gateway

import "github.com/segue-serving/segue/runtime"

// keptBytes is the largest buffer that a call keeps for the next request;
// larger ones come from the pool of tensor memory or are left to the garbage
// collector.
const keptBytes = 1 << 20

// buffer is memory for bytes that come one after the other. Up to keptBytes it
// is memory that its owner keeps; beyond, it lies outside Go's heap, where pages
// exist only once something was read into them, so that a length which is merely
// claimed costs nothing.
type buffer struct {
	kept  []byte
	block *runtime.Memory
	// bytes are what came so far.
	bytes []byte
}

// begin empties the buffer.
func (b *buffer) begin() { b.bytes = b.kept[:0] }

// reserve makes room for size bytes with those that came so far, which stay.
func (b *buffer) reserve(pool *runtime.Pool, size int64) error {
	if size <= int64(cap(b.bytes)) {
		return nil
	}
	if size <= keptBytes {
		b.kept = append(make([]byte, 0, size), b.bytes...)
		b.bytes = b.kept
		return nil
	}
	block, err := pool.Get(int(size))
	if err != nil {
		return err
	}
	n := copy(block.Bytes(), b.bytes)
	if b.block != nil {
		b.block.Release()
	}
	b.block = block
	b.bytes = block.Bytes()[:n]
	return nil
}

// release forgets what came.
func (b *buffer) release() {
	if b.block != nil {
		b.block.Release()
		b.block = nil
	}
	b.bytes = nil
}
