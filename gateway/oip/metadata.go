package oip

import "github.com/segue-serving/segue/runtime"

// ServerName is how the server names itself.
const ServerName = "segue"

// ServerMetadata answers GET /v2.
type ServerMetadata struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

// NewServerMetadata describes this server of a version, with the extensions
// of the protocol that it offers.
func NewServerMetadata(version string) ServerMetadata {
	return ServerMetadata{
		Name:       ServerName,
		Version:    version,
		Extensions: []string{"binary_tensor_data", "model_configuration", "statistics"},
	}
}

// ServerLive answers GET /v2/health/live.
type ServerLive struct {
	Live bool `json:"live"`
}

// ServerReady answers GET /v2/health/ready.
type ServerReady struct {
	Ready bool `json:"ready"`
}

// ModelReady answers GET /v2/models/{model}[/versions/{version}]/ready.
type ModelReady struct {
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
}

// ModelMetadata answers GET /v2/models/{model}[/versions/{version}].
type ModelMetadata struct {
	Name     string               `json:"name"`
	Versions []string             `json:"versions"`
	Platform string               `json:"platform"`
	Inputs   []runtime.TensorSpec `json:"inputs"`
	Outputs  []runtime.TensorSpec `json:"outputs"`
}

// NewModelMetadata describes a model with the versions that can be asked for.
// The platform is the engine's name, such as "onnxruntime_onnx".
func NewModelMetadata(name string, versions []string, platform string, sig *runtime.Signature) ModelMetadata {
	return ModelMetadata{
		Name:     name,
		Versions: append([]string{}, versions...),
		Platform: platform,
		Inputs:   describe(sig.Inputs),
		Outputs:  describe(sig.Outputs),
	}
}

// describe copies specs so that what is empty is written as [] and not null.
func describe(specs []runtime.TensorSpec) []runtime.TensorSpec {
	described := make([]runtime.TensorSpec, 0, len(specs))
	for _, spec := range specs {
		spec.Shape = append([]int64{}, spec.Shape...)
		described = append(described, spec)
	}
	return described
}
