package drift

// Report is a verdict on one window.
type Report struct {
	Model   string `json:"model,omitempty"`
	Version string `json:"version,omitempty"`
	// Alarm is true when any feature alarms.
	Alarm bool `json:"alarm"`
	// Insufficient is true when there were too few rows for any verdict; Needed
	// is about how many more it takes.
	Insufficient bool   `json:"insufficient"`
	Needed       uint64 `json:"needed,omitempty"`
	// Samples and ReferenceSamples are the rows of either side.
	Samples          uint64 `json:"samples"`
	ReferenceSamples uint64 `json:"reference_samples"`
	// Units sent the window's rows; Effective is how many rows without units they
	// are worth.
	Units     uint64  `json:"units"`
	Effective float64 `json:"effective_samples"`
	// Alpha is the probability of a false alarm that this verdict could spend.
	Alpha float64 `json:"alpha"`
	// Accuracy is what the confidences let expect, nil without a calibration or
	// with too few rows.
	Accuracy *Accuracy `json:"accuracy,omitempty"`
	// Features that alarm come first, then those that differ most surely.
	Features []FeatureReport `json:"features"`
}

// FeatureReport is the verdict on one feature.
type FeatureReport struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	Side Side   `json:"side"`
	// Position is the feature's in the profile.
	Position int `json:"position"`
	// Alarm is true when the distribution or a rate differs, surely and by enough.
	Alarm bool `json:"alarm"`
	// Causes say what alarms: "distribution", or a Rate.
	Causes []string `json:"causes,omitempty"`
	// Insufficient is true when the distribution could not be judged, and Needed
	// is about how many more rows that takes, 0 where the reference has too few.
	Insufficient bool   `json:"insufficient,omitempty"`
	Needed       uint64 `json:"needed,omitempty"`
	// Series is the one that differs most surely; the fields below are about it.
	Series string `json:"series"`
	// Statistic is that of the test for one distribution, by Cressie and Read;
	// over Critical it is significant.
	Statistic float64 `json:"statistic"`
	Critical  float64 `json:"critical"`
	// P is the feature's, Q is that after Benjamini and Hochberg.
	P float64 `json:"p"`
	Q float64 `json:"q"`
	// Effect is the population stability index over what it would be without a
	// change; over the policy's MinPSI it is large enough.
	Effect float64 `json:"effect"`
	Distances
	// Rates are the shares of rows that have no bin, on both sides.
	Rates []RateReport `json:"rates,omitempty"`
	// Direction is "up" or "down" where the order of bins tells, "spread" where
	// only the shape changed, "more" or "less" of Bin for categories; empty where
	// nothing was to be said.
	Direction string `json:"direction,omitempty"`
	// Bin is the label of the bin whose share changed most.
	Bin string `json:"bin,omitempty"`
	// Histogram is both sides' shares in the series' bins.
	Histogram []Bar `json:"histogram,omitempty"`
}

// Bar is one bin's share of the rows that have a bin, on both sides.
type Bar struct {
	Bin       string  `json:"bin"`
	Reference float64 `json:"reference"`
	Window    float64 `json:"window"`
}

// RateReport is one sequential test.
type RateReport struct {
	Rate      Rate    `json:"rate"`
	Series    string  `json:"series,omitempty"`
	Reference float64 `json:"reference"`
	Window    float64 `json:"window"`
	// Evidence alarms at 1.
	Evidence float64 `json:"evidence"`
	Alarm    bool    `json:"alarm,omitempty"`
}

// Accuracy is how many answers can be expected to be right, from how right the
// reference's answers of the same confidence were. It holds while confidences
// mean what they meant there, which a change of inputs alone may break.
type Accuracy struct {
	Reference float64 `json:"reference"`
	Expected  float64 `json:"expected"`
	// Error is the standard error of their difference.
	Error float64 `json:"standard_error"`
}
