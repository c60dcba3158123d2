package gateway

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"github.com/segue-serving/segue/gateway/oip"
)

// frame is one message as it goes over the wire.
type frame struct {
	buffer mem.Buffer
	// lead goes out before the buffer, nil for nothing.
	lead []byte
}

// bytes are the message, valid until free.
func (f *frame) bytes() []byte {
	if f.buffer == nil {
		return nil
	}
	return f.buffer.ReadOnlyData()
}

func (f *frame) size() int { return len(f.bytes()) }

func (f *frame) free() {
	if f.buffer != nil {
		f.buffer.Free()
		f.buffer = nil
	}
}

// encode fills the frame with an answer of this size.
func (f *frame) encode(size int, answer *oip.InferResponse) {
	if mem.IsBelowBufferPoolingThreshold(size) {
		f.buffer = mem.SliceBuffer(oip.AppendInferMessage(make([]byte, 0, size), answer))
		return
	}
	pool := mem.DefaultBufferPool()
	block := pool.Get(size)
	*block = oip.AppendInferMessage((*block)[:0], answer)
	f.buffer = mem.NewBuffer(block, pool)
}

// frameCodec passes frames through and leaves other messages to the library's
// codec. The buffer of a frame that is sent belongs to the library from then
// on.
type frameCodec struct{ messages encoding.CodecV2 }

func newFrameCodec() frameCodec { return frameCodec{encoding.GetCodecV2(proto.Name)} }

func (c frameCodec) Name() string { return proto.Name }

func (c frameCodec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(*frame); ok {
		if f.lead != nil {
			return mem.BufferSlice{mem.SliceBuffer(f.lead), f.buffer}, nil
		}
		return mem.BufferSlice{f.buffer}, nil
	}
	return c.messages.Marshal(v)
}

func (c frameCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if f, ok := v.(*frame); ok {
		f.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
		return nil
	}
	return c.messages.Unmarshal(data, v)
}
