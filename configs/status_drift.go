package configs

// DriftStatus says how a version is compared with its references.
type DriftStatus struct {
	// Off says why it is not; empty where it is.
	Off string `json:"off,omitempty"`
	// Notes are what the document asks for in vain.
	Notes []string `json:"notes,omitempty"`
	// Alarms are the references from which it has drifted, as the newest report
	// that the gateway has read says: training, last_week, control.
	Alarms []string `json:"alarms,omitempty"`
}
