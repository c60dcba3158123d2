package server

import (
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// grpcEcho is a gRPC server as the library has it, with the settings that make
// it fastest here: those of the gateway.
type grpcEcho struct{ *grpc.Server }

const (
	echoWorkers = 64
	echoWindow  = 1 << 20
	// echoCollector is in percent, as GOGC is.
	echoCollector = 200
)

func newGRPCEcho(answers map[string]Recorded) grpcEcho {
	debug.SetGCPercent(echoCollector)
	heads := map[string]metadata.MD{}
	for path, a := range answers {
		head := metadata.MD{}
		for _, h := range a.Header {
			if !strings.EqualFold(h[0], "content-type") { // the library's own
				head.Append(h[0], h[1])
			}
		}
		heads[path] = head
	}
	return grpcEcho{grpc.NewServer(
		grpc.ForceServerCodecV2(encoded{}), grpc.NumStreamWorkers(echoWorkers),
		grpc.InitialWindowSize(echoWindow), grpc.InitialConnWindowSize(4*echoWindow),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			path, _ := grpc.MethodFromServerStream(stream)
			a, ok := answers[path]
			if !ok {
				return status.Error(codes.NotFound, "nothing was recorded under this path")
			}
			var request []byte
			if err := stream.RecvMsg(&request); err != nil {
				return err
			}
			if err := stream.SendHeader(heads[path]); err != nil {
				return err
			}
			return stream.SendMsg(a.Body)
		}),
	)}
}

// Shutdown ends the server.
func (e grpcEcho) Shutdown() error {
	e.Stop()
	return nil
}
