package gateway

import (
	"context"
	"net/http"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/runtime"
)

// grpcCall is a call that came over gRPC. A message of ModelInfer is decoded
// from the bytes that came and its answer encoded once; the messages of the
// other methods are generated ones, whose content goes in and out as package
// oip's documents.
type grpcCall struct {
	call
	// head is the answer's metadata: initial where there is an answer, the
	// trailer where there is an error.
	head grpcHead
	// asks is the request's metadata.
	asks     metadata.MD
	arrival  arrival
	received frame
	// claimed is how many bytes of it count as decompressed.
	claimed  int64
	reply    frame
	message  oip.InferMessage
	inferred oip.InferResponse
	// asked is what readDocument reads, answered what answerDocument got.
	asked, answered any
	failure         *status.Status
	bytesOut        int
}

func newGRPCCall(s *DataServer) *grpcCall {
	c := &grpcCall{call: call{server: s, stripe: uint8(s.stripes.Add(1))}}
	c.wire = c
	return c
}

func (c *grpcCall) begin(ctx context.Context, e endpoint) {
	c.server.grpc.active.Add(1)
	c.context, c.asks, c.route.endpoint = ctx, headOf(ctx), e
	c.call.begin(time.Now())
}

// end counts the call and lets go of it.
func (c *grpcCall) end() {
	c.count(protocolGRPC, c.bytesOut)
	c.received.free()
	if c.claimed > 0 {
		c.server.codec.unpacked.Add(-c.claimed)
	}
	c.message.Reset()
	c.reply, c.inferred = frame{}, oip.InferResponse{}
	c.head.reset()
	c.context, c.asks, c.asked, c.answered, c.failure, c.bytesOut, c.claimed = nil, nil, nil, nil, nil, 0, 0
	c.forget()
	c.server.grpc.active.Add(-1)
	c.server.grpc.calls.Put(c)
}

// respond passes the gate and answers.
func (c *grpcCall) respond() {
	defer c.catch()
	if c.admit() {
		c.answer()
	}
}

// catch turns a panic into an internal error. It is deferred as it is.
func (c *grpcCall) catch() {
	if p := recover(); p != nil {
		c.server.opts.Log.Error("request handler panicked", "panic", p, "stack", string(debug.Stack()))
		c.fail(http.StatusInternalServerError, "internal error")
	}
}

// name sets the model and version that the request is for; an empty version is
// none.
func (c *grpcCall) name(model, version []byte) {
	c.route.model, c.route.version = model, nil
	if len(version) > 0 {
		c.route.version = version
	}
}

func (c *grpcCall) field(name string) []byte {
	values := c.asks[metadataName(name)]
	if len(values) == 0 {
		return nil
	}
	return []byte(values[0])
}

func (c *grpcCall) setField(name, value string)             { c.head.set(name, value) }
func (c *grpcCall) setFieldBytes(name string, value []byte) { c.head.set(name, string(value)) }

// The message is there before a version is chosen, whatever its form.
func (c *grpcCall) readable() bool { return true }
func (c *grpcCall) receive() bool  { return true }

// Feedback is not offered over gRPC.
func (c *grpcCall) content() []byte { return nil }

func (c *grpcCall) readDocument(to any) bool {
	*to.(*oip.RepositoryIndexRequest) = c.asked.(oip.RepositoryIndexRequest)
	return true
}

func (c *grpcCall) decode(v *versionRoute) (*oip.InferRequest, error) {
	return &c.infer, oip.DecodeInferMessage(&c.infer, v.runner.Signature(), &c.message, v.limits, c)
}

func (c *grpcCall) encode(v *versionRoute, request *oip.InferRequest, outputs []runtime.Tensor) error {
	c.inferred = oip.InferResponse{Model: v.model, Version: v.version, ID: request.ID, Outputs: outputs, Binary: request.BinaryOutputs}
	size, err := oip.InferMessageSize(&c.inferred)
	if err != nil {
		return err
	}
	c.bytesOut, c.failure = int(size), nil // of a version that failed before
	c.reply.encode(c.bytesOut, &c.inferred)
	return nil
}

func (c *grpcCall) answerDocument(_ int, document any) { c.answered = document }

func (c *grpcCall) refuse(code int, message string) {
	c.failure = status.New(grpcCode(code), message)
}

// sent says that an answer was sent, or was not because the client had gone.
func (c *grpcCall) sent(err error) {
	switch {
	case err == nil || c.context.Err() == nil:
	case ranOut(c.context):
		c.status = http.StatusGatewayTimeout
	default:
		c.status = statusClientGone
	}
}

// grpcCode is the gRPC code that stands for an HTTP status.
func grpcCode(httpStatus int) codes.Code {
	switch httpStatus {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType:
		return codes.InvalidArgument
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		return codes.NotFound
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return codes.DeadlineExceeded
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case statusClientGone:
		return codes.Canceled
	case http.StatusNotImplemented:
		return codes.Unimplemented
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.Internal
}

// receiveMessage reads the one message of ModelInfer and takes it apart. It
// reports whether it could; otherwise the answer is given.
func (c *grpcCall) receiveMessage(stream grpc.ServerStream) bool {
	if late, err := c.server.await(c.context, &c.arrival, c.started, stream.RecvMsg, &c.received); err != nil {
		c.receiveError(err, late)
		return false
	}
	return c.takeApart()
}
