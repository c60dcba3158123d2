package main

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"net"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/gateway/oip/oippb"
)

func TestGRPCAnswersWhatHTTPAnswers(t *testing.T) {
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + quickstart})
	conn, err := grpc.NewClient("passthrough:///"+gw.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	features := make([]float32, 13)
	var raw []byte
	for i := range features {
		features[i] = float32(i) / 3
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(features[i]))
	}
	body, err := json.Marshal(map[string]any{"inputs": []any{map[string]any{"name": "features", "datatype": "FP32", "shape": []int{1, 13}, "data": features}},
		"outputs": []any{map[string]string{"name": "probabilities"}}})
	if err != nil {
		t.Fatal(err)
	}
	overHTTP := gw.Infer(t, "wine/versions/1", body, nil)
	var want struct{ Outputs []struct{ Data []float32 } }
	if err := json.Unmarshal(overHTTP.Body, &want); err != nil || overHTTP.Code != http.StatusOK {
		t.Fatalf("%d %s", overHTTP.Code, overHTTP.Body)
	}
	request := &oippb.ModelInferRequest{ModelName: "wine", ModelVersion: "1", RawInputContents: [][]byte{raw},
		Inputs:  []*oippb.ModelInferRequest_InferInputTensor{{Name: "features", Datatype: "FP32", Shape: []int64{1, 13}}},
		Outputs: []*oippb.ModelInferRequest_InferRequestedOutputTensor{{Name: "probabilities"}}}
	var head metadata.MD
	got, err := oippb.NewGRPCInferenceServiceClient(conn).ModelInfer(t.Context(), request, grpc.Header(&head))
	if err != nil {
		t.Fatal(err)
	}
	if got.ModelVersion != "1" || len(head["segue-model-version"]) != 1 || head["segue-model-version"][0] != "1" {
		t.Errorf("%v with %v", got, head)
	}
	for i, p := range want.Outputs[0].Data {
		if bits := binary.LittleEndian.Uint32(got.RawOutputContents[0][4*i:]); bits != math.Float32bits(p) {
			t.Errorf("probability %d is %v, over HTTP %v", i, math.Float32frombits(bits), p)
		}
	}
	if n, _ := gw.Metric(t, `segue_requests_total{code="200",model="wine",protocol="grpc",variant="`+overHTTP.Header.Get("Segue-Variant")+`",version="1"}`); n != "1" {
		t.Errorf("counted %q times", n)
	}
	if probe, err := health.NewHealthClient(conn).Check(t.Context(), &health.HealthCheckRequest{}); err != nil || probe.Status != health.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", probe, err)
	}
	if code := gw.Stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, gw.Log())
	}
}

func TestGRPCCanBeSwitchedOff(t *testing.T) {
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + quickstart, Args: []string{"--grpc-addr", "off"}})
	if conn, err := net.DialTimeout("tcp", gw.GRPC, time.Second); err == nil {
		conn.Close()
		t.Error("somebody answers")
	}
}
