package gateway

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/segue-serving/segue/gateway/monitor"
	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/gateway/rollout"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/runtime/batch"
)

// table is the routing state in force. It is immutable: a request loads it
// once and sees one configuration from beginning to end.
type table struct {
	// models are the configured models by name, also those that have never
	// served.
	models map[string]*modelRoute
	// access decides who may do what.
	access *access
	// ids makes and reads prediction ids with the key that settings name; nil
	// where they name none.
	ids *idMaker
	// maxBody bounds a request's body in bytes, maxInFlight the requests
	// answered at once.
	maxBody     int64
	maxInFlight int64
	// ready reports that the first full configuration was tried and that what
	// settings require serves; why says what is missing where it is false.
	ready bool
	why   string
}

// modelRoute is one model in force.
type modelRoute struct {
	name string
	// index is the value of Segue-Config-Index, already printed.
	index string
	// versions are all versions of the document in force, by name, in
	// whatever state they are.
	versions map[string]*versionRoute
	// order lists the versions' names as people order them.
	order []string
	// split chooses among ready versions; nil while the model has never
	// served.
	split *rollout.Split
	// latest is the version that metadata shows when none is named: the one
	// with the largest share.
	latest *versionRoute
	// fallback is the version that all others fall back to, under the variant
	// fallback; nil where there is none.
	fallback *versionRoute
	// stickyHeader is empty where the split is random.
	stickyHeader   string
	stickyRequired bool
	// testersHeader is empty where nobody may choose; testers are the versions
	// by what can be asked for in it.
	testersHeader string
	testers       map[string]*versionRoute
	// shadows are the versions that get copies of requests.
	shadows []*shadowRoute
	// unitHeader tells the callers apart whose requests drift counts; empty where
	// each counts for itself.
	unitHeader string
	// rollout is nil unless a canary has a part of the traffic that counts.
	rollout *rolloutRoute
	// expires is how old a prediction may be that feedback is about.
	expires   time.Duration
	nonFinite oip.NonFinite
	timeout   time.Duration
	// queueTime is the longest wait for a run, 0 for the usual one.
	queueTime time.Duration
	// limiter is nil where no rate is set. It outlives tables while the rate
	// stays the same.
	limiter *rate.Limiter
	// reason says, in words for the caller, why the model does not serve
	// where split is nil.
	reason string
}

// versionRoute is one version of a model in force.
type versionRoute struct {
	model, version string
	// variant is the version's role or name in the split.
	variant string
	// names are the three in a prediction id.
	names idNames
	// resident is nil unless the version is Ready.
	resident *loader.Resident
	runner   *batch.Instance
	// ask brings a version back that was unloaded because it was idle, nil for
	// any other.
	ask func()
	// state and reason say where the version stands, for answers 503.
	state  loader.State
	reason string
	limits oip.Limits
	// maxBatch is the largest first dimension, for metadata.
	maxBatch int
	metrics  *versionMetrics
	// refused reports that the version was taken back by a rollout; then its
	// resident is nil.
	refused bool
	// breaker keeps requests away while the version is broken. It outlives
	// tables for as long as the resident does.
	breaker *breaker
	// class is where the version's answers hold what it predicted.
	class classOutput
	// watched takes samples of what the version sees and says; nil where nobody
	// asked for that.
	watched *monitor.Target
}

// router publishes the table in force to the data path.
type router struct{ current atomic.Pointer[table] }

func newRouter() *router {
	r := &router{}
	r.current.Store(&table{models: map[string]*modelRoute{}, access: openAccess(), maxBody: defaultMaxBody,
		maxInFlight: defaultMaxInFlight, why: "the first configuration has not been read yet"})
	return r
}

// load returns the table in force.
func (r *router) load() *table { return r.current.Load() }

// publish puts a table into force with one store.
func (r *router) publish(t *table) { r.current.Store(t) }
