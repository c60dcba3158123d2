package oip

import (
	"bytes"
	"encoding/json"
	"testing"
)

// TestDocuments freezes the JSON of every document that clients read.
func TestDocuments(t *testing.T) {
	batching := signature(t, "x FP32 [-1,1,28]", "t BYTES [-1]", "->", "y INT64 [-1]")
	fixed := signature(t, "s FP16 []", "->", "y BOOL [2]")
	documents := []struct {
		Name     string
		Document any
	}{
		{"server metadata", NewServerMetadata("1.2.3")},
		{"live", ServerLive{Live: true}},
		{"ready", ServerReady{}},
		{"model ready", ModelReady{Name: "m", Ready: true}},
		{"model metadata", NewModelMetadata("m", []string{"1", "2"}, "onnxruntime_onnx", batching)},
		{"model metadata of a scalar, no versions", NewModelMetadata("m", nil, "onnxruntime_onnx", fixed)},
		{"model config", NewModelConfig("m", "onnxruntime_onnx", "onnxruntime", []string{"1", "12"}, 8, batching)},
		{"model config without batches", NewModelConfig("m", "onnxruntime_onnx", "onnxruntime", []string{"1.10"}, 8, fixed)},
		{"statistics", NewStatistics(
			ModelStatistics{Name: "m", Version: "1", LastInference: 5, InferenceCount: 4, ExecutionCount: 2,
				InferenceStats: InferenceStatistics{Success: Duration{Count: 2, Nanoseconds: 70}},
				BatchStats:     []BatchStatistics{{BatchSize: 2, ComputeInfer: Duration{Count: 2, Nanoseconds: 60}}}},
			ModelStatistics{Name: "m", Version: "2"})},
		{"no statistics", NewStatistics()},
		{"repository index", []RepositoryIndexEntry{{Name: "m", Version: "1", State: IndexReady}, {Name: "n", State: IndexUnavailable, Reason: "no version is wanted"}}},
		{"model status", NewModelStatus("m", true, VersionStatus{Version: "1", State: V1Available, Status: VersionOutcome{ErrorCode: "OK"}})},
		{"model status without versions", NewModelStatus("m", false)},
		{"model list", ModelList{Models: []string{"m"}}},
		{"error", ErrorDocument{Error: "what was wrong"}},
	}
	var got bytes.Buffer
	for _, d := range documents {
		text, err := json.MarshalIndent(d.Document, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(d.Name + ": " + string(text) + "\n")
	}
	golden(t, "testdata/documents.golden", got.String())
}
