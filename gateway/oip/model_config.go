package oip

import (
	"strconv"

	"github.com/segue-serving/segue/runtime"
)

// ModelConfig answers GET /v2/models/{model}/config in the shape of Triton's
// model configuration, for its clients and perf_analyzer.
type ModelConfig struct {
	Name          string              `json:"name"`
	Platform      string              `json:"platform"`
	Backend       string              `json:"backend"`
	VersionPolicy VersionPolicy       `json:"version_policy"`
	MaxBatchSize  int                 `json:"max_batch_size"`
	Input         []ModelConfigTensor `json:"input"`
	Output        []ModelConfigTensor `json:"output"`
}

// VersionPolicy says which versions are served: those named, or all where
// their names are not numbers, for which Triton has no form.
type VersionPolicy struct {
	Specific *SpecificVersions `json:"specific,omitempty"`
	All      *struct{}         `json:"all,omitempty"`
}

// SpecificVersions lists versions by number.
type SpecificVersions struct {
	Versions []int64 `json:"versions"`
}

// ModelConfigTensor is one input or output. Dims leaves out the batch
// dimension where the model's max_batch_size is not 0.
type ModelConfigTensor struct {
	Name     string  `json:"name"`
	DataType string  `json:"data_type"`
	Dims     []int64 `json:"dims"`
}

// NewModelConfig describes a model. maxBatch is the most rows that one run
// takes; it is written as 0, and the shapes in full, where it is below 1 or
// the signature does not batch.
func NewModelConfig(name, platform, backend string, versions []string, maxBatch int, sig *runtime.Signature) ModelConfig {
	skip := 0
	if maxBatch > 0 && sig.Batches() {
		skip = 1
	} else {
		maxBatch = 0
	}
	config := ModelConfig{
		Name:          name,
		Platform:      platform,
		Backend:       backend,
		VersionPolicy: VersionPolicy{All: &struct{}{}},
		MaxBatchSize:  maxBatch,
		Input:         configTensors(sig.Inputs, skip),
		Output:        configTensors(sig.Outputs, skip),
	}
	numbers := make([]int64, 0, len(versions))
	for _, version := range versions {
		number, err := strconv.ParseInt(version, 10, 64)
		if err != nil {
			return config
		}
		numbers = append(numbers, number)
	}
	config.VersionPolicy = VersionPolicy{Specific: &SpecificVersions{Versions: numbers}}
	return config
}

func configTensors(specs []runtime.TensorSpec, skip int) []ModelConfigTensor {
	tensors := make([]ModelConfigTensor, 0, len(specs))
	for _, spec := range specs {
		kind := spec.Type.String()
		if spec.Type == runtime.BYTES {
			kind = "STRING"
		}
		tensors = append(tensors, ModelConfigTensor{
			Name: spec.Name, DataType: "TYPE_" + kind, Dims: append([]int64{}, spec.Shape[skip:]...),
		})
	}
	return tensors
}
