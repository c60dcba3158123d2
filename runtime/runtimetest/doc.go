// Package runtimetest holds what tests of models need: a fake engine, tiny
// real models with the answers that ONNX Runtime gives to them, and the suite
// that every engine must pass.
//
// It promises that the fixtures stay under 2 KB each and that their answers
// are ONNX Runtime's own, bit by bit. Nothing outside of tests imports it, and
// it never needs a library to be installed.
//
//	engine := runtimetest.NewEngine(runtimetest.Always(&runtimetest.Fake{Signature: sig, Func: f}))
//	session, err := engine.Open(ctx, runtimetest.Model(t, "mlp"), runtime.Options{})
package runtimetest
