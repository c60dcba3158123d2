package gateway

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
)

// The library's registry of compressors is one for the process, is not locked,
// and so can be written to only before anything runs: there is no option of a
// server that would do. Its own gzip is in it, and is replaced by the same that
// takes turns.
func init() {
	turns := make(chan struct{}, unpackedBodies)
	for _, c := range []encoding.Compressor{encoding.GetCompressor(gzip.Name), newDeflate()} {
		encoding.RegisterCompressor(takingTurns{c, turns})
	}
}

// takingTurns is a compressor whose large messages are decompressed a few at a
// time, as many as turns has room for. What waits for its turn is no larger than
// what the client sent; each that has it becomes a message of the limit at most.
type takingTurns struct {
	encoding.Compressor
	turns chan struct{}
}

// Decompress returns what one message is read from. The library closes it.
func (c takingTurns) Decompress(r io.Reader) (io.Reader, error) {
	from, err := c.Compressor.Decompress(r)
	if err != nil {
		return nil, err
	}
	return &turnReader{from: from, turns: c.turns}, nil
}

// turnReader reads one message, and has a turn from keptBytes on to its end.
type turnReader struct {
	from  io.Reader
	turns chan struct{}
	came  int
	has   bool
}

// Read waits for a turn where the message is large.
func (r *turnReader) Read(p []byte) (int, error) {
	if !r.has && r.came+len(p) > keptBytes {
		if rest := keptBytes - r.came; rest > 0 {
			p = p[:rest]
		} else {
			r.turns <- struct{}{}
			r.has = true
		}
	}
	n, err := r.from.Read(p)
	r.came += n
	return n, err
}

// Close ends the reading of the message.
func (r *turnReader) Close() error {
	if r.has {
		<-r.turns
	}
	if closer, ok := r.from.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// compressed reports whether the client says that it compresses the messages of
// a call. That the library's streams tell is no promise of its interface: a
// bound that does not hold any more fails a test.
func compressed(ctx context.Context) bool {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ RecvCompress() string })
	return ok && stream.RecvCompress() != "" && stream.RecvCompress() != encoding.Identity
}

// hold counts the message that was received among what lies decompressed until
// the call ends. It reports whether there was room; otherwise the answer is
// given.
func (c *grpcCall) hold() bool {
	size := int64(c.received.size())
	if size <= keptBytes || !compressed(c.context) {
		return true
	}
	if !c.server.codec.claim(size, c.table.maxBody) {
		c.noRoom()
		return false
	}
	c.claimed = size
	return true
}
