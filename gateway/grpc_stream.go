package gateway

import (
	"io"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/segue-serving/segue/gateway/oip/oippb"
)

// modelStreamInfer answers every message of a stream as ModelInfer would, one
// after the other and in their order. A prediction that fails is answered with
// an error_message and the id of its request, and the stream goes on: that is
// how clients of Triton tell which one it was. Each message is a request of its
// own, with limits, metrics and a version; one whose stream is idle is none.
func (i inferenceService) modelStreamInfer(stream grpc.ServerStream) error {
	s := i.server
	if err := s.admitStream(stream, endpointInfer); err != nil {
		return err
	}
	for {
		var message frame
		switch err := stream.RecvMsg(&message); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := s.inferInStream(stream, message); err != nil {
			return err
		}
	}
}

// inferInStream answers one message. An error ends the stream.
func (s *DataServer) inferInStream(stream grpc.ServerStream, message frame) error {
	c := s.grpc.calls.Get().(*grpcCall)
	c.begin(stream.Context(), endpointInfer)
	defer c.end()
	c.received = message
	s.grpc.follow(c.table.maxBody)
	c.predictMessage()
	var err error
	if c.failure != nil {
		err = stream.SendMsg(&oippb.ModelStreamInferResponse{
			ErrorMessage: c.failure.Message(), InferResponse: &oippb.ModelInferResponse{Id: string(c.message.RequestID())},
		})
	} else {
		c.reply.lead = streamedLead(c.bytesOut)
		err = stream.SendMsg(&c.reply)
	}
	c.sent(err)
	return err
}

// predictMessage answers the message that was received.
func (c *grpcCall) predictMessage() {
	defer c.catch()
	if c.takeApart() {
		c.respond()
	}
}

// takeApart finds the model's name in the message that was received and where
// its tensors are. It reports whether it could; otherwise the answer is given.
func (c *grpcCall) takeApart() bool {
	c.bytesIn = c.received.size()
	if int64(c.bytesIn) > c.table.maxBody {
		c.bytesIn = 0 // refused unread, as by the library
		c.failWith(bodyTooLarge(c.table.maxBody))
		return false
	}
	if !c.hold() {
		return false
	}
	if err := c.message.Read(c.received.bytes()); err != nil {
		c.failWith(err)
		return false
	}
	c.name(c.message.Model, c.message.Version)
	return true
}

// streamedAnswer is the number of ModelStreamInferResponse's infer_response.
const streamedAnswer = 2

// streamedLead is what stands before an answer of so many bytes in a stream's
// message.
func streamedLead(size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, streamedAnswer, protowire.BytesType), uint64(size))
}

// receiveError answers where the message of ModelInfer could not be received.
// Where the library refused it, it has answered by itself, with the same code,
// and what is said here only counts.
func (c *grpcCall) receiveError(err error, late bool) {
	switch failed := status.Code(err); {
	case err == io.EOF:
		c.fail(http.StatusBadRequest, "malformed request: there is no message")
	case failed == codes.ResourceExhausted:
		c.failWith(bodyTooLarge(c.table.maxBody))
	case late || failed == codes.DeadlineExceeded || ranOut(c.context):
		c.fail(http.StatusRequestTimeout, lateMessage)
	case failed == codes.Canceled:
		c.fail(statusClientGone, "the client is gone")
	case failed == codes.Unimplemented:
		c.fail(http.StatusNotImplemented, "the message's compression is not supported: want gzip or deflate")
	default:
		c.fail(http.StatusBadRequest, "malformed message: it could not be read")
	}
}
