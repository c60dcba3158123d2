package configs

// QualityStatus is what feedback says of one version: how often labels agreed
// with what it predicted (Kind FeedbackLabel, a mean of 0 and 1: its accuracy),
// or the rewards that its predictions earned (Kind FeedbackReward).
type QualityStatus struct {
	Kind string `json:"kind"`
	// N is how many pieces of feedback there were, Sum their sum and Mean their
	// mean.
	N    uint64  `json:"n"`
	Sum  float64 `json:"sum"`
	Mean float64 `json:"mean"`
	// Spread is the sum of the squared differences of each from what was
	// expected before it. With N and Sum, those of several gateways add up.
	Spread float64 `json:"spread"`
	// Interval has held the true mean at all times together, with a probability
	// of 95 %; nil where some reward was not between 0 and 1, of which no such
	// interval is known.
	Interval *Interval `json:"interval,omitempty"`
}

// Interval is a range of numbers, both ends being part of it.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}
