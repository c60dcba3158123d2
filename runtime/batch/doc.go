// Package batch runs the requests of many callers on few cores. An Executor
// holds the places for runs; an Instance is one loaded model under it. Warm
// measures the model and chooses how its calls are run (see Plan):
//
//   - A short run happens in its caller's goroutine, under one of as many
//     permits as there are cores: handing it over would cost more than the run.
//   - A long one is handed to a worker, one for each core, that makes it aside,
//     on a thread which stands back behind all others. Where nothing else is
//     under way it, too, happens in its caller's goroutine.
//   - Where rows of several calls can share a run, and one for all of them
//     gets through enough more rows, a free worker takes all that wait.
//
// Short and long runs have places of their own. A short run that had to wait
// for the end of a long one would take a hundred times as long; the kernel
// divides the cores instead, and the threads of long runs give way. Where there
// are several cores one is left to the short runs, while any are made, as long
// as the long ones wait little for it.
//
// The package promises that calls of an instance are run in the order of
// arrival (of those that share runs: by shape), that instances that wait share
// the places by time, that a call in steady state costs no allocation, that a
// queue is bounded and says so (ErrQueueFull), that what can no longer meet its
// deadline is dropped without being run (ErrDeadline), that what one caller
// sent cannot fail another's call, and that a panic in a session is an error of
// the model. A call that runs alone gets the session's very bits. It never runs
// a call twice, but for those of a batch that failed: each of them once more,
// by itself.
//
//	executor := batch.New(batch.Options{})
//	defer executor.Close()
//	instance := executor.Instance(session, batch.InstanceOptions{Name: "mozart", Version: "2", QueueLimit: 256})
//	report, err := instance.Warm(ctx, nil)
//	call := batch.Call{Inputs: inputs, Deadline: time.Now().Add(time.Second)}
//	res, err := instance.Run(ctx, &call)
//	defer res.Release()
package batch
