package load

import (
	"bytes"

	"golang.org/x/net/http2/hpack"
)

// requestHeads writes the heads of requests for one connection. A head that is
// all in the connection's table is written once: the same bytes mean the same
// until something enters the table.
type requestHeads struct {
	heads   [][]hpack.HeaderField
	encoder *hpack.Encoder
	block   bytes.Buffer
	// known are the blocks that hold while nothing enters the table, which
	// begins another generation.
	known      []knownHead
	generation int
}

type knownHead struct {
	block      []byte
	generation int
}

// open begins another connection with an empty table.
func (r *requestHeads) open() {
	r.encoder = hpack.NewEncoder(&r.block)
	r.generation++
}

// limit is called where the server wants a smaller table.
func (r *requestHeads) limit(size uint32) {
	r.encoder.SetMaxDynamicTableSizeLimit(size)
	r.generation++
}

// encode returns the block of a request's head, valid until the next call.
func (r *requestHeads) encode(i int) []byte {
	known := &r.known[i]
	if known.generation == r.generation {
		return known.block
	}
	r.block.Reset()
	for _, f := range r.heads[i] {
		// A buffer takes everything.
		_ = r.encoder.WriteField(f)
	}
	block := r.block.Bytes()
	// A field that is in a table is one byte with its top bit set, or more
	// beyond the 126th; all others begin with a byte that has it not.
	for _, b := range block {
		if b < 0x80 {
			r.generation++
			return block
		}
	}
	*known = knownHead{append(known.block[:0], block...), r.generation}
	return known.block
}
