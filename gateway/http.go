package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/runtime"
)

// httpCall is a call that came over HTTP, with all the memory that takes.
type httpCall struct {
	call
	ctx  *fasthttp.RequestCtx
	conn *conn
	head head
	// client is the call's context, watch how the end of a long run waits for
	// it.
	client client
	watch  func(end func()) (stop func())

	body      body
	out       []byte // the answer's body
	packed    []byte // the same, compressed
	predict   oip.PredictRequest
	inferred  oip.InferResponse
	predicted oip.PredictResponse
}

func newHTTPCall(s *DataServer) *httpCall {
	c := &httpCall{call: call{server: s, stripe: uint8(s.stripes.Add(1))}}
	c.client = client{Context: context.Background(), call: c}
	c.watch = func(end func()) func() { return s.leavers.watch(c, end) }
	c.wire, c.context = c, &c.client
	return c
}

func (c *httpCall) begin(ctx *fasthttp.RequestCtx, at time.Time) {
	c.ctx = ctx
	c.conn = ctx.Conn().(*conn) // what Serve's listeners accept
	c.conn.current = c
	c.client.asked, c.client.gone = false, false
	c.run.Watch = c.watch
	c.head.read(ctx.Request.Header.Protocol(), ctx.Request.Header.RawHeaders())
	c.call.begin(at)
}

// end counts the request and sees that the connection is where the next one
// can begin. The answer is written after it, from memory of the call, which is
// therefore only released when the connection is idle again.
func (c *httpCall) end() {
	ctx := c.ctx
	if !c.body.leave(ctx, c.conn) {
		ctx.SetConnectionClose()
		c.conn.unread.Store(true)
	}
	c.count(protocolHTTP, len(ctx.Response.Body()))
	c.conn.writing.wanted = c.ended.Add(c.conn.timeouts.Write)
}

// release gives the call back to be used again.
func (c *httpCall) release() {
	c.body.release(&c.server.codec)
	if cap(c.out) > keptBytes {
		c.out = nil
	}
	if cap(c.packed) > keptBytes {
		c.packed = nil
	}
	if c.bytesIn > keptBytes {
		c.predict = oip.PredictRequest{}
	}
	c.predict.Reset()
	c.inferred, c.predicted = oip.InferResponse{}, oip.PredictResponse{}
	c.ctx, c.conn, c.head = nil, nil, head{}
	c.forget()
	c.server.calls.Put(c)
}

func (c *httpCall) field(name string) []byte {
	switch name {
	case "X-Request-Id":
		return c.head.values[fieldRequestID]
	case "Authorization":
		return c.head.values[fieldAuthorization]
	case "X-Request-Timeout-Ms":
		return c.head.values[fieldTimeout]
	}
	return c.ctx.Request.Header.Peek(name)
}

// Names are given in the form that the library would bring them into.
func (c *httpCall) setField(name, value string) {
	c.ctx.Response.Header.SetCanonical([]byte(name), []byte(value))
}

func (c *httpCall) setFieldBytes(name string, value []byte) {
	c.ctx.Response.Header.SetCanonical([]byte(name), value)
}

func (c *httpCall) content() []byte { return c.body.content }

// refuse answers with the protocol's error document.
func (c *httpCall) refuse(status int, message string) {
	c.out = oip.AppendError(c.out[:0], message)
	c.reply(status, "application/json", c.out)
}

func (c *httpCall) answerDocument(status int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		panic("gateway: document does not encode: " + err.Error())
	}
	c.reply(status, "application/json", body)
}

func (c *httpCall) reply(status int, contentType string, body []byte) {
	c.ctx.SetStatusCode(status)
	c.ctx.Response.Header.SetContentType(contentType)
	c.ctx.Response.SetBodyRaw(body)
}

func (c *httpCall) readable() bool {
	contentType := c.ctx.Request.Header.ContentType()
	if c.takesContentType(contentType) {
		return true
	}
	c.fail(http.StatusUnsupportedMediaType, "unsupported Content-Type "+quoted(contentType)+": want application/json")
	return false
}

// takesContentType reports whether a body of this type is decoded. What curl
// sends by default counts as JSON, as it does everywhere else.
func (c *httpCall) takesContentType(value []byte) bool {
	if i := bytes.IndexByte(value, ';'); i >= 0 {
		value = value[:i]
	}
	switch value = bytes.TrimSpace(value); {
	case len(value) == 0, string(value) == "application/json":
		return true
	case bytes.EqualFold(value, []byte("application/octet-stream")):
		return c.route.endpoint == endpointInfer
	}
	return bytes.EqualFold(value, []byte("application/json")) ||
		bytes.EqualFold(value, []byte("application/x-www-form-urlencoded"))
}

// decode reads the body as the route's protocol has it.
func (c *httpCall) decode(v *versionRoute) (*oip.InferRequest, error) {
	if c.route.endpoint == endpointV1Predict {
		return &c.predict.InferRequest, oip.DecodePredict(&c.predict, v.runner.Signature(), c.body.content, v.limits, c)
	}
	headerLength := -1
	if header := c.head.values[fieldHeaderLength]; header != nil { // an empty one too
		length, err := parseDecimal(header)
		if err != nil {
			return nil, &oip.Error{Status: http.StatusBadRequest, Message: "Inference-Header-Content-Length must be a number of bytes, not " + quoted(header)}
		}
		headerLength = int(length)
	}
	return &c.infer, oip.DecodeInfer(&c.infer, v.runner.Signature(), c.body.content, headerLength, v.limits, c)
}

// encode writes the answer.
func (c *httpCall) encode(v *versionRoute, request *oip.InferRequest, outputs []runtime.Tensor) (err error) {
	headerLength := -1
	if c.route.endpoint == endpointV1Predict {
		c.predicted = oip.PredictResponse{Version: v.version, Outputs: outputs, Columnar: c.predict.Columnar, NonFinite: c.model.nonFinite}
		c.out, err = oip.AppendPredictResponse(c.out[:0], &c.predicted)
	} else {
		c.inferred = oip.InferResponse{Model: v.model, Version: v.version, ID: request.ID, Outputs: outputs,
			Binary: request.BinaryOutputs, NonFinite: c.model.nonFinite}
		c.out, headerLength, err = oip.AppendInferResponse(c.out[:0], &c.inferred)
	}
	if err != nil {
		return err
	}
	contentType := "application/json"
	if headerLength >= 0 {
		contentType = "application/octet-stream"
		c.scratch = strconv.AppendInt(c.scratch[:0], int64(headerLength), 10)
		c.setFieldBytes("Inference-Header-Content-Length", c.scratch)
	}
	body := c.out
	if header := c.head.values[fieldAcceptEncoding]; len(header) > 0 {
		if of := acceptedCoding(header); of != codingIdentity {
			if c.packed, err = c.server.codec.compress(c.packed[:0], of, body); err != nil {
				return err
			}
			body = c.packed
			c.ctx.Response.Header.SetContentEncoding(codingNames[of])
		}
		c.ctx.Response.Header.Set("Vary", "Accept-Encoding")
	}
	c.reply(http.StatusOK, contentType, body)
	return nil
}

// readDocument reads a small JSON body, which may be left out, and reports
// whether it could; otherwise the answer is given.
func (c *httpCall) readDocument(to any) bool {
	if !c.receive() {
		return false
	}
	if len(c.body.content) == 0 {
		return true
	}
	err := json.Unmarshal(c.body.content, to)
	if err == nil {
		return true
	}
	var syntax *json.SyntaxError
	message := "malformed request: the body is not the JSON object that is wanted"
	if errors.As(err, &syntax) {
		message = fmt.Sprintf("malformed JSON at byte %d", syntax.Offset)
	}
	c.fail(http.StatusBadRequest, message)
	return false
}
