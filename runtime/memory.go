package runtime

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Alignment of tensor memory in bytes. ONNX Runtime's own allocations have it,
// and its reductions give other last bits on inputs aligned to less than 16.
const Alignment = 64

const (
	smallestClass = 12 // 4 KiB, a page: mmap gives no less
	largestClass  = 30 // 1 GiB: larger blocks are mapped and unmapped singly
	// Idle memory kept per size class. What is given back beyond it is
	// unmapped, so that one burst of large requests is not kept for ever.
	idleBytesPerClass = 32 << 20
)

// Pool hands out tensor memory that lies outside Go's heap: the garbage
// collector neither scans nor moves it, and C may read it without a copy. It
// is safe for concurrent use. The zero value is ready.
type Pool struct {
	classes [largestClass + 1]freeList
	mapped  atomic.Int64
}

type freeList struct {
	mu     sync.Mutex
	blocks []*Memory
}

// Memory is one block of a Pool. It belongs to who got it until Release.
type Memory struct {
	pool  *Pool
	block []byte
	size  int
	class int
}

// NewPool returns an empty pool.
func NewPool() *Pool { return &Pool{} }

// Get returns a block of size bytes with undefined contents, aligned to
// Alignment. A size of 0 gives an empty block. It panics on a negative size,
// and fails only where the system has no memory left.
func (p *Pool) Get(size int) (*Memory, error) {
	if size < 0 {
		panic(fmt.Sprintf("runtime: %d bytes asked of a pool", size))
	}
	class := max(smallestClass, bits.Len(uint(max(size, 1)-1)))
	if class > largestClass {
		return p.mapBlock(size, size, -1)
	}
	list := &p.classes[class]
	list.mu.Lock()
	if n := len(list.blocks); n > 0 {
		m := list.blocks[n-1]
		list.blocks = list.blocks[:n-1]
		list.mu.Unlock()
		m.size = size
		return m, nil
	}
	list.mu.Unlock()
	return p.mapBlock(size, 1<<class, class)
}

func (p *Pool) mapBlock(size, length, class int) (*Memory, error) {
	block, err := unix.Mmap(-1, 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of tensor memory: %w", length, err)
	}
	p.mapped.Add(int64(length))
	return &Memory{pool: p, block: block, size: size, class: class}, nil
}

// MappedBytes returns how much memory the pool holds now, in use and idle.
func (p *Pool) MappedBytes() int64 { return p.mapped.Load() }

// Bytes returns the block's memory, as long as was asked for.
func (m *Memory) Bytes() []byte { return m.block[:m.size:m.size] }

// Release gives the block back; it must not be used afterwards. Releasing
// twice is a bug that corrupts another request's tensor, and callers must
// prevent it by holding each block in one place.
func (m *Memory) Release() {
	p := m.pool
	if m.class >= 0 {
		list := &p.classes[m.class]
		list.mu.Lock()
		if (len(list.blocks)+1)<<m.class <= idleBytesPerClass {
			list.blocks = append(list.blocks, m)
			list.mu.Unlock()
			return
		}
		list.mu.Unlock()
	}
	p.mapped.Add(-int64(len(m.block)))
	if err := unix.Munmap(m.block); err != nil {
		panic("runtime: unmap of a block that this pool mapped: " + err.Error())
	}
	m.block = nil
}
