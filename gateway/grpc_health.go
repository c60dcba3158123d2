package gateway

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	"github.com/segue-serving/segue/gateway/oip/oippb"
)

// healthLook is how often a stream that watches the health looks.
const healthLook = 200 * time.Millisecond

// readiness says whether the gateway is ready, to who may know.
func (s *DataServer) readiness(ctx context.Context) (bool, error) {
	answer, err := unary[*oippb.ServerReadyResponse](ctx, s, endpointReady, nil, "", "")
	return answer.GetReady(), err
}

// healthService is the health protocol: of the server and of the inference
// service, which follow the gateway's readiness.
type healthService struct {
	health.UnimplementedHealthServer
	server *DataServer
}

func knownToHealth(service string) bool {
	return service == "" || service == oippb.GRPCInferenceService_ServiceDesc.ServiceName
}

func healthOf(ready bool) *health.HealthCheckResponse {
	if ready {
		return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}
	}
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_NOT_SERVING}
}

// Check answers once.
func (h healthService) Check(ctx context.Context, r *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	ready, err := h.server.readiness(ctx)
	if err != nil {
		return nil, err
	}
	if !knownToHealth(r.Service) {
		return nil, status.Error(codes.NotFound, "unknown service "+quoted([]byte(r.Service)))
	}
	return healthOf(ready), nil
}

// List answers for all services.
func (h healthService) List(ctx context.Context, _ *health.HealthListRequest) (*health.HealthListResponse, error) {
	ready, err := h.server.readiness(ctx)
	if err != nil {
		return nil, err
	}
	return &health.HealthListResponse{Statuses: map[string]*health.HealthCheckResponse{
		"": healthOf(ready), oippb.GRPCInferenceService_ServiceDesc.ServiceName: healthOf(ready)}}, nil
}

// Watch answers now and at every change, until the client or the server goes.
func (h healthService) Watch(r *health.HealthCheckRequest, stream grpc.ServerStreamingServer[health.HealthCheckResponse]) error {
	ready, err := h.server.readiness(stream.Context())
	if err != nil {
		return err
	}
	now := healthOf(ready)
	if !knownToHealth(r.Service) {
		now.Status = health.HealthCheckResponse_SERVICE_UNKNOWN
	}
	ticker := time.NewTicker(healthLook)
	defer ticker.Stop()
	for {
		if err := stream.Send(now); err != nil {
			return err
		}
		for last := now.Status; now.Status == last; {
			select {
			case <-ticker.C:
			case <-stream.Context().Done():
				return status.FromContextError(stream.Context().Err()).Err()
			case <-h.server.grpc.stopping:
				return status.Error(codes.Unavailable, "the gateway is shutting down")
			}
			if knownToHealth(r.Service) {
				ready, _ := h.server.ready()
				now = healthOf(ready)
			}
		}
	}
}

// reflectionService and reflectionServiceAlpha show the services to who may see
// metadata.
type reflectionService struct {
	server *DataServer
	reflectionv1.ServerReflectionServer
}

// ServerReflectionInfo passes the gate.
func (r reflectionService) ServerReflectionInfo(stream reflectionv1.ServerReflection_ServerReflectionInfoServer) error {
	if err := r.server.admitStream(stream, endpointServer); err != nil {
		return err
	}
	return r.ServerReflectionServer.ServerReflectionInfo(stream)
}

type reflectionServiceAlpha struct {
	server *DataServer
	reflectionv1alpha.ServerReflectionServer
}

// ServerReflectionInfo passes the gate.
func (r reflectionServiceAlpha) ServerReflectionInfo(stream reflectionv1alpha.ServerReflection_ServerReflectionInfoServer) error {
	if err := r.server.admitStream(stream, endpointServer); err != nil {
		return err
	}
	return r.ServerReflectionServer.ServerReflectionInfo(stream)
}

// admitStream passes the gate for a stream that others answer.
func (s *DataServer) admitStream(stream grpc.ServerStream, e endpoint) error {
	c := s.grpc.calls.Get().(*grpcCall)
	c.begin(stream.Context(), e)
	defer c.end()
	if c.admit() {
		return nil
	}
	stream.SetTrailer(c.head.md)
	return c.failure.Err()
}

// registerBeside adds health and reflection.
func (s *DataServer) registerBeside(server *grpc.Server) {
	server.RegisterService(s.awaiting(health.Health_ServiceDesc), healthService{server: s})
	services := reflection.ServerOptions{Services: server}
	reflectionv1.RegisterServerReflectionServer(server, reflectionService{s, reflection.NewServerV1(services)})
	reflectionv1alpha.RegisterServerReflectionServer(server, reflectionServiceAlpha{s, reflection.NewServer(services)})
}
