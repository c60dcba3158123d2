// Package runtime says what a tensor, a signature, a session and an engine
// are. Everything that touches numbers in Segue speaks these types; what runs
// the model (ONNX Runtime in runtime/ort, a fake in runtime/runtimetest) hides
// behind Engine and Session.
//
// The package promises that tensor memory handed out by Pool lies outside
// Go's heap and is aligned to Alignment bytes, so that a run needs no copy and
// gives the very bits that the engine gives on its own allocations. It never
// opens a file, starts a goroutine or calls C.
//
//	pool := runtime.NewPool()
//	mem, err := pool.Get(4 * 3)
//	defer mem.Release()
//	in := runtime.Tensor{Name: "x", Type: runtime.FP32, Shape: []int64{1, 3}, Data: mem.Bytes()}
//	res, err := session.Run(ctx, []runtime.Tensor{in}, nil)
//	defer res.Release()
package runtime
