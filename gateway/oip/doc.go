// Package oip is the wire of prediction requests: the Open Inference Protocol
// v2 over REST with Triton's binary tensor data extension, the V1 predict
// protocol of TensorFlow Serving and KServe, and the documents around them
// (metadata, model configuration, statistics, status).
//
// The decoders read numbers from the request's bytes straight into tensor
// memory that an Allocator gives: one pass, no tree of values, no reflection,
// no allocation per number and, once an InferRequest has been used, none per
// request. Every number is rounded correctly, once, to the type of its tensor.
// What does not fit the model's Signature or the Limits is an *Error that
// carries the HTTP status and says what was wrong and where; nothing is
// allocated in proportion to a size that a request merely claims.
//
// The package does no I/O, starts no goroutine, keeps no state between calls
// and never changes a request's body. Decoded BYTES elements lie in the body
// where they can, so the body must stay as it is until the request is done.
//
//	var req oip.InferRequest // kept and reused by the handler
//	err := oip.DecodeInfer(&req, session.Signature(), body, -1, limits, slot)
//	res, err := session.Run(ctx, req.Inputs, req.Outputs)
//	out, headerLength, err := oip.AppendInferResponse(buf[:0], &oip.InferResponse{
//		Model: "mozart", Version: "2", ID: req.ID, Outputs: res.Tensors, Binary: req.BinaryOutputs,
//	})
package oip
