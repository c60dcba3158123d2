package gateway

import (
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/gateway/monitor"
)

var (
	versionLabels = []string{"model", "version"}
	stageDescs    = [stageCount]*prometheus.Desc{
		stageRequest:   desc("segue_request_duration_seconds", "Time from the request's head to the end of its answer.", versionLabels),
		stageQueue:     desc("segue_queue_duration_seconds", "Time a decoded request waited for its run.", versionLabels),
		stageDecode:    desc("segue_decode_duration_seconds", "Time to decode a request's body.", versionLabels),
		stageInference: desc("segue_inference_duration_seconds", "Time of the run that answered.", versionLabels),
		stageEncode:    desc("segue_encode_duration_seconds", "Time to encode an answer's body.", versionLabels),
		stageBatch:     desc("segue_batch_size_rows", "Rows in the run that answered.", versionLabels),
	}
	requestsDesc          = desc("segue_requests_total", "Requests answered, by the version that answered.", []string{"model", "version", "variant", "protocol", "code"})
	attemptsDesc          = desc("segue_attempts_total", "Tries of a version, by how they ended.", []string{"model", "version", "outcome"})
	requestBytesDesc      = desc("segue_request_bytes_total", "Bytes of request bodies as they came in.", versionLabels)
	responseBytesDesc     = desc("segue_response_bytes_total", "Bytes of answers' bodies as they went out.", versionLabels)
	fallbacksDesc         = desc("segue_fallbacks_total", "Requests of a version that another one answered in its place.", []string{"model", "from_version", "reason"})
	breakerDesc           = desc("segue_breaker_state", "1 for the state that the version's breaker is in.", []string{"model", "version", "state"})
	feedbacksDesc         = desc("segue_feedbacks_total", "Pieces of feedback, by what became of them.", []string{"model", "kind", "outcome"})
	feedbackValueDesc     = desc("segue_feedback_value", "What feedback said of a version: 1 for a label that agreed and 0 for one that did not, rewards, metrics by name.", []string{"model", "version", "kind", "metric"})
	feedbackMeanDesc      = desc("segue_feedback_mean", "What feedback said of a version on average: its accuracy by labels, or its mean reward.", []string{"model", "version", "kind"})
	feedbackMeanLowerDesc = desc("segue_feedback_mean_lower", "Lower end of the interval that has held the true mean at all times so far, with a probability of 95 %.", []string{"model", "version", "kind"})
	feedbackMeanUpperDesc = desc("segue_feedback_mean_upper", "Upper end of the interval that has held the true mean at all times so far, with a probability of 95 %.", []string{"model", "version", "kind"})
	shadowsDesc           = desc("segue_shadow_requests_total", "Copies of requests for a version, by what became of them.", []string{"model", "version", "outcome"})
	disagreementsDesc     = desc("segue_shadow_disagreements_total", "Copies that the version answered otherwise than what the client was answered.", versionLabels)
	shadowLabelsDesc      = desc("segue_shadow_labels_total", "Rows of copies with a class in both answers.", versionLabels)
	shadowFlipsDesc       = desc("segue_shadow_label_flips_total", "Rows of copies with another class than in the answer.", versionLabels)
	shadowDifferenceDesc  = desc("segue_shadow_difference", "Mean absolute difference of the numbers in a copy's answer.", versionLabels)
	shadowLargestDesc     = desc("segue_shadow_difference_max", "Largest finite difference of a number in any copy's answer.", versionLabels)
	shedDesc              = desc("segue_requests_shed_total", "Requests refused without a try.", []string{"reason"})
	deniedDesc            = desc("segue_auth_failures_total", "Requests refused for want of a key or a permission.", []string{"reason"})
	readyDesc             = desc("segue_ready", "1 while the gateway says that it is ready.", nil)
	inFlightDesc          = desc("segue_in_flight_requests", "Requests being answered.", nil)
	inFlightLimitDesc     = desc("segue_in_flight_limit_requests", "Requests that may be answered at once.", nil)
	queueDesc             = desc("segue_queue_length_requests", "Requests waiting for a run.", versionLabels)
	queueLimitDesc        = desc("segue_queue_limit_requests", "Requests that may wait for a run.", versionLabels)
	workersDesc           = desc("segue_workers", "Workers that run models.", nil)
	workersBusyDesc       = desc("segue_workers_busy", "Workers that are running a model.", nil)
	connectedDesc         = desc("segue_config_source_connected", "1 while the configuration's source can be read.", nil)
	contactDesc           = desc("segue_config_last_contact_timestamp_seconds", "Unix time of the last successful read of the source.", nil)
)

func desc(name, help string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe sends the descriptions of what Collect exports.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range stageDescs {
		to <- d
	}
	monitor.Describe(to)
	for _, d := range []*prometheus.Desc{requestsDesc, attemptsDesc, fallbacksDesc, breakerDesc, shadowsDesc, disagreementsDesc, shadowLabelsDesc, shadowFlipsDesc, shadowDifferenceDesc, shadowLargestDesc, feedbacksDesc, feedbackValueDesc, feedbackMeanDesc, feedbackMeanLowerDesc, feedbackMeanUpperDesc, requestBytesDesc, responseBytesDesc, shedDesc, deniedDesc, readyDesc,
		inFlightDesc, inFlightLimitDesc, queueDesc, queueLimitDesc, workersDesc, workersBusyDesc, connectedDesc, contactDesc} {
		to <- d
	}
}

// Collect adds the counters of all stripes up and exports them.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, value uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	m.mu.RLock()
	counters, handles := slices.Collect(maps.Values(m.counters)), slices.Collect(maps.Values(m.handles))
	m.mu.RUnlock()
	for _, v := range handles {
		for p, protocolName := range protocolNames {
			for i, code := range statusCodes {
				if n := v.requestTotal(protocol(p), i); n > 0 || code == http.StatusOK && v.version != "" {
					counter(requestsDesc, n, v.model, v.version, v.variant, protocolName, strconv.Itoa(code))
				}
			}
		}
	}
	for _, v := range counters {
		t := v.total()
		counter(requestBytesDesc, t.bytesIn, v.model, v.version)
		counter(responseBytesDesc, t.bytesOut, v.model, v.version)
		if v.version == "" {
			continue // refused before a version was chosen: nothing was tried
		}
		for o, name := range outcomeNames {
			counter(attemptsDesc, t.attempts[o], v.model, v.version, name)
		}
		v.shadow.collect(to, v.model, v.version)
		for why, name := range fallbackReasonNames {
			if n := v.fallbacks[why].Load(); n > 0 {
				counter(fallbacksDesc, n, v.model, v.version, name)
			}
		}
		for st := range stageDescs {
			one := t.stages[st].metric(stage(st), v.model, v.version)
			if v.native != nil {
				one = v.nativeMetric(stage(st), one, float64(t.stages[st].sum)/stage(st).scale())
			}
			to <- one
		}
	}
	m.collectFeedback(to)
	for i, reason := range denialReasons {
		counter(deniedDesc, m.denied[i].Load(), reason)
	}
	for i, reason := range shedReasonNames {
		counter(shedDesc, m.shed[i].Load(), reason)
	}
	if state := m.serving.Load(); state != nil {
		s := (*state)()
		gauge(readyDesc, oneIf(s.ready))
		gauge(inFlightDesc, float64(s.inFlight))
		gauge(inFlightLimitDesc, float64(s.inFlightLimit))
		gauge(workersDesc, float64(s.workers))
		gauge(workersBusyDesc, float64(s.busy))
		for _, q := range s.queues {
			gauge(queueDesc, float64(q.length), q.model, q.version)
			gauge(queueLimitDesc, float64(q.limit), q.model, q.version)
		}
		for _, b := range s.breakers {
			for state, name := range breakerStateNames {
				gauge(breakerDesc, oneIf(breakerState(state) == b.state), b.model, b.version, name)
			}
		}
	}
	if d := m.drift.Load(); d != nil {
		d.Collect(to)
	}
	if state := m.source.Load(); state != nil {
		s := (*state)()
		gauge(connectedDesc, oneIf(s.Connected))
		gauge(contactDesc, float64(s.LastContactUnixNano)/1e9)
	}
}
