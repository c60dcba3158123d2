package configs

// Drift says how what a model sees and says is compared with a reference, and
// who is told when it has changed. A version is compared if its artifact holds
// a reference profile; the others serve all the same, and the status says why
// they are not.
type Drift struct {
	// Sample bounds how many requests a second each gateway looks at; one row
	// of each is taken. Default 50.
	Sample float64 `json:"sample,omitempty"`
	// Window says how many samples of the whole fleet are judged at a time.
	Window DriftWindow `json:"window,omitzero"`
	// Compare are the references: "training" (the profile), "last_week" (the
	// same hours a week ago) and "control" (a rollout's canary with its stable
	// version at the same time). Default training and control.
	Compare []string `json:"compare,omitempty"`
	// FalseAlarmsPerMonth is how many alarms a month are accepted while nothing
	// has changed: of all features, comparisons and gateways together. Default
	// 1.
	FalseAlarmsPerMonth float64 `json:"false_alarms_per_month,omitempty"`
	// Effect is the least change that alarms, however sure it is: a population
	// stability index, over what chance alone gives in windows of these sizes.
	// Default 0.02; 0 alarms on whatever is proven.
	Effect *float64 `json:"effect,omitempty"`
	// Features are the features of the profile that are compared; default is
	// all of them.
	Features []string `json:"features,omitempty"`
	// Exclude are the features that are not compared; not beside Features.
	Exclude []string `json:"exclude,omitempty"`
	// Unit names the request header whose value tells callers apart, so that
	// many requests of one count for less. Default is the header of
	// traffic.sticky; without either every request counts for itself.
	Unit string `json:"unit,omitempty"`
	// Alarms says who is told, beside metrics, log and status.
	Alarms DriftAlarms `json:"alarms,omitzero"`
	// ExportBins exports the counts behind the scores as metrics, so that
	// Prometheus can compute the scores of a fleet.
	ExportBins bool `json:"export_bins,omitempty"`
}

// DriftWindow says when a window is full: at so many samples, or after so much
// time with at least a tenth of them. One with fewer is insufficient: only what is
// missing, unseen or out of range is judged then.
type DriftWindow struct {
	// Samples is how many samples of all gateways together fill a window.
	// Default 1000, at least 50.
	Samples int `json:"samples,omitempty"`
	// Time is the longest that a window lasts. Default 1h, at most 24h.
	Time Duration `json:"time,omitempty"`
}

// DriftAlarms says where an alarm goes.
type DriftAlarms struct {
	// Webhook is the address that is sent a CloudEvent when an alarm is raised
	// and when it is cleared. One that is not public, or not https, is refused
	// when it is sent to unless the process was started with leave for it.
	Webhook string `json:"webhook,omitempty"`
	// TokenFile holds the bearer token that goes with it.
	TokenFile string `json:"token_file,omitempty"`
}

// Values of Drift.Compare.
const (
	// CompareTraining compares with the profile in the version's artifact.
	CompareTraining = "training"
	// CompareLastWeek compares with the same hours a week ago.
	CompareLastWeek = "last_week"
	// CompareControl compares a rollout's canary with its stable version.
	CompareControl = "control"
)
