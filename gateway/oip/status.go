package oip

// RepositoryIndexEntry is one element of the list that answers
// POST /v2/repository/index.
type RepositoryIndexEntry struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// State is READY, UNAVAILABLE, LOADING or UNLOADING.
	State  string `json:"state"`
	Reason string `json:"reason"`
}

// The states of Triton's repository index.
const (
	IndexReady       = "READY"
	IndexUnavailable = "UNAVAILABLE"
	IndexLoading     = "LOADING"
	IndexUnloading   = "UNLOADING"
)

// RepositoryIndexRequest is the optional body of POST /v2/repository/index.
type RepositoryIndexRequest struct {
	// Ready asks for ready versions only.
	Ready bool `json:"ready"`
}

// ModelStatus answers GET /v1/models/{model} in KServe's form (name, ready)
// and TensorFlow Serving's (model_version_status) at once.
type ModelStatus struct {
	Name               string          `json:"name"`
	Ready              bool            `json:"ready"`
	ModelVersionStatus []VersionStatus `json:"model_version_status"`
}

// VersionStatus is the state of one version in TensorFlow Serving's words.
type VersionStatus struct {
	Version string `json:"version"`
	// State is one of the V1 states.
	State  string         `json:"state"`
	Status VersionOutcome `json:"status"`
}

// VersionOutcome says why a version is in its state.
type VersionOutcome struct {
	// ErrorCode is OK, or the name of a gRPC code.
	ErrorCode    string `json:"error_code"`
	ErrorMessage string `json:"error_message"`
}

// The states of TensorFlow Serving's versions.
const (
	V1Start     = "START"
	V1Loading   = "LOADING"
	V1Available = "AVAILABLE"
	V1Unloading = "UNLOADING"
	V1End       = "END"
)

// ModelList answers GET /v1/models.
type ModelList struct {
	Models []string `json:"models"`
}

// NewModelStatus describes a model and its versions, with [] for none.
func NewModelStatus(name string, ready bool, versions ...VersionStatus) ModelStatus {
	return ModelStatus{Name: name, Ready: ready, ModelVersionStatus: append([]VersionStatus{}, versions...)}
}
