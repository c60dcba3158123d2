package gateway

import (
	"google.golang.org/protobuf/proto"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/gateway/oip/oippb"
	"github.com/segue-serving/segue/runtime"
)

// messageOf is the message that says what one of package oip's documents says.
func messageOf(document any) proto.Message {
	switch d := document.(type) {
	case oip.ServerLive:
		return &oippb.ServerLiveResponse{Live: d.Live}
	case oip.ServerReady:
		return &oippb.ServerReadyResponse{Ready: d.Ready}
	case oip.ModelReady:
		return &oippb.ModelReadyResponse{Ready: d.Ready}
	case notReady:
		if d.Name == "" {
			return &oippb.ServerReadyResponse{}
		}
		return &oippb.ModelReadyResponse{}
	case oip.ServerMetadata:
		return &oippb.ServerMetadataResponse{Name: d.Name, Version: d.Version, Extensions: d.Extensions}
	case oip.ModelMetadata:
		return &oippb.ModelMetadataResponse{Name: d.Name, Versions: d.Versions, Platform: d.Platform,
			Inputs: metadataTensors(d.Inputs), Outputs: metadataTensors(d.Outputs)}
	case oip.ModelConfig:
		return &oippb.ModelConfigResponse{Config: configOf(&d)}
	case oip.Statistics:
		return statisticsOf(&d)
	case []oip.RepositoryIndexEntry:
		index := &oippb.RepositoryIndexResponse{}
		for _, e := range d {
			index.Models = append(index.Models, &oippb.RepositoryIndexResponse_ModelIndex{Name: e.Name, Version: e.Version, State: e.State, Reason: e.Reason})
		}
		return index
	}
	panic("gateway: a document without a message")
}

func metadataTensors(specs []runtime.TensorSpec) (tensors []*oippb.ModelMetadataResponse_TensorMetadata) {
	for _, spec := range specs {
		tensors = append(tensors, &oippb.ModelMetadataResponse_TensorMetadata{Name: spec.Name, Datatype: spec.Type.String(), Shape: spec.Shape})
	}
	return tensors
}

func configOf(c *oip.ModelConfig) *oippb.ModelConfig {
	config := &oippb.ModelConfig{Name: c.Name, Platform: c.Platform, Backend: c.Backend, MaxBatchSize: int32(c.MaxBatchSize),
		VersionPolicy: &oippb.ModelVersionPolicy{PolicyChoice: &oippb.ModelVersionPolicy_All_{All: &oippb.ModelVersionPolicy_All{}}}}
	if s := c.VersionPolicy.Specific; s != nil {
		config.VersionPolicy.PolicyChoice = &oippb.ModelVersionPolicy_Specific_{Specific: &oippb.ModelVersionPolicy_Specific{Versions: s.Versions}}
	}
	for _, t := range c.Input {
		config.Input = append(config.Input, &oippb.ModelInput{Name: t.Name, DataType: oippb.DataType(oippb.DataType_value[t.DataType]), Dims: t.Dims})
	}
	for _, t := range c.Output {
		config.Output = append(config.Output, &oippb.ModelOutput{Name: t.Name, DataType: oippb.DataType(oippb.DataType_value[t.DataType]), Dims: t.Dims})
	}
	return config
}

func statisticsOf(s *oip.Statistics) *oippb.ModelStatisticsResponse {
	sum := func(d oip.Duration) *oippb.StatisticDuration {
		return &oippb.StatisticDuration{Count: d.Count, Ns: d.Nanoseconds}
	}
	answer := &oippb.ModelStatisticsResponse{}
	for _, m := range s.ModelStats {
		i := &m.InferenceStats
		stats := &oippb.ModelStatistics{Name: m.Name, Version: m.Version, LastInference: uint64(m.LastInference),
			InferenceCount: m.InferenceCount, ExecutionCount: m.ExecutionCount,
			InferenceStats: &oippb.InferStatistics{Success: sum(i.Success), Fail: sum(i.Fail), Queue: sum(i.Queue), ComputeInput: sum(i.ComputeInput),
				ComputeInfer: sum(i.ComputeInfer), ComputeOutput: sum(i.ComputeOutput), CacheHit: sum(i.CacheHit), CacheMiss: sum(i.CacheMiss)}}
		for _, b := range m.BatchStats {
			stats.BatchStats = append(stats.BatchStats, &oippb.InferBatchStatistics{BatchSize: b.BatchSize,
				ComputeInput: sum(b.ComputeInput), ComputeInfer: sum(b.ComputeInfer), ComputeOutput: sum(b.ComputeOutput)})
		}
		answer.ModelStats = append(answer.ModelStats, stats)
	}
	return answer
}
