package server

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// encoded is the codec for messages that are encoded already. A message is a
// []byte where it is sent, and a *[]byte where it is received, whose memory is
// used again.
type encoded struct{}

var _ encoding.CodecV2 = encoded{}

// Name is that of the protocol buffers which the bytes are.
func (encoded) Name() string { return "proto" }

// Marshal gives the bytes as they are.
func (encoded) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

// Unmarshal copies the bytes of a request.
func (encoded) Unmarshal(data mem.BufferSlice, v any) error {
	body := v.(*[]byte)
	if n := data.Len(); cap(*body) < n {
		*body = make([]byte, n)
	} else {
		*body = (*body)[:n]
	}
	data.CopyTo(*body)
	return nil
}
