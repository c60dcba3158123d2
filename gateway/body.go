package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/valyala/fasthttp"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/runtime"
)

// body reads the body of one request.
type body struct {
	// What came over the wire.
	buffer
	// content is the same decompressed, which may lie in unpacked.
	content  []byte
	unpacked unpacked
	// done is set when the body was read to its end, broken when reading it
	// was given up.
	done, broken bool
}

// read reads the whole body, of at most limit bytes. An error is an
// *oip.Error where it can be answered.
func (b *body) read(ctx *fasthttp.RequestCtx, pool *runtime.Pool, limit int64) error {
	err := b.readStream(ctx, pool, limit)
	b.broken = err != nil
	return err
}

func (b *body) readStream(ctx *fasthttp.RequestCtx, pool *runtime.Pool, limit int64) error {
	b.begin()
	stream := ctx.RequestBodyStream()
	length := int64(ctx.Request.Header.ContentLength())
	if stream == nil {
		b.done = true
		return nil
	}
	if length > limit {
		return bodyTooLarge(limit)
	}
	if length >= 0 {
		if err := b.reserve(pool, length); err != nil {
			return err
		}
		b.bytes = b.bytes[:length]
		n, err := io.ReadFull(stream, b.bytes)
		b.bytes = b.bytes[:n]
		return b.ended(err, length)
	}
	for {
		if len(b.bytes) == cap(b.bytes) {
			if err := b.reserve(pool, max(4<<10, 2*int64(cap(b.bytes)))); err != nil {
				return err
			}
		}
		n, err := stream.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if int64(len(b.bytes)) > limit {
			return bodyTooLarge(limit)
		}
		if err != nil {
			return b.ended(err, int64(len(b.bytes)))
		}
	}
}

func bodyTooLarge(limit int64) error {
	return &oip.Error{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the body is over the limit of %d bytes", limit)}
}

// ended says what the end of a body of so many bytes means.
func (b *body) ended(err error, length int64) error {
	switch {
	case int64(len(b.bytes)) == length && (err == nil || err == io.EOF):
		b.done = true
		return nil
	case isTimeout(err):
		return &oip.Error{Status: http.StatusRequestTimeout, Message: fmt.Sprintf("the body did not arrive in time: %d bytes came", len(b.bytes))}
	}
	return &oip.Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("the body ends after %d bytes, or its chunks are malformed", len(b.bytes))}
}

// unpack decompresses the body, to at most limit bytes.
func (b *body) unpack(codecs *codec, of coding, limit int64) error {
	if of == codingIdentity {
		b.content = b.bytes
		return nil
	}
	err := codecs.decompress(&b.unpacked, of, b.bytes, limit)
	b.content = b.unpacked.bytes
	switch {
	case errors.Is(err, errBodyTooLarge):
		return bodyTooLarge(limit)
	case errors.Is(err, errNoRoom):
		return err
	case err != nil:
		return &oip.Error{Status: http.StatusBadRequest, Message: "the body is not valid " + codingNames[of]}
	}
	return nil
}

// receive reads and decompresses the request's body and reports whether it
// could; otherwise the answer is given.
func (c *httpCall) receive() bool {
	header := c.head.values[fieldContentEncoding]
	of, ok := parseContentEncoding(header)
	if !ok {
		c.ctx.Response.Header.Set("Accept-Encoding", "gzip, deflate, zstd")
		c.fail(http.StatusUnsupportedMediaType, "unsupported Content-Encoding "+quoted(header)+": want gzip, deflate or zstd")
		return false
	}
	err := c.body.read(c.ctx, c.server.opts.Pool, c.table.maxBody)
	c.bytesIn = len(c.body.bytes)
	if err == nil {
		err = c.body.unpack(&c.server.codec, of, c.table.maxBody)
	}
	switch {
	case errors.Is(err, errNoRoom):
		c.noRoom()
	case err != nil:
		c.failWith(err)
	}
	return err == nil
}

// noRoom answers that so much lies decompressed that no more may.
func (c *call) noRoom() {
	c.server.metrics.refused(shedInFlight)
	c.unavailable(http.StatusServiceUnavailable, "the gateway is decompressing as much as it may")
}

// release forgets the body.
func (b *body) release(codecs *codec) {
	b.buffer.release()
	codecs.release(&b.unpacked)
	b.content, b.done, b.broken = nil, false, false
}
