// Package batch runs the requests of many callers on few cores. An Executor
// holds the permits, as many as runs may be under way at once; an Instance is
// one loaded model under it. A run happens in its caller's goroutine: handing
// a short run over to a worker costs more than the run.
//
// The package promises that permits are given in the order of arrival, that a
// run which finds one free costs no allocation, that a queue is bounded and
// says so (ErrQueueFull), that what can no longer meet its deadline is dropped
// without being run (ErrDeadline), and that a panic in a session is an error of
// the model. It never drops what has begun, never runs a call twice and starts
// no goroutine.
//
//	executor := batch.New(batch.Options{})
//	instance := executor.Instance(session, batch.InstanceOptions{Name: "mozart", Version: "2", QueueLimit: 256})
//	report, err := instance.Warm(ctx, nil)
//	call := batch.Call{Inputs: inputs, Deadline: time.Now().Add(time.Second)}
//	res, err := instance.Run(ctx, &call)
//	defer res.Release()
package batch
