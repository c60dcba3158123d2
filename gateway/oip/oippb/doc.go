// Package oippb holds the messages and the service of the Open Inference
// Protocol v2 over gRPC, generated from grpc_service.proto, for clients and for
// the gateway. It promises the names and numbers of the published interface and
// holds no code of its own.
//
// It is generated with protoc-gen-go v1.36.12 and protoc-gen-go-grpc v1.6.2 on
// the path and any protoc of version 3.21 or later (pip install grpcio-tools
// brings one: python -m grpc_tools.protoc):
//
//	protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative grpc_service.proto
//
//	client := oippb.NewGRPCInferenceServiceClient(conn)
//	answer, err := client.ModelInfer(ctx, &oippb.ModelInferRequest{ModelName: "mozart", Inputs: inputs})
package oippb
