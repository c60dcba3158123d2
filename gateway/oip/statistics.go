package oip

// Statistics answers GET /v2/models/{model}/stats in the shape of Triton's
// statistics extension.
type Statistics struct {
	ModelStats []ModelStatistics `json:"model_stats"`
}

// ModelStatistics counts what one version of a model did since it was loaded.
type ModelStatistics struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	// LastInference is in milliseconds since the epoch, 0 before the first.
	LastInference int64 `json:"last_inference"`
	// InferenceCount counts rows and ExecutionCount the runs that they shared.
	InferenceCount uint64              `json:"inference_count"`
	ExecutionCount uint64              `json:"execution_count"`
	InferenceStats InferenceStatistics `json:"inference_stats"`
	// BatchStats holds one entry for each size of batch that was run.
	BatchStats []BatchStatistics `json:"batch_stats"`
}

// InferenceStatistics counts requests and sums their times. Success covers a
// request from its arrival to its answer, Fail the same for failed ones, and
// the others the parts of successful ones; the caches are always zero.
type InferenceStatistics struct {
	Success       Duration `json:"success"`
	Fail          Duration `json:"fail"`
	Queue         Duration `json:"queue"`
	ComputeInput  Duration `json:"compute_input"`
	ComputeInfer  Duration `json:"compute_infer"`
	ComputeOutput Duration `json:"compute_output"`
	CacheHit      Duration `json:"cache_hit"`
	CacheMiss     Duration `json:"cache_miss"`
}

// BatchStatistics sums the times of runs of one batch size.
type BatchStatistics struct {
	BatchSize     uint64   `json:"batch_size"`
	ComputeInput  Duration `json:"compute_input"`
	ComputeInfer  Duration `json:"compute_infer"`
	ComputeOutput Duration `json:"compute_output"`
}

// Duration is a count of events and the sum of their times in nanoseconds.
type Duration struct {
	Count       uint64 `json:"count"`
	Nanoseconds uint64 `json:"ns"`
}

// NewStatistics lists the statistics of versions, with [] for what is empty.
func NewStatistics(versions ...ModelStatistics) Statistics {
	stats := Statistics{ModelStats: make([]ModelStatistics, 0, len(versions))}
	for _, version := range versions {
		if version.BatchStats == nil {
			version.BatchStats = []BatchStatistics{}
		}
		stats.ModelStats = append(stats.ModelStats, version)
	}
	return stats
}
