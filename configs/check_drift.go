package configs

import (
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Bounds of what a document may ask of drift.
const (
	maxDriftSample  = 10_000
	minDriftSamples = 50
	maxDriftSamples = 1_000_000
	minDriftTime    = time.Second
	maxDriftTime    = 24 * time.Hour
	maxFalseAlarms  = 1000
	maxDriftEffect  = 10
	// MaxDriftFeatures bounds how many features a document may name.
	MaxDriftFeatures = 1000
	maxFeatureName   = 256
)

func checkDrift(d *Document, r *report) {
	const path = "drift"
	c := d.Drift
	if at := path + ".sample"; r.at[at] != nil && !r.spoilt(at) && (c.Sample <= 0 || c.Sample > maxDriftSample) {
		r.problem(at, "must be over 0 and at most %d a second, found %v: leave drift out to take none", maxDriftSample, c.Sample)
	}
	checkDriftWindow(c, r)
	checkCompare(d, r)
	if at := path + ".false_alarms_per_month"; r.at[at] != nil && !r.spoilt(at) && (c.FalseAlarmsPerMonth <= 0 || c.FalseAlarmsPerMonth > maxFalseAlarms) {
		r.problem(at, "must be over 0 and at most %d, found %v", maxFalseAlarms, c.FalseAlarmsPerMonth)
	}
	if at := path + ".effect"; c.Effect != nil && !r.spoilt(at) && (*c.Effect < 0 || *c.Effect > maxDriftEffect) {
		r.problem(at, "must be from 0 to %d, found %v", maxDriftEffect, *c.Effect)
	}
	checkFeatures(c.Features, path+".features", r)
	checkFeatures(c.Exclude, path+".exclude", r)
	if r.at[path+".features"] != nil && r.at[path+".exclude"] != nil && !r.spoilt(path+".features") && !r.spoilt(path+".exclude") {
		r.problem(path+".exclude", "stands beside features: name those that count, or those that do not")
	}
	if at := path + ".unit"; r.at[at] != nil && !r.spoilt(at) {
		if message := checkHeader(c.Unit); message != "" {
			r.problem(at, "%s", message)
		}
	}
	checkAlarms(c.Alarms, r)
}

func checkDriftWindow(c *Drift, r *report) {
	at := "drift.window.samples"
	if r.at[at] != nil && !r.spoilt(at) && (c.Window.Samples < minDriftSamples || c.Window.Samples > maxDriftSamples) {
		r.problem(at, "must be from %d to %d, found %d", minDriftSamples, maxDriftSamples, c.Window.Samples)
	}
	at = "drift.window.time"
	if r.at[at] != nil && !r.spoilt(at) && (c.Window.Time < Duration(minDriftTime) || c.Window.Time > Duration(maxDriftTime)) {
		r.problem(at, "must be from %s to %s, found %s", Duration(minDriftTime), Duration(maxDriftTime), c.Window.Time)
	}
	if r.spoilt("drift") {
		return
	}
	full := c.WithDefaults()
	if most := full.Sample * time.Duration(full.Window.Time).Seconds(); most < float64(full.Window.Least()) {
		r.warn("drift.window", "one gateway takes at most %.0f samples in %s, too few to judge: the least is %d", most, full.Window.Time, full.Window.Least())
	}
}

func checkCompare(d *Document, r *report) {
	const path = "drift.compare"
	if r.at[path] != nil && !r.spoilt(path) && len(d.Drift.Compare) == 0 {
		r.problem(path, "empty: name at least one reference, or leave it out")
	}
	first := map[string]int{}
	for i, name := range d.Drift.Compare {
		at := indexPath(path, i)
		oneOf(r, at, name, CompareTraining, CompareLastWeek, CompareControl)
		if !r.spoilt(at) {
			once(r, first, name, i, at, "the text of "+path)
		}
		if name == CompareControl && d.Rollout == nil && !r.spoilt("rollout") {
			r.warn(at, "has no effect without a rollout: there is no canary")
		}
	}
}

func checkFeatures(names []string, path string, r *report) {
	if r.at[path] != nil && !r.spoilt(path) && len(names) == 0 {
		r.problem(path, "empty: name at least one feature, or leave it out")
	}
	if len(names) > MaxDriftFeatures {
		r.problem(path, "are %d, the most is %d", len(names), MaxDriftFeatures)
	}
	first := map[string]int{}
	for i, name := range names {
		at := indexPath(path, i)
		switch {
		case r.spoilt(at):
		case strings.TrimSpace(name) == "" || len(name) > maxFeatureName:
			r.problem(at, "must have 1 to %d bytes", maxFeatureName)
		default:
			once(r, first, name, i, at, "the text of "+path)
		}
	}
}

func checkAlarms(a DriftAlarms, r *report) {
	const path = "drift.alarms"
	if at := path + ".webhook"; r.at[at] != nil && !r.spoilt(at) {
		if message := checkWebhook(a.Webhook); message != "" {
			r.problem(at, "%s", message)
		} else if strings.HasPrefix(strings.ToLower(a.Webhook), "http:") {
			r.warn(at, "is sent in the clear, and only to a host that gateways were started with leave for (--artifact-hosts)")
		}
	}
	if at := path + ".token_file"; r.at[at] != nil && !r.spoilt(at) {
		switch {
		case !filepath.IsAbs(a.TokenFile):
			r.problem(at, "%s is not an absolute path", quoteShort(a.TokenFile))
		case a.Webhook == "" && !r.spoilt(path):
			r.problem(at, "needs a webhook that it goes to")
		}
	}
}

// checkWebhook says what is wrong with an alarm's address. Where its name leads
// to is looked at each time it is dialled.
func checkWebhook(address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "":
		return quoteShort(address) + " is not an address: write it like https://alerts.example.com/hook"
	case u.Scheme != "https" && u.Scheme != "http":
		return "unknown scheme " + quoteShort(u.Scheme+":") + ": use https:"
	case u.User != nil:
		return "holds a password that every reader of the document sees: use token_file"
	case u.Fragment != "":
		return "ends in a fragment, which is not sent"
	}
	return ""
}
