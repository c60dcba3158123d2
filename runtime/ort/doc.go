// Package ort runs models with ONNX Runtime behind runtime.Engine and
// runtime.Session, on the CPU or on CUDA. It is the only package that uses
// cgo, and the only one that loads libonnxruntime, when Open is called.
//
// It promises that a run is one call into C without allocation in Go, that
// inputs are read where they lie, that outputs are the bytes that ONNX Runtime
// wrote, for every element type, for scalars, empty tensors and models without
// inputs, and that an error names no file. It never passes memory of Go's heap
// on without pinning or copying it, never prints, and never opens a library
// that a model names.
//
// The binding github.com/yalue/onnxruntime_go holds the environment and session
// options. Sessions, values and runs go through the function table of the same
// library (api.h), because the binding drops ONNX Runtime's error codes, cuts
// strings at NUL, has no scalars of BOOL, FP16, BF16 or BYTES, gives FP16 and
// BF16 outputs back at half their size, takes no model without inputs unless
// its outputs are known, copies every output, opens a model a second time to
// read its signature, and loses memory at every open.
//
// What no request waits for (to open, warm and close a model) is done at a lower
// priority, in threads of C (errand.h): a swap takes from the requests next to
// nothing of the processors.
//
// Runs that are made aside have threads of C too (hand.h), which stay: the
// kernel lets what is short go before them.
//
// A library for CUDA is that of the wheel onnxruntime-gpu, with the libraries of
// CUDA and cuDNN that it was built for; deploy/scripts/onnxruntime-cuda.sh puts
// them into the cache, and ONNXRUNTIME_LIB points at the result. The libraries
// replace Go's signal handlers: they are put back after a session was opened on
// a device and after its background runs. Where there is no such library or
// device, Open says what to mend.
//
//	engine, err := ort.Open(ort.Config{})
//	defer engine.Close()
//	session, err := engine.Open(ctx, "model.onnx", runtime.Options{})
//	defer session.Close()
//	res, err := session.Run(ctx, inputs, nil)
//	defer res.Release()
package ort
