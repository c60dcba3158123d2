package drift

import "time"

// Month is the time that FalseAlarmsPerMonth is about: a twelfth of 365.25
// days.
const Month = 730*time.Hour + 30*time.Minute

// Policy says how sure and how large a difference must be to alarm.
type Policy struct {
	// FalseAlarmsPerMonth is how many verdicts a month may alarm though nothing
	// has changed, over all features of one model and the whole fleet.
	FalseAlarmsPerMonth float64
	// Elapsed is the time since the verdict before, on the same comparison: a
	// verdict may spend that share of a month's false alarms. So the rate holds
	// however windows are closed, by number or time.
	Elapsed time.Duration
	// MinSamples is the least effective number of rows of a window.
	MinSamples int
	// MinPSI is the least population stability index that alarms, over what
	// would be expected of the same distribution in samples of these sizes.
	MinPSI float64
	// MinRate is the least change of the share of missing, unseen or
	// out-of-range rows that alarms.
	MinRate float64
	// Correlation is how alike rows of one unit are, from 0 (not at all) to 1
	// (all the same): the intraclass correlation. The design effect that follows
	// deflates the evidence of few units with many rows.
	Correlation float64
}

// DefaultPolicy is one false alarm a month in windows of an hour, and the worst
// about units.
func DefaultPolicy() Policy {
	return Policy{
		FalseAlarmsPerMonth: 1, Elapsed: time.Hour, MinSamples: 200,
		MinPSI: 0.02, MinRate: 0.005, Correlation: 1,
	}
}

// alpha is the probability of a false alarm that one verdict may spend.
func (p *Policy) alpha() float64 {
	return min(p.FalseAlarmsPerMonth*float64(p.Elapsed)/float64(Month), 0.5)
}
