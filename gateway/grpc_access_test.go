package gateway

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/oip/oippb"
)

func TestWhereKeysAreConfiguredEveryMethodIsClosedUntilOpened(t *testing.T) {
	g := newTestGateway(t)
	table := *g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()}), g.model("haydn", version{name: "1", weight: 1, model: doubler()}))
	table.access = mustAccess(t, &configs.Settings{Keys: []configs.Key{
		keyOf("predict", nil, "predict"), keyOf("metadata", nil, "metadata"), keyOf("health", nil, "health"),
		keyOf("admin", nil, "admin"), keyOf("haydn", []string{"haydn"}, "predict"),
	}})
	g.router.publish(&table)
	conn := g.dial(nil)
	client, probe := oippb.NewGRPCInferenceServiceClient(conn), health.NewHealthClient(conn)
	const (
		ok = codes.OK
		un = codes.Unauthenticated
		pd = codes.PermissionDenied
	)
	keys := []string{"", "wrong", "predict", "metadata", "health", "admin", "haydn"}
	for _, c := range []struct {
		name string
		call func(ctx context.Context) error
		want [7]codes.Code
	}{
		{"ModelInfer", func(ctx context.Context) error { _, err := client.ModelInfer(ctx, rowsMessage(1)); return err }, [7]codes.Code{un, un, ok, pd, pd, pd, pd}},
		{"ServerLive", func(ctx context.Context) error {
			_, err := client.ServerLive(ctx, &oippb.ServerLiveRequest{})
			return err
		}, [7]codes.Code{un, un, pd, pd, ok, pd, pd}},
		{"ServerReady", func(ctx context.Context) error {
			_, err := client.ServerReady(ctx, &oippb.ServerReadyRequest{})
			return err
		}, [7]codes.Code{un, un, pd, pd, ok, pd, pd}},
		{"ModelReady", func(ctx context.Context) error {
			_, err := client.ModelReady(ctx, &oippb.ModelReadyRequest{Name: "mozart"})
			return err
		}, [7]codes.Code{un, un, pd, pd, ok, pd, pd}},
		{"Check", func(ctx context.Context) error { _, err := probe.Check(ctx, &health.HealthCheckRequest{}); return err }, [7]codes.Code{un, un, pd, pd, ok, pd, pd}},
		{"List", func(ctx context.Context) error { _, err := probe.List(ctx, &health.HealthListRequest{}); return err }, [7]codes.Code{un, un, pd, pd, ok, pd, pd}},
		{"Watch", func(ctx context.Context) error {
			stream, err := probe.Watch(ctx, &health.HealthCheckRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		}, [7]codes.Code{un, un, pd, pd, ok, pd, pd}},
		{"ServerMetadata", func(ctx context.Context) error {
			_, err := client.ServerMetadata(ctx, &oippb.ServerMetadataRequest{})
			return err
		}, [7]codes.Code{un, un, ok, ok, pd, pd, ok}},
		{"ModelMetadata", func(ctx context.Context) error {
			_, err := client.ModelMetadata(ctx, &oippb.ModelMetadataRequest{Name: "mozart"})
			return err
		}, [7]codes.Code{un, un, ok, ok, pd, pd, pd}},
		{"RepositoryIndex", func(ctx context.Context) error {
			_, err := client.RepositoryIndex(ctx, &oippb.RepositoryIndexRequest{})
			return err
		}, [7]codes.Code{un, un, ok, ok, pd, pd, ok}},
		{"RepositoryModelLoad", func(ctx context.Context) error {
			_, err := client.RepositoryModelLoad(ctx, &oippb.RepositoryModelLoadRequest{ModelName: "mozart"})
			return err
		}, [7]codes.Code{un, un, pd, pd, pd, pd, pd}},
		{"ModelStreamInfer", func(ctx context.Context) error {
			stream, err := client.ModelStreamInfer(ctx)
			if err == nil {
				_ = stream.CloseSend()
				if _, err = stream.Recv(); err == io.EOF {
					err = nil
				}
			}
			return err
		}, [7]codes.Code{un, un, ok, pd, pd, pd, ok}},
		{"unknown", func(ctx context.Context) error {
			return conn.Invoke(ctx, "/a.B/C", &oippb.ServerLiveRequest{}, &oippb.ServerLiveResponse{})
		}, [7]codes.Code{un, un, codes.Unimplemented, codes.Unimplemented, codes.Unimplemented, codes.Unimplemented, codes.Unimplemented}},
		{"reflection", func(ctx context.Context) error {
			_, err := services(ctx, reflectionv1.NewServerReflectionClient(conn))
			return err
		},
			[7]codes.Code{un, un, ok, ok, pd, pd, ok}},
		{"reflection alpha", func(ctx context.Context) error {
			// The messages are those of v1.
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
			if err == nil {
				_ = stream.SendMsg(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
				err = stream.RecvMsg(&reflectionv1.ServerReflectionResponse{})
			}
			return err
		}, [7]codes.Code{un, un, ok, ok, pd, pd, ok}},
	} {
		for i, key := range keys {
			ctx, cancel := context.WithCancel(t.Context())
			if key != "" {
				ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
			}
			if got := status.Code(c.call(ctx)); got != c.want[i] {
				t.Errorf("%s with the key %q: %s, want %s", c.name, key, got, c.want[i])
			}
			cancel()
		}
	}
}

// services lists the services that reflection shows.
func services(ctx context.Context, client reflectionv1.ServerReflectionClient) (names []string, err error) {
	stream, err := client.ServerReflectionInfo(ctx)
	if err != nil {
		return nil, err
	}
	// A refusal shows in Recv, whether or not it was there before Send.
	_ = stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	answer, err := stream.Recv()
	for _, s := range answer.GetListServicesResponse().GetService() {
		names = append(names, s.Name)
	}
	return names, err
}

func TestReflectionShowsTheService(t *testing.T) {
	g := newTestGateway(t)
	client := reflectionv1.NewServerReflectionClient(g.dial(nil))
	names, err := services(t.Context(), client)
	const want = "grpc.health.v1.Health grpc.reflection.v1.ServerReflection grpc.reflection.v1alpha.ServerReflection inference.GRPCInferenceService"
	if err != nil || strings.Join(names, " ") != want {
		t.Errorf("%q, %v", names, err)
	}
	stream, err := client.ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{
		FileContainingSymbol: "inference.GRPCInferenceService"}}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var file descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(answer.GetFileDescriptorResponse().GetFileDescriptorProto()[0], &file); err != nil {
		t.Fatal(err)
	}
	for _, m := range file.Service[0].Method {
		if m.GetName() == "ModelInfer" && m.GetServerStreaming() {
			t.Error("ModelInfer is shown as a stream")
		}
	}
	if n := len(file.Service[0].Method); n != 12 {
		t.Errorf("%d methods", n)
	}
	if err := stream.CloseSend(); err != nil {
		t.Error(err)
	}
}

func TestHealthFollowsReadiness(t *testing.T) {
	g := newTestGateway(t)
	ready := g.mozart()
	conn := g.dial(nil)
	client := health.NewHealthClient(conn)
	stream, err := client.Watch(t.Context(), &health.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := client.Watch(t.Context(), &health.HealthCheckRequest{Service: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unknown.Recv(); err != nil || got.Status != health.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Errorf("%v, %v", got, err)
	}
	_, err = client.Check(t.Context(), &health.HealthCheckRequest{Service: "a"})
	wantStatus(t, err, codes.NotFound, `unknown service "a"`)
	check := func(want health.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", "inference.GRPCInferenceService"} {
			if got, err := client.Check(t.Context(), &health.HealthCheckRequest{Service: service}); err != nil || got.Status != want {
				t.Errorf("%q: %v, %v, want %s", service, got, err, want)
			}
		}
		list, err := client.List(t.Context(), &health.HealthListRequest{})
		if err != nil || len(list.Statuses) != 2 || list.Statuses[""].Status != want {
			t.Errorf("%v, %v", list, err)
		}
		if got, err := stream.Recv(); err != nil || got.Status != want {
			t.Errorf("watched: %v, %v, want %s", got, err, want)
		}
	}
	check(health.HealthCheckResponse_SERVING)
	unready := *ready
	unready.ready = false
	g.router.publish(&unready)
	check(health.HealthCheckResponse_NOT_SERVING)
	g.router.publish(ready)
	check(health.HealthCheckResponse_SERVING)
	g.NotReady()
	check(health.HealthCheckResponse_NOT_SERVING)
	if got, err := oippb.NewGRPCInferenceServiceClient(conn).ServerReady(t.Context(), &oippb.ServerReadyRequest{}); err != nil || got.Ready {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDrainAnswersWhatWasBegunOverGRPCAndWaitsForNoIdleStream(t *testing.T) {
	g := newTestGateway(t)
	slow := doubler()
	waiting, release := blocking(t, slow)
	g.put(g.model("mozart", version{name: "1", weight: 1, model: slow}))
	conn := g.dial(nil)
	client := oippb.NewGRPCInferenceServiceClient(conn)
	watch, err := health.NewHealthClient(conn).Watch(t.Context(), &health.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	idle, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		answer *oippb.ModelInferResponse
		err    error
	}
	begun := make(chan result, 1)
	go func() {
		answer, err := client.ModelInfer(t.Context(), rowsMessage(1))
		begun <- result{answer, err}
	}()
	eventually(t, "the model runs", func() bool { return waiting.Load() == 1 })
	drained := make(chan error, 1)
	go func() { drained <- g.Drain(t.Context(), 10*time.Millisecond) }()
	for err == nil {
		_, err = watch.Recv()
	}
	wantStatus(t, err, codes.Unavailable, "the gateway is shutting down")
	select {
	case err := <-drained:
		t.Fatalf("drained before the request was answered: %v", err)
	case <-time.After(2 * grpcIdle):
	}
	close(release)
	got := <-begun
	wantMessage(t, got.answer, got.err, doubled(1))
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if _, err := idle.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the idle stream ended with %v", err)
	}
	if _, err := client.ModelInfer(t.Context(), rowsMessage(1)); status.Code(err) != codes.Unavailable {
		t.Errorf("after the drain: %v", err)
	}
}

func TestDrainGivesUpOverGRPCWhenItsTimeIsOver(t *testing.T) {
	g := newTestGateway(t)
	slow := doubler()
	waiting, release := blocking(t, slow)
	g.put(g.model("mozart", version{name: "1", weight: 1, model: slow}))
	client := g.rpc()
	failed := make(chan error, 1)
	go func() {
		_, err := client.ModelInfer(t.Context(), rowsMessage(1))
		failed <- err
	}()
	eventually(t, "the model runs", func() bool { return waiting.Load() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := g.Drain(ctx, 0); err == nil || !strings.Contains(err.Error(), "1 requests are still being answered") {
		t.Errorf("got %v", err)
	}
	if err := <-failed; status.Code(err) != codes.Unavailable {
		t.Errorf("the request ended with %v", err)
	}
	close(release)
	eventually(t, "nothing is under way", func() bool { return g.grpc.active.Load() == 0 })
}
