package gateway

import (
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"
)

// deflateName is what gRPC calls the format of zlib, RFC 1950. The clients of
// gRPC's core, those in Python among them, offer it beside gzip, and the library
// does not have it.
const deflateName = "deflate"

// deflate compresses messages and decompresses them as far as the library reads,
// which is to the limit of a message and one byte more.
type deflate struct{ writers, readers sync.Pool }

func newDeflate() *deflate {
	d := &deflate{}
	d.writers.New = func() any { return &deflateMessageWriter{zlib.NewWriter(nil), &d.writers} }
	return d
}

// Name is what it is called in grpc-encoding.
func (*deflate) Name() string { return deflateName }

// Compress returns what compresses one message into w, by its Close.
func (d *deflate) Compress(w io.Writer) (io.WriteCloser, error) {
	z := d.writers.Get().(*deflateMessageWriter)
	z.Reset(w)
	return z, nil
}

// Decompress returns what one message is read from. The library closes it.
func (d *deflate) Decompress(r io.Reader) (io.Reader, error) {
	z, ok := d.readers.Get().(*deflateMessageReader)
	if ok {
		if err := z.ReadCloser.(zlib.Resetter).Reset(r, nil); err != nil {
			d.readers.Put(z)
			return nil, err
		}
		return z, nil
	}
	fresh, err := zlib.NewReader(r)
	if err != nil {
		return nil, err
	}
	return &deflateMessageReader{fresh, &d.readers}, nil
}

// deflateMessageWriter goes back to its pool when it is closed.
type deflateMessageWriter struct {
	*zlib.Writer
	pool *sync.Pool
}

// Close writes the rest.
func (w *deflateMessageWriter) Close() error {
	defer w.pool.Put(w)
	return w.Writer.Close()
}

// deflateMessageReader goes back to its pool when it is closed.
type deflateMessageReader struct {
	io.ReadCloser
	pool *sync.Pool
}

// Close ends the reading of a message.
func (r *deflateMessageReader) Close() error {
	defer r.pool.Put(r)
	return r.ReadCloser.Close()
}
