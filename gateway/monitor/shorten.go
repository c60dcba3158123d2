package monitor

import (
	"encoding/json"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/drift"
)

// shortenings are how many features of a judgement keep their histogram, and how
// many are kept at all, in the order in which they are tried until a report
// fits.
var shortenings = []struct{ histograms, features int }{{50, 512}, {20, 200}, {10, 100}, {0, 50}, {0, 10}}

// shorten makes a report small enough to be stored. Features that alarm and
// those that differ most come first in a judgement, so that the others go.
func shorten(r *configs.DriftReport) {
	for _, most := range shortenings {
		for i := range r.Comparisons {
			c := &r.Comparisons[i]
			c.Result, c.Day = shortened(c.Result, most.histograms, most.features), shortened(c.Day, 0, most.features)
		}
		if text, err := json.Marshal(r); err != nil || len(text) <= configs.MaxDriftBytes {
			return
		}
	}
}

func shortened(result json.RawMessage, histograms, features int) json.RawMessage {
	var r drift.Report
	if len(result) == 0 || json.Unmarshal(result, &r) != nil {
		return nil
	}
	r.Features = r.Features[:min(len(r.Features), features)]
	for i := min(histograms, len(r.Features)); i < len(r.Features); i++ {
		r.Features[i].Histogram = nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return result
	}
	return text
}
