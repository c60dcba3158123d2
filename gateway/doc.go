// Package gateway answers prediction requests and puts configuration into
// force.
//
// One immutable table says which versions of which models answer, for whom and
// within which limits. The reconciler builds it from what operators wrote and
// what the loader has ready, and publishes it with one atomic store. A request
// loads it once, passes the gate and the limits, is given a version, decodes
// into memory outside Go's heap, runs and is counted exactly once.
//
// Where a document has a rollout, package rollout judges it and the reconciler
// does what it says: a step is taken by check-and-set on what the store holds,
// a rollback is in the very next table and written afterwards.
//
// The package promises that a request sees one configuration from beginning to
// end; that one which names its version is answered by that version or
// refused, while one that names none is answered by the model's main version
// where its own failed or is broken; that a refusal says what was wrong and never names a path; that
// where keys are configured every route is closed until a key opens it; that
// no body costs more memory than the limits allow, whatever it claims; and
// that a prediction in steady state allocates nothing beside what the model
// does. It never loads a model because a request asks for one, never lets the
// data or metrics listeners answer what is admin's, and never writes an
// operator's document.
//
//	gw, err := gateway.New(options)
//	data := gw.DataServer(gateway.DataOptions{Executor: executor, Pool: runtime.NewPool(), Log: log})
//	go data.Serve(listener)
//	go data.ServeGRPC(another)
//	err = gw.Run(ctx)
//	err = data.Drain(context.Background(), 5*time.Second)
package gateway
