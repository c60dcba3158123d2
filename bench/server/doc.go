// Package server starts the processes that are measured: the gateway as it is
// built, a Consul agent that it follows, and a bare HTTP or gRPC server that
// answers recorded bytes, the least that any server could do.
//
// It promises that no process outlives the benchmark, and that an error of one
// carries the end of its log. It measures nothing.
//
//	gateway, err := server.StartGateway(ctx, server.GatewayOptions{Binary: "bin/segue", Source: "file:" + dir})
//	defer gateway.Stop()
package server
