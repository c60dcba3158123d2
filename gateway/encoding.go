package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/segue-serving/segue/runtime"
)

// coding is a content coding of a body.
type coding uint8

const (
	codingIdentity coding = iota
	codingDeflate
	codingGzip
	codingZstd
	codingCount
)

var codingNames = [codingCount]string{"identity", "deflate", "gzip", "zstd"}

// errBodyTooLarge says that a body is over the limit once it is decompressed.
var errBodyTooLarge = errors.New("body too large")

// zstdWindow bounds the memory that a frame can ask the decoder for.
const zstdWindow = 8 << 20

// parseContentEncoding reads a Content-Encoding header; ok is false for
// codings, or stacks of them, that are not offered.
func parseContentEncoding(value []byte) (c coding, ok bool) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return codingIdentity, true
	}
	for c, name := range codingNames {
		if len(value) == len(name) && bytes.EqualFold(value, []byte(name)) {
			return coding(c), true
		}
	}
	if bytes.EqualFold(value, []byte("x-gzip")) {
		return codingGzip, true
	}
	return 0, false
}

// acceptedCoding chooses the answer's coding from an Accept-Encoding header:
// of those with the highest quality the best one that is offered. Identity is
// never refused.
func acceptedCoding(header []byte) coding {
	best, bestQuality := codingIdentity, 0.0
	for len(header) > 0 {
		item := header
		if i := bytes.IndexByte(header, ','); i >= 0 {
			item, header = header[:i], header[i+1:]
		} else {
			header = nil
		}
		name, parameters, weighted := bytes.Cut(item, []byte(";"))
		name = bytes.TrimSpace(name)
		quality := 1.0
		if weighted {
			_, q, ok := bytes.Cut(parameters, []byte("="))
			parsed, err := strconv.ParseFloat(string(bytes.TrimSpace(q)), 64)
			if !ok || err != nil {
				continue
			}
			quality = parsed
		}
		for c := codingDeflate; c < codingCount; c++ {
			if len(name) == len(codingNames[c]) && bytes.EqualFold(name, []byte(codingNames[c])) &&
				quality > 0 && (quality > bestQuality || quality == bestQuality && c > best) {
				best, bestQuality = c, quality
			}
		}
	}
	return best
}

// unpackedBodies is how many of the largest bodies may lie decompressed at once.
// A few kilobytes become a body of that size, so that what clients can send
// bounds nothing.
const unpackedBodies = 8

// errNoRoom says that so much lies decompressed already.
var errNoRoom = errors.New("no room to decompress")

// codec pools the compressors and decompressors, which are costly to make, and
// bounds what lies decompressed.
type codec struct {
	pool             *runtime.Pool
	readers, writers [codingCount]sync.Pool
	// unpacked is how many bytes beyond what calls keep are taken up.
	unpacked atomic.Int64
}

// unpacked is what a body decompressed to. It is given back to the codec.
type unpacked struct {
	buffer
	claimed int64
}

// grow makes room for more of a body of at most limit bytes, and one more that
// tells a body of just that size from a larger one.
func (c *codec) grow(to *unpacked, limit int64) error {
	size := min(max(4<<10, 2*int64(cap(to.bytes))), limit+1)
	if size > keptBytes {
		if !c.claim(size-to.claimed, limit) {
			return errNoRoom
		}
		to.claimed = size
	}
	return to.reserve(c.pool, size)
}

// claim takes room for more decompressed bytes where the largest body has limit,
// and reports whether there is any.
func (c *codec) claim(more, limit int64) bool {
	if c.unpacked.Add(more) > unpackedBodies*(limit+1) {
		c.unpacked.Add(-more)
		return false
	}
	return true
}

// release forgets what a body decompressed to.
func (c *codec) release(to *unpacked) {
	c.unpacked.Add(-to.claimed)
	to.claimed = 0
	to.buffer.release()
}

// resetReader is what every decompressor can do.
type resetReader interface {
	io.Reader
	reset(from *bytes.Reader) error
}

type gzipReader struct{ gzip.Reader }

func (r *gzipReader) reset(from *bytes.Reader) error { return r.Reader.Reset(from) }

// deflateReader reads zlib's format, which is what the coding means, and bare
// deflate, which is what some clients send.
type deflateReader struct {
	io.Reader
	zlib, bare io.ReadCloser
}

func (r *deflateReader) reset(from *bytes.Reader) error {
	head := make([]byte, 2)
	if n, _ := from.ReadAt(head, 0); n == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		var err error
		if r.zlib == nil {
			r.zlib, err = zlib.NewReader(from)
		} else {
			err = r.zlib.(zlib.Resetter).Reset(from, nil)
		}
		r.Reader = r.zlib
		return err
	}
	if r.bare == nil {
		r.bare = flate.NewReader(from)
	} else if err := r.bare.(flate.Resetter).Reset(from, nil); err != nil {
		return err
	}
	r.Reader = r.bare
	return nil
}

type zstdReader struct{ *zstd.Decoder }

func (r zstdReader) reset(from *bytes.Reader) error { return r.Decoder.Reset(from) }

func (c *codec) reader(of coding) (resetReader, error) {
	if r, ok := c.readers[of].Get().(resetReader); ok {
		return r, nil
	}
	switch of {
	case codingGzip:
		return &gzipReader{}, nil
	case codingDeflate:
		return &deflateReader{}, nil
	}
	// One thread decodes in the caller's goroutine, so that a decoder that
	// the pool drops leaves nothing behind.
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	return zstdReader{d}, err
}

// decompress puts what a body decompresses to, at most limit bytes, into to:
// errBodyTooLarge where it is more, errNoRoom where too much lies decompressed.
// Memory grows with what comes out, not with what the body claims.
func (c *codec) decompress(to *unpacked, of coding, body []byte, limit int64) error {
	r, err := c.reader(of)
	if err != nil {
		return fmt.Errorf("decoder: %w", err)
	}
	from := bytes.NewReader(body)
	if err := r.reset(from); err != nil {
		return err
	}
	defer func() {
		from.Reset(nil)
		c.readers[of].Put(r)
	}()
	for to.begin(); ; {
		if len(to.bytes) == cap(to.bytes) {
			if err := c.grow(to, limit); err != nil {
				return err
			}
		}
		n, err := r.Read(to.bytes[len(to.bytes):cap(to.bytes)])
		to.bytes = to.bytes[:len(to.bytes)+n]
		if int64(len(to.bytes)) > limit {
			return errBodyTooLarge
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// resetWriter is what every compressor can do.
type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

func (c *codec) writer(of coding) (resetWriter, error) {
	if w, ok := c.writers[of].Get().(resetWriter); ok {
		return w, nil
	}
	switch of {
	case codingGzip:
		return gzip.NewWriterLevel(nil, gzip.BestSpeed)
	case codingDeflate:
		return zlib.NewWriterLevel(nil, zlib.BestSpeed)
	}
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
}

// compress appends the compressed form of body to dst.
func (c *codec) compress(dst []byte, of coding, body []byte) ([]byte, error) {
	w, err := c.writer(of)
	if err != nil {
		return dst, fmt.Errorf("encoder: %w", err)
	}
	out := bytes.NewBuffer(dst)
	w.Reset(out)
	if _, err := w.Write(body); err != nil {
		return dst, err
	}
	if err := w.Close(); err != nil {
		return dst, err
	}
	c.writers[of].Put(w)
	return out.Bytes(), nil
}
