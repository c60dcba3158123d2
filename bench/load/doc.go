// Package load sends requests and measures how long their answers take: open
// loop, where requests are due by the clock however slow the answers are, and
// closed loop, where each connection sends its next request when it has the
// last answer.
//
// It promises that an open loop hides no stall (no coordinated omission): a
// latency counts from the moment when the request was due, also where every
// connection was waiting then, and nothing that was due is left out. It checks
// every answer, measures the CPU time that it takes itself beside that of the
// servers, and records how late its own clock was. It never retries a request.
//
// It is made to take little of the machine that it shares with the server: as
// many threads as there are CPUs, each an event loop over its part of the
// connections, and a request is one write and one read. It speaks HTTP/1.1 and
// unary gRPC, over TCP or, HTTP only, a Unix socket, with one request under way
// on a connection. It runs on Linux.
//
//	out, err := load.Open(ctx, target, load.OpenOptions{Rate: 500, Connections: 64, Duration: 10 * time.Second})
//	fmt.Println(out.Latency.Quantile(.99), out.Failed)
package load
