package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/segue-serving/segue/gateway/oip/oippb"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
	"golang.org/x/time/rate"
)

// dial serves gRPC on a new listener, wrapped where wrap is not nil, and
// connects to it.
func (g *testGateway) dial(wrap func(net.Listener) net.Listener, options ...grpc.DialOption) *grpc.ClientConn {
	g.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	if wrap != nil {
		ln = wrap(ln)
	} else {
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	served := make(chan error, 1)
	go func() { served <- g.ServeGRPC(ln) }()
	conn, err := grpc.NewClient("passthrough:///"+ln.Addr().String(), options...)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Drain(ctx, 0); err != nil {
			g.t.Error(err)
		}
		if err := <-served; err != nil {
			g.t.Error(err)
		}
		if n := g.grpc.active.Load(); n != 0 {
			g.t.Errorf("%d gRPC calls at the end", n)
		}
	})
	return conn
}

func (g *testGateway) rpc() oippb.GRPCInferenceServiceClient {
	g.t.Helper()
	return oippb.NewGRPCInferenceServiceClient(g.dial(nil))
}

// rowsMessage is a request of so many rows of 1, 2, 3 to mozart.
func rowsMessage(n int) *oippb.ModelInferRequest {
	var raw []byte
	for i := range 3 * n {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(i%3+1)))
	}
	return &oippb.ModelInferRequest{ModelName: "mozart", Id: "a", RawInputContents: [][]byte{raw},
		Inputs: []*oippb.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "FP32", Shape: []int64{int64(n), 3}}}}
}

// doubled is what version 1 answers to it.
func doubled(n int) *oippb.ModelInferResponse {
	var raw []byte
	for i := range 3 * n {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(2*(i%3+1))))
	}
	return &oippb.ModelInferResponse{ModelName: "mozart", ModelVersion: "1", Id: "a", RawOutputContents: [][]byte{raw},
		Outputs: []*oippb.ModelInferResponse_InferOutputTensor{{Name: "y", Datatype: "FP32", Shape: []int64{int64(n), 3}}}}
}

func wantMessage(t testing.TB, got proto.Message, err error, want proto.Message) {
	t.Helper()
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("got  %v, %v\nwant %v", got, err, want)
	}
}

func wantStatus(t testing.TB, err error, code codes.Code, message string) {
	t.Helper()
	if s := status.Convert(err); s.Code() != code || s.Message() != message {
		t.Errorf("got  %s %q\nwant %s %q", s.Code(), s.Message(), code, message)
	}
}

func TestReadOnlyMethodsAnswerWhatIsInForce(t *testing.T) {
	g := newTestGateway(t)
	g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", state: loader.StateFailed}),
		g.model("waiting", version{name: "1", state: loader.StateFetching}))
	client, ctx := g.rpc(), t.Context()

	live, err := client.ServerLive(ctx, &oippb.ServerLiveRequest{})
	wantMessage(t, live, err, &oippb.ServerLiveResponse{Live: true})
	ready, err := client.ServerReady(ctx, &oippb.ServerReadyRequest{})
	wantMessage(t, ready, err, &oippb.ServerReadyResponse{Ready: true})
	server, err := client.ServerMetadata(ctx, &oippb.ServerMetadataRequest{})
	wantMessage(t, server, err, &oippb.ServerMetadataResponse{Name: "segue", Version: "1.2.3",
		Extensions: []string{"binary_tensor_data", "model_configuration", "statistics"}})

	for _, c := range []struct {
		name, version string
		ready         bool
	}{{"mozart", "", true}, {"mozart", "1", true}, {"mozart", "2", false}, {"waiting", "", false}} {
		got, err := client.ModelReady(ctx, &oippb.ModelReadyRequest{Name: c.name, Version: c.version})
		wantMessage(t, got, err, &oippb.ModelReadyResponse{Ready: c.ready})
	}
	_, err = client.ModelReady(ctx, &oippb.ModelReadyRequest{Name: "haydn"})
	wantStatus(t, err, codes.NotFound, `unknown model "haydn"`)

	model, err := client.ModelMetadata(ctx, &oippb.ModelMetadataRequest{Name: "mozart", Version: "1"})
	wantMessage(t, model, err, &oippb.ModelMetadataResponse{Name: "mozart", Versions: []string{"1"}, Platform: "fake_platform",
		Inputs:  []*oippb.ModelMetadataResponse_TensorMetadata{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 3}}},
		Outputs: []*oippb.ModelMetadataResponse_TensorMetadata{{Name: "y", Datatype: "FP32", Shape: []int64{-1, 3}}}})
	_, err = client.ModelMetadata(ctx, &oippb.ModelMetadataRequest{Name: "mozart", Version: "9"})
	wantStatus(t, err, codes.NotFound, `model "mozart" has no version "9"`)
	_, err = client.ModelMetadata(ctx, &oippb.ModelMetadataRequest{Name: "waiting"})
	wantStatus(t, err, codes.Unavailable, `version "1" of model "waiting" is not ready`)

	config, err := client.ModelConfig(ctx, &oippb.ModelConfigRequest{Name: "mozart", Version: "1"})
	wantMessage(t, config, err, &oippb.ModelConfigResponse{Config: &oippb.ModelConfig{Name: "mozart", Platform: "fake_platform", Backend: "fake", MaxBatchSize: 4,
		VersionPolicy: &oippb.ModelVersionPolicy{PolicyChoice: &oippb.ModelVersionPolicy_Specific_{Specific: &oippb.ModelVersionPolicy_Specific{Versions: []int64{1}}}},
		Input:         []*oippb.ModelInput{{Name: "x", DataType: oippb.DataType_TYPE_FP32, Dims: []int64{3}}},
		Output:        []*oippb.ModelOutput{{Name: "y", DataType: oippb.DataType_TYPE_FP32, Dims: []int64{3}}}}})

	if _, err := client.ModelInfer(ctx, rowsMessage(3)); err != nil {
		t.Fatal(err)
	}
	stats, err := client.ModelStatistics(ctx, &oippb.ModelStatisticsRequest{Name: "mozart", Version: "1"})
	if err != nil || len(stats.ModelStats) != 1 {
		t.Fatalf("%v, %v", stats, err)
	}
	if s := stats.ModelStats[0]; s.Name != "mozart" || s.Version != "1" || s.InferenceCount != 3 || s.ExecutionCount != 1 || s.InferenceStats.Success.Count != 1 ||
		s.InferenceStats.Success.Ns == 0 || s.InferenceStats.Fail.Count != 0 || s.LastInference == 0 {
		t.Errorf("%v", s)
	}
	all, err := client.ModelStatistics(ctx, &oippb.ModelStatisticsRequest{})
	if err != nil || len(all.ModelStats) != 3 {
		t.Errorf("%v, %v", all, err)
	}

	type entry = oippb.RepositoryIndexResponse_ModelIndex
	index, err := client.RepositoryIndex(ctx, &oippb.RepositoryIndexRequest{})
	wantMessage(t, index, err, &oippb.RepositoryIndexResponse{Models: []*entry{{Name: "mozart", Version: "1", State: "READY"},
		{Name: "mozart", Version: "2", State: "UNAVAILABLE", Reason: "failed"}, {Name: "waiting", Version: "1", State: "LOADING", Reason: "fetching"}}})
	index, err = client.RepositoryIndex(ctx, &oippb.RepositoryIndexRequest{Ready: true})
	wantMessage(t, index, err, &oippb.RepositoryIndexResponse{Models: []*entry{{Name: "mozart", Version: "1", State: "READY"}}})

	const where = "models are not loaded or unloaded by request: they follow the configuration, which lives in documents in a test"
	_, err = client.RepositoryModelLoad(ctx, &oippb.RepositoryModelLoadRequest{ModelName: "mozart"})
	wantStatus(t, err, codes.PermissionDenied, where)
	_, err = client.RepositoryModelUnload(ctx, &oippb.RepositoryModelUnloadRequest{ModelName: "mozart"})
	wantStatus(t, err, codes.PermissionDenied, where)
	err = g.dial(nil).Invoke(ctx, "/inference.GRPCInferenceService/TraceSetting", &oippb.ServerLiveRequest{}, &oippb.ServerLiveResponse{})
	wantStatus(t, err, codes.Unimplemented, "no such method")
}

// echo answers what it is given, as y.
func echo(kind runtime.DataType) *runtimetest.Fake {
	spec := func(name string) []runtime.TensorSpec {
		return []runtime.TensorSpec{{Name: name, Type: kind, Shape: []int64{runtime.Dynamic, runtime.Dynamic}}}
	}
	return &runtimetest.Fake{Signature: runtime.Signature{Inputs: spec("x"), Outputs: spec("y")},
		Func: func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
			out := runtimetest.Clone(in[0])
			out.Name = "y"
			return []runtime.Tensor{out}, nil
		}}
}

func TestEveryTypeComesBackAsItWasSent(t *testing.T) {
	g := newTestGateway(t)
	client := g.rpc()
	typed := map[runtime.DataType]*oippb.InferTensorContents{
		runtime.BOOL: {BoolContents: []bool{true, false}}, runtime.INT8: {IntContents: []int32{-128, 127}}, runtime.INT16: {IntContents: []int32{-32768, 32767}},
		runtime.INT32: {IntContents: []int32{math.MinInt32, math.MaxInt32}}, runtime.INT64: {Int64Contents: []int64{math.MinInt64, math.MaxInt64}},
		runtime.UINT8: {UintContents: []uint32{0, 255}}, runtime.UINT16: {UintContents: []uint32{0, 65535}}, runtime.UINT32: {UintContents: []uint32{0, math.MaxUint32}},
		runtime.UINT64: {Uint64Contents: []uint64{0, math.MaxUint64}}, runtime.FP32: {Fp32Contents: []float32{0.1, float32(math.Inf(-1))}},
		runtime.FP64: {Fp64Contents: []float64{0.1, math.MaxFloat64}}, runtime.BYTES: {BytesContents: [][]byte{{}, []byte("\x00a\xff")}},
	}
	for _, kind := range runtime.DataTypes() {
		g.put(g.model("echo", version{name: "1", weight: 1, model: echo(kind)}))
		raw := make([]byte, 2*kind.Size())
		for i := range raw {
			raw[i] = byte(i % 2)
		}
		if kind == runtime.BYTES {
			raw = []byte("\x00\x00\x00\x00\x03\x00\x00\x00\x00a\xff")
		}
		request := &oippb.ModelInferRequest{ModelName: "echo", RawInputContents: [][]byte{raw},
			Inputs: []*oippb.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: kind.String(), Shape: []int64{1, 2}}}}
		want := &oippb.ModelInferResponse{ModelName: "echo", ModelVersion: "1", RawOutputContents: [][]byte{raw},
			Outputs: []*oippb.ModelInferResponse_InferOutputTensor{{Name: "y", Datatype: kind.String(), Shape: []int64{1, 2}}}}
		got, err := client.ModelInfer(t.Context(), request)
		wantMessage(t, got, err, want)
		contents := typed[kind]
		if contents == nil {
			continue
		}
		request.RawInputContents, request.Inputs[0].Contents = nil, contents
		want.RawOutputContents, want.Outputs[0].Contents = nil, contents
		got, err = client.ModelInfer(t.Context(), request)
		wantMessage(t, got, err, want)
	}
}

func TestWhatAPredictionAnswersBesidesItsMessage(t *testing.T) {
	g := newTestGateway(t)
	m := g.model("mozart", version{name: "1", weight: 1, model: doubler()})
	m.stickyHeader, m.stickyRequired = "X-User-Id", true
	g.put(m)
	client := g.rpc()
	var head, trailer metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "k-491", "X-User-Id", "17")
	got, err := client.ModelInfer(ctx, rowsMessage(1), grpc.Header(&head), grpc.Trailer(&trailer))
	wantMessage(t, got, err, doubled(1))
	for name, want := range map[string]string{"segue-model-version": "1", "segue-variant": "v1", "segue-config-index": "42", "x-request-id": "k-491"} {
		if !slices.Equal(head[name], []string{want}) {
			t.Errorf("%s is %q, want %q", name, head[name], want)
		}
	}
	if id := head["segue-prediction-id"]; len(id) != 1 {
		t.Errorf("prediction id %q", id)
	} else if parsed, err := g.ids.parse(id[0]); err != nil || parsed.names != hashNames("mozart", "1", "v1") {
		t.Errorf("prediction id %+v, %v", parsed, err)
	}
	if len(trailer) != 0 {
		t.Errorf("trailer %v", trailer)
	}
	_, err = client.ModelInfer(t.Context(), rowsMessage(1), grpc.Header(&head), grpc.Trailer(&trailer))
	wantStatus(t, err, codes.InvalidArgument, `model "mozart" needs the header X-User-Id`)
	if id := trailer["x-request-id"]; len(id) != 1 || len(id[0]) != 32 || !slices.Equal(trailer["segue-config-index"], []string{"42"}) {
		t.Errorf("trailer %v", trailer)
	}
	wantLines(t, g.series("segue_requests_total"),
		`segue_requests_total{code="200",model="mozart",protocol="grpc",variant="v1",version="1"} 1`,
		`segue_requests_total{code="200",model="mozart",protocol="http",variant="v1",version="1"} 0`,
		`segue_requests_total{code="400",model="mozart",protocol="grpc",variant="",version=""} 1`)
	request := rowsMessage(4)
	if _, err := client.ModelInfer(ctx, request, grpc.UseCompressor(gzip.Name)); err != nil {
		t.Errorf("compressed: %v", err)
	}
	sum := g.metrics.version("mozart", "1", "v1").total()
	if want := uint64(proto.Size(rowsMessage(1)) + proto.Size(request)); sum.bytesIn != want {
		t.Errorf("%d bytes in, want %d", sum.bytesIn, want)
	}
	if want := uint64(proto.Size(doubled(1)) + proto.Size(doubled(4))); sum.bytesOut != want {
		t.Errorf("%d bytes out, want %d", sum.bytesOut, want)
	}
}

func TestRefusalsCarryTheirCode(t *testing.T) {
	g := newTestGateway(t)
	failing, panicking, picky := doubler(), doubler(), doubler()
	failing.Func = func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error) { return nil, context.Canceled }
	panicking.Func = func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error) { panic("inside") }
	picky.Func = func(context.Context, []runtime.Tensor) ([]runtime.Tensor, error) {
		return nil, runtime.ErrInvalidArgument
	}
	limited := g.model("limited", version{name: "1", weight: 1, model: doubler()})
	limited.limiter = rate.NewLimiter(0.001, 1)
	g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", state: loader.StateFailed}),
		g.model("panicking", version{name: "1", weight: 1, model: panicking}), g.model("picky", version{name: "1", weight: 1, model: picky}),
		g.model("waiting", version{name: "1", state: loader.StateFetching}), limited)
	client := g.rpc()
	to := func(model, version string) *oippb.ModelInferRequest {
		m := rowsMessage(1)
		m.ModelName, m.ModelVersion = model, version
		return m
	}
	if _, err := client.ModelInfer(t.Context(), to("limited", "")); err != nil {
		t.Fatal(err)
	}
	short := rowsMessage(1)
	short.RawInputContents[0] = short.RawInputContents[0][:8]
	for _, c := range []struct {
		name    string
		request *oippb.ModelInferRequest
		ctx     context.Context
		code    codes.Code
		http    string
		message string
	}{
		{"unknown model", to("haydn", ""), nil, codes.NotFound, "404", `unknown model "haydn"`},
		{"no model", &oippb.ModelInferRequest{}, nil, codes.NotFound, "404", `unknown model ""`},
		{"unknown version", to("mozart", "9"), nil, codes.NotFound, "404", `model "mozart" has no version "9"`},
		{"failed version", to("mozart", "2"), nil, codes.Unavailable, "503", `version "2" of model "mozart" could not be loaded`},
		{"not ready", to("waiting", ""), nil, codes.Unavailable, "503", `model "waiting" is not ready`},
		{"rate", to("limited", ""), nil, codes.ResourceExhausted, "429", `model "limited": the rate limit of 0.001 requests a second is reached`},
		{"input", short, nil, codes.InvalidArgument, "400", `input "x": raw_input_contents[0] has 8 bytes, but shape [1,3] of FP32 takes 12`},
		{"rows", rowsMessage(5), nil, codes.InvalidArgument, "400", `input "x": shape [5,3] has 5 rows, over the limit of 4`},
		{"panic", to("panicking", ""), nil, codes.Internal, "500", "the model failed"},
		{"values", to("picky", ""), nil, codes.InvalidArgument, "400", "the model refused the values of the inputs: invalid argument"},
		{"timeout", rowsMessage(1), metadata.AppendToOutgoingContext(t.Context(), "x-request-timeout-ms", "0"), codes.InvalidArgument, "400",
			`X-Request-Timeout-Ms must be a positive number of milliseconds, not "0"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := g.requestsWith(c.http)
			ctx := t.Context()
			if c.ctx != nil {
				ctx = c.ctx
			}
			var trailer metadata.MD
			_, err := client.ModelInfer(ctx, c.request, grpc.Trailer(&trailer))
			wantStatus(t, err, c.code, c.message)
			if len(trailer["x-request-id"]) != 1 {
				t.Errorf("trailer %v", trailer)
			}
			eventually(t, "the request is counted", func() bool { return g.requestsWith(c.http) == before+1 })
		})
	}
}

// requestsWith is how many requests over gRPC were counted under a code.
func (g *testGateway) requestsWith(code string) (n uint64) {
	for _, line := range g.series("segue_requests_total") {
		if strings.Contains(line, `code="`+code+`"`) && strings.Contains(line, `protocol="grpc"`) {
			count := uint64(0)
			for _, c := range line[strings.LastIndexByte(line, ' ')+1:] {
				count = 10*count + uint64(c-'0')
			}
			n += count
		}
	}
	return n
}

func TestADeadlineOfTheClientHoldsInTheQueue(t *testing.T) {
	g := newTestGateway(t)
	slow := doubler()
	waiting, release := blocking(t, slow)
	g.put(g.model("mozart", version{name: "1", weight: 1, model: slow}))
	client := g.rpc()
	// Connected before the clock of the short deadline runs.
	if _, err := client.ServerLive(t.Context(), &oippb.ServerLiveRequest{}); err != nil {
		t.Fatal(err)
	}
	running := []<-chan answer{g.background(infer), g.background(infer)}
	eventually(t, "both permits are taken", func() bool { return waiting.Load() == 2 })
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := client.ModelInfer(short, rowsMessage(1)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	request := rowsMessage(1)
	request.Parameters = map[string]*oippb.InferParameter{"timeout": {ParameterChoice: &oippb.InferParameter_Int64Param{Int64Param: 20_000}}}
	_, err := client.ModelInfer(t.Context(), request)
	wantStatus(t, err, codes.DeadlineExceeded, "the deadline passed before the model could run")
	// The first one's client may have hung up before the gateway's own clock
	// rang.
	eventually(t, "both are counted", func() bool { return g.requestsWith("504")+g.requestsWith("499") == 2 })
	hungUp := g.requestsWith("499")

	leaving, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := client.ModelInfer(leaving, rowsMessage(1))
		left <- err
	}()
	eventually(t, "one request waits", func() bool { return g.executor.Stats().Queued == 1 })
	leave()
	if err := <-left; status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	eventually(t, "who left is counted", func() bool { return g.requestsWith("499") == hungUp+1 })
	if n := g.executor.Stats().Queued; n != 0 {
		t.Errorf("%d still wait", n)
	}
	close(release)
	for _, done := range running {
		(<-done).want(t, 200, answered)
	}
	if counts := g.attempts("mozart", "1"); counts["shed"] != 2-hungUp || counts["cancelled"] != 1+hungUp || counts["ok"] != 2 || len(counts) != 3 {
		t.Errorf("attempts %v", counts)
	}
}

func TestAClientThatLeavesDuringTheRunCountsAsGone(t *testing.T) {
	g := newTestGateway(t)
	slow := doubler()
	waiting, release := blocking(t, slow)
	g.put(g.model("mozart", version{name: "1", weight: 1, model: slow}))
	client := g.rpc()
	leaving, leave := context.WithCancel(t.Context())
	go func() {
		eventually(t, "the model runs", func() bool { return waiting.Load() == 1 })
		leave()
	}()
	if _, err := client.ModelInfer(leaving, rowsMessage(1)); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	// The cancellation is on its way to the server; the next call on the
	// connection comes behind it.
	if _, err := client.ServerLive(t.Context(), &oippb.ServerLiveRequest{}); err != nil {
		t.Error(err)
	}
	close(release)
	eventually(t, "who left is counted", func() bool { return g.requestsWith("499") == 1 })
	if counts := g.attempts("mozart", "1"); counts["cancelled"] != 1 || len(counts) != 1 {
		t.Errorf("attempts %v", counts)
	}
}

func TestANewLimitOfTheBodyHoldsOnOpenConnections(t *testing.T) {
	g := newTestGateway(t)
	table := g.put(g.model("mozart", version{name: "1", weight: 1, model: doubler()}))
	client := g.rpc()
	large := rowsMessage(1)
	large.Parameters = map[string]*oippb.InferParameter{"p": {ParameterChoice: &oippb.InferParameter_StringParam{StringParam: strings.Repeat("a", 1<<20)}}}
	const tooLarge = "grpc: received message larger than max (1048631 vs. 1048576)"
	_, err := client.ModelInfer(t.Context(), large)
	wantStatus(t, err, codes.ResourceExhausted, tooLarge)
	eventually(t, "it is counted", func() bool { return g.requestsWith("413") == 1 })
	more := *table
	more.maxBody = 4 << 20
	g.router.publish(&more)
	// The connection is told to go with its next request.
	eventually(t, "the new limit is in force", func() bool {
		got, err := client.ModelInfer(t.Context(), large)
		return err == nil && proto.Equal(got, doubled(1))
	})
	g.router.publish(table)
	_, err = client.ModelInfer(t.Context(), large)
	wantStatus(t, err, codes.ResourceExhausted, "the body is over the limit of 1048576 bytes") // on a connection from before
	eventually(t, "the old limit is in force", func() bool {
		_, err := client.ModelInfer(t.Context(), large)
		return status.Convert(err).Message() == tooLarge
	})
	got, err := client.ModelInfer(t.Context(), rowsMessage(1))
	wantMessage(t, got, err, doubled(1))
}

func TestTLSOverGRPCUsesTheCertificate(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := dir+"/tls.crt", dir+"/tls.key"
	writeCertificate(t, certFile, keyFile, 1)
	g := newTestGateway(t)
	g.mozart()
	certificate, err := LoadCertificate(certFile, keyFile, g.opts.Log)
	if err != nil {
		t.Fatal(err)
	}
	conn := g.dial(certificate.ListenGRPC, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})))
	got, err := oippb.NewGRPCInferenceServiceClient(conn).ModelInfer(t.Context(), rowsMessage(2))
	wantMessage(t, got, err, doubled(2))
}

func TestLargeMessagesComeBackWhole(t *testing.T) {
	g := newTestGateway(t)
	table := *g.put(g.model("echo", version{name: "1", weight: 1, model: echo(runtime.UINT8)}))
	table.maxBody = 16 << 20
	table.models["echo"].versions["1"].limits.MaxTensorBytes = 16 << 20
	g.router.publish(&table)
	client := oippb.NewGRPCInferenceServiceClient(g.dial(nil, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20))))
	raw := make([]byte, 8<<20)
	for i := range raw {
		raw[i] = byte(i * i >> 7)
	}
	got, err := client.ModelInfer(t.Context(), &oippb.ModelInferRequest{ModelName: "echo", RawInputContents: [][]byte{raw},
		Inputs: []*oippb.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "UINT8", Shape: []int64{1, int64(len(raw))}}}})
	if err != nil || !bytes.Equal(got.RawOutputContents[0], raw) {
		t.Errorf("not what was sent: %v", err)
	}
}
