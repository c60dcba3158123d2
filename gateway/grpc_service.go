package gateway

import (
	"context"
	"net/http"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/gateway/oip/oippb"
)

// inferenceService answers the methods of the inference protocol.
type inferenceService struct {
	oippb.UnimplementedGRPCInferenceServiceServer
	server *DataServer
}

// inferenceServiceDesc is the generated description of the service but for
// ModelInfer: to read its message late, and as bytes, it is registered as a
// stream, which on the wire is the same.
func (s *DataServer) inferenceServiceDesc() *grpc.ServiceDesc {
	desc := oippb.GRPCInferenceService_ServiceDesc
	desc.Methods = slices.DeleteFunc(slices.Clone(desc.Methods), func(m grpc.MethodDesc) bool { return m.MethodName == "ModelInfer" })
	desc.Streams = []grpc.StreamDesc{
		{StreamName: "ModelStreamInfer", ServerStreams: true, ClientStreams: true, Handler: func(srv any, stream grpc.ServerStream) error { return srv.(inferenceService).modelStreamInfer(stream) }},
	}
	awaiting := s.awaiting(desc)
	awaiting.Streams = append(awaiting.Streams, grpc.StreamDesc{StreamName: "ModelInfer", Handler: func(srv any, stream grpc.ServerStream) error { return srv.(inferenceService).modelInfer(stream) }})
	return awaiting
}

// modelInfer answers one prediction.
func (i inferenceService) modelInfer(stream grpc.ServerStream) error {
	s := i.server
	c := s.grpc.calls.Get().(*grpcCall)
	c.begin(stream.Context(), endpointInfer)
	defer c.end()
	s.grpc.follow(c.table.maxBody)
	c.predict(stream)
	if c.failure != nil {
		stream.SetTrailer(c.head.md)
		return c.failure.Err()
	}
	// SetHeader would copy it all, to add to it later. The library makes fields
	// of what SendHeader gets before it returns.
	err := stream.SendHeader(c.head.md)
	if err == nil {
		err = stream.SendMsg(&c.reply)
	}
	c.sent(err)
	return err
}

// predict reads the message and answers it. Who may predict nothing, or nothing
// now, is refused before it is read; for which model is known only then.
func (c *grpcCall) predict(stream grpc.ServerStream) {
	defer c.catch()
	if c.admit() && c.withinKeyRate() && c.belowInFlight() && c.receiveMessage(stream) {
		c.respond()
	}
}

// refuseStream answers a stream that is known and not offered, or not known.
func (s *DataServer) refuseStream(stream grpc.ServerStream, e endpoint, message string) error {
	c := s.grpc.calls.Get().(*grpcCall)
	c.begin(stream.Context(), e)
	defer c.end()
	if c.admit() {
		c.fail(http.StatusNotImplemented, message)
	}
	stream.SetTrailer(c.head.md)
	return c.failure.Err()
}

// unary answers a method whose message is small. M is the answer's message.
func unary[M proto.Message](ctx context.Context, s *DataServer, e endpoint, asked any, model, version string) (answer M, err error) {
	c := s.grpc.calls.Get().(*grpcCall)
	c.begin(ctx, e)
	defer c.end()
	c.asked = asked
	if endpoints[e].model() {
		c.name([]byte(model), []byte(version))
	}
	c.respond()
	if c.failure != nil {
		if err := grpc.SetTrailer(ctx, c.head.md); err != nil {
			return answer, status.FromContextError(err).Err()
		}
		return answer, c.failure.Err()
	}
	if err := grpc.SetHeader(ctx, c.head.md); err != nil {
		return answer, status.FromContextError(err).Err()
	}
	message := messageOf(c.answered)
	c.bytesOut = proto.Size(message)
	return message.(M), nil
}

// ServerLive says that the server is alive.
func (i inferenceService) ServerLive(ctx context.Context, _ *oippb.ServerLiveRequest) (*oippb.ServerLiveResponse, error) {
	return unary[*oippb.ServerLiveResponse](ctx, i.server, endpointLive, nil, "", "")
}

// ServerReady says whether the gateway is ready.
func (i inferenceService) ServerReady(ctx context.Context, _ *oippb.ServerReadyRequest) (*oippb.ServerReadyResponse, error) {
	ready, err := i.server.readiness(ctx)
	if err != nil {
		return nil, err
	}
	return &oippb.ServerReadyResponse{Ready: ready}, nil
}

// ServerMetadata names the server.
func (i inferenceService) ServerMetadata(ctx context.Context, _ *oippb.ServerMetadataRequest) (*oippb.ServerMetadataResponse, error) {
	return unary[*oippb.ServerMetadataResponse](ctx, i.server, endpointServer, nil, "", "")
}

// ModelReady says whether a prediction would be answered now.
func (i inferenceService) ModelReady(ctx context.Context, r *oippb.ModelReadyRequest) (*oippb.ModelReadyResponse, error) {
	return unary[*oippb.ModelReadyResponse](ctx, i.server, endpointModelReady, nil, r.Name, r.Version)
}

// ModelMetadata describes a model.
func (i inferenceService) ModelMetadata(ctx context.Context, r *oippb.ModelMetadataRequest) (*oippb.ModelMetadataResponse, error) {
	return unary[*oippb.ModelMetadataResponse](ctx, i.server, endpointModel, nil, r.Name, r.Version)
}

// ModelConfig describes a model in Triton's words.
func (i inferenceService) ModelConfig(ctx context.Context, r *oippb.ModelConfigRequest) (*oippb.ModelConfigResponse, error) {
	return unary[*oippb.ModelConfigResponse](ctx, i.server, endpointModelConfig, nil, r.Name, r.Version)
}

// ModelStatistics counts what one model did, or without a name all.
func (i inferenceService) ModelStatistics(ctx context.Context, r *oippb.ModelStatisticsRequest) (*oippb.ModelStatisticsResponse, error) {
	e := endpointModelStats
	if r.Name == "" {
		e = endpointAllStats
	}
	return unary[*oippb.ModelStatisticsResponse](ctx, i.server, e, nil, r.Name, r.Version)
}

// RepositoryIndex lists the versions of all models.
func (i inferenceService) RepositoryIndex(ctx context.Context, r *oippb.RepositoryIndexRequest) (*oippb.RepositoryIndexResponse, error) {
	return unary[*oippb.RepositoryIndexResponse](ctx, i.server, endpointIndex, oip.RepositoryIndexRequest{Ready: r.Ready}, "", "")
}

// RepositoryModelLoad is refused: models follow the configuration.
func (i inferenceService) RepositoryModelLoad(ctx context.Context, r *oippb.RepositoryModelLoadRequest) (*oippb.RepositoryModelLoadResponse, error) {
	return unary[*oippb.RepositoryModelLoadResponse](ctx, i.server, endpointLoad, nil, r.ModelName, "")
}

// RepositoryModelUnload is refused: models follow the configuration.
func (i inferenceService) RepositoryModelUnload(ctx context.Context, r *oippb.RepositoryModelUnloadRequest) (*oippb.RepositoryModelUnloadResponse, error) {
	return unary[*oippb.RepositoryModelUnloadResponse](ctx, i.server, endpointUnload, nil, r.ModelName, "")
}
