package gateway

import (
	"sync/atomic"
	"time"

	"github.com/segue-serving/segue/gateway/oip"
)

// protocol is how a request came in.
type protocol uint8

const (
	protocolHTTP protocol = iota
	protocolGRPC
	protocolCount
)

var protocolNames = [protocolCount]string{"http", "grpc"}

// statusCodes are the codes that a request is counted under; any other counts
// as 500, which is what an answer without a place in this list would be.
var statusCodes = [...]int{200, 202, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 429, 431, 499, 500, 501, 503, 504}

func statusIndex(code int) int {
	for i, known := range statusCodes {
		if known == code {
			return i
		}
	}
	return statusIndex(500)
}

// outcome is how one try of one version ended.
type outcome uint8

const (
	outcomeOK outcome = iota
	outcomeClientError
	outcomeModelError
	outcomeNonFinite
	outcomeTimeout
	outcomeShed
	outcomeCancelled
	outcomeBreakerOpen
	outcomeCount
)

var outcomeNames = [outcomeCount]string{"ok", "client_error", "model_error", "nonfinite", "timeout", "shed", "cancelled", "breaker_open"}

// stage is a part of a request that is measured by itself.
type stage uint8

const (
	stageRequest stage = iota
	stageQueue
	stageDecode
	stageInference
	stageEncode
	stageBatch // measured in rows, all others in nanoseconds
	stageCount
)

// Upper bounds of the buckets. Two lists serve all durations: what is short
// has finer ones and none above a second.
var (
	longBounds = []int64{25e3, 50e3, 100e3, 250e3, 500e3, 1e6, 2500e3, 5e6, 10e6, 25e6, 50e6, 100e6, 250e6, 500e6,
		1e9, 2500e6, 10e9}
	shortBounds = []int64{1e3, 2500, 5e3, 10e3, 25e3, 50e3, 100e3, 250e3, 500e3, 1e6, 2500e3, 5e6, 10e6, 25e6, 50e6,
		100e6, 250e6, 500e6, 1e9}
	rowBounds   = []int64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}
	stageBounds = [stageCount][]int64{stageRequest: longBounds, stageQueue: shortBounds, stageDecode: shortBounds,
		stageInference: longBounds, stageEncode: shortBounds, stageBatch: rowBounds}
)

const maxBuckets = 20 // one more than the longest list of bounds

// stripeCount is how many copies of every counter there are. Eight writers on
// one cache line cost twenty times what they cost on eight.
const stripeCount = 8

// histogram counts observations by bucket, the last one for all above.
type histogram struct {
	buckets [maxBuckets]atomic.Uint64
	sum     atomic.Int64
}

func (h *histogram) observe(bounds []int64, value int64) {
	i := 0
	for i < len(bounds) && value > bounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(value)
}

// stripe is one copy of the counters of a version.
type stripe struct {
	stages                  [stageCount]histogram
	attempts                [outcomeCount]atomic.Uint64
	bytesIn, bytesOut       atomic.Uint64
	succeeded, failed       atomic.Uint64
	succeededNS, failedNS   atomic.Int64
	lastInferenceUnixMillis atomic.Int64
	_                       [64]byte // keeps stripes on lines of their own
}

// versionCounters count what one version of a model did.
type versionCounters struct {
	model, version string
	stripes        [stripeCount]stripe
	// native are the native histograms since created, nil unless asked for.
	native    []nativeCounters
	created   time.Time
	fallbacks [fallbackReasonCount]atomic.Uint64
	shadow    shadowCounts
}

// versionMetrics are the handles of one version in one variant, resolved once
// and kept in the table. Variants of one version share its counters, but for
// the requests, which are labelled with the variant.
type versionMetrics struct {
	*versionCounters
	variant  string
	requests [stripeCount]requestCounts
}

type requestCounts struct {
	codes [protocolCount][len(statusCodes)]atomic.Uint64
	_     [64]byte
}

// answered counts one request that was answered, with the bytes of its body
// and of the answer's.
func (v *versionMetrics) answered(at uint8, p protocol, code int, bytesIn, bytesOut int) {
	at %= stripeCount
	v.requests[at].codes[p][statusIndex(code)].Add(1)
	s := &v.stripes[at]
	s.bytesIn.Add(uint64(bytesIn))
	s.bytesOut.Add(uint64(bytesOut))
}

// observe measures one stage of a request, in nanoseconds or rows.
func (v *versionCounters) observe(at uint8, st stage, value int64) {
	if v.native != nil { // counted first: see bothForms
		v.native[at%stripeCount].stages[st].observe(st, value)
	}
	v.stripes[at%stripeCount].stages[st].observe(stageBounds[st], value)
}

// attempted counts the end of one try and, beside its outcome, what the
// statistics of the inference protocol want to know: whether it was answered,
// and how long it took until now.
func (v *versionCounters) attempted(at uint8, o outcome, answered bool, took time.Duration, now time.Time) {
	s := &v.stripes[at%stripeCount]
	s.attempts[o].Add(1)
	if !answered {
		s.failed.Add(1)
		s.failedNS.Add(int64(took))
		return
	}
	s.succeeded.Add(1)
	s.succeededNS.Add(int64(took))
	s.lastInferenceUnixMillis.Store(now.UnixMilli())
}

// attemptRefused counts a try that the version's breaker did not let through.
func (v *versionCounters) attemptRefused(at uint8) {
	v.stripes[at%stripeCount].attempts[outcomeBreakerOpen].Add(1)
}

// tried counts the end of a try that answered nobody.
func (v *versionCounters) tried(o outcome) { v.stripes[0].attempts[o].Add(1) }

// fellBack counts a request of this version that another one answered.
func (v *versionCounters) fellBack(why fallbackReason) { v.fallbacks[why].Add(1) }

// total is the sum of a version's counters over all stripes.
type total struct {
	stages                [stageCount]histogramTotal
	attempts              [outcomeCount]uint64
	bytesIn, bytesOut     uint64
	succeeded, failed     uint64
	succeededNS, failedNS int64
	lastInferenceMillis   int64
}

type histogramTotal struct {
	buckets [maxBuckets]uint64
	count   uint64
	sum     int64
}

func (v *versionCounters) total() *total {
	t := &total{}
	for i := range v.stripes {
		s := &v.stripes[i]
		for st := range s.stages {
			h, sum := &s.stages[st], &t.stages[st]
			for b := range h.buckets {
				n := h.buckets[b].Load()
				sum.buckets[b] += n
				sum.count += n
			}
			sum.sum += h.sum.Load()
		}
		for o := range s.attempts {
			t.attempts[o] += s.attempts[o].Load()
		}
		t.bytesIn += s.bytesIn.Load()
		t.bytesOut += s.bytesOut.Load()
		t.succeeded += s.succeeded.Load()
		t.failed += s.failed.Load()
		t.succeededNS += s.succeededNS.Load()
		t.failedNS += s.failedNS.Load()
		t.lastInferenceMillis = max(t.lastInferenceMillis, s.lastInferenceUnixMillis.Load())
	}
	return t
}

func (v *versionMetrics) requestTotal(p protocol, code int) uint64 {
	n := uint64(0)
	for i := range v.requests {
		n += v.requests[i].codes[p][code].Load()
	}
	return n
}

// statistics are the counters in the words of the inference protocol.
func (v *versionCounters) statistics() oip.ModelStatistics {
	t := v.total()
	sum := func(st stage) oip.Duration {
		return oip.Duration{Count: t.stages[st].count, Nanoseconds: uint64(t.stages[st].sum)}
	}
	return oip.ModelStatistics{
		Name: v.model, Version: v.version, LastInference: t.lastInferenceMillis,
		InferenceCount: uint64(t.stages[stageBatch].sum), ExecutionCount: t.stages[stageBatch].count,
		InferenceStats: oip.InferenceStatistics{
			Success: oip.Duration{Count: t.succeeded, Nanoseconds: uint64(t.succeededNS)},
			Fail:    oip.Duration{Count: t.failed, Nanoseconds: uint64(t.failedNS)},
			Queue:   sum(stageQueue), ComputeInput: sum(stageDecode), ComputeInfer: sum(stageInference), ComputeOutput: sum(stageEncode),
		},
	}
}
