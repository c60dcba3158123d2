package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
)

// statusClientGone is what a request counts as whose client did not wait for
// the answer. Nobody is sent it.
const statusClientGone = 499

// exchange is a protocol's side of a call: where the request's fields and body
// come from, and where the answer goes. What it returns is valid until the call
// has ended.
type exchange interface {
	// field returns the first value of a field of the request's head, nil
	// without one.
	field(name string) []byte
	// setField and setFieldBytes put a field into the answer's head.
	setField(name, value string)
	setFieldBytes(name string, value []byte)
	// readable reports whether the body's form is one that can be read, and
	// receive whether the body is there; otherwise the answer is given.
	readable() bool
	receive() bool
	// content is the body that receive got, decompressed. Only what comes as
	// JSON has one.
	content() []byte
	// readDocument reads a small document, which may be left out, and reports
	// whether it could; otherwise the answer is given.
	readDocument(to any) bool
	// decode reads the inputs of a prediction, encode answers one.
	decode(v *versionRoute) (*oip.InferRequest, error)
	encode(v *versionRoute, request *oip.InferRequest, outputs []runtime.Tensor) error
	// answerDocument answers with one of package oip's documents, refuse with
	// an error.
	answerDocument(status int, document any)
	refuse(status int, message string)
}

// call is one request being answered, whatever the protocol. Calls are reused,
// so that a request in steady state allocates nothing.
type call struct {
	server *DataServer
	wire   exchange
	// stripe says which copy of the counters this call writes to.
	stripe uint8
	// context ends when the client is known to be gone.
	context context.Context
	route   route
	table   *table
	key     *accessKey
	// rated is set once the prediction was taken from the key's rate.
	rated bool
	// started is when the request was read, ended when its answer was ready.
	started, ended time.Time
	// took is how long a version took to answer, 0 where none has.
	took time.Duration
	// named is the model that the request names, where there is one.
	named *modelRoute
	// admitted is the version that the request was let in for before its body
	// was asked for, nil where nobody waited to be asked.
	admitted *versionRoute
	// counted is what the request is counted under, status with which code.
	// It is nil until a version was chosen.
	counted *versionMetrics
	status  int
	bytesIn int

	scratch []byte // one field's value
	// model is the one that answers, run its run.
	model *modelRoute
	run   batch.Call
	// assigned is the arm that the request was drawn into, class what the first
	// row was predicted to be, alone how long the run took where the request had
	// it for itself: runs of different size say nothing about versions. instead
	// is set while another version answers in the place of the one that was
	// drawn.
	assigned assignment
	class    class
	alone    time.Duration
	instead  bool
	// tester is set where a tester chose the version.
	tester bool
	// hurried is set where a run was not given the time that it takes.
	hurried bool
	// probe is the version that was drawn and is to be tried by a copy, nil
	// where none is.
	probe *versionRoute
	infer oip.InferRequest
	// runner is what runs the version that was chosen. tensors is the memory of
	// inputs that it has no place for.
	runner  *batch.Instance
	tensors []*runtime.Memory
}

// begin takes the table in force and names the request, which was read at a
// time.
func (c *call) begin(at time.Time) {
	c.table, c.started, c.counted, c.status = c.server.router.load(), at, nil, http.StatusOK
	c.scratch = append(c.scratch[:0], c.wire.field("X-Request-Id")...)
	if !saneRequestID(c.scratch) {
		c.scratch = c.server.requests.append(c.scratch[:0])
	}
	c.wire.setFieldBytes("X-Request-Id", c.scratch)
}

// admit passes the gate and reports whether the caller may go on; otherwise the
// answer is given.
func (c *call) admit() bool {
	var authorization []byte
	if !c.table.access.open {
		authorization = c.wire.field("Authorization")
	}
	key, denied := c.table.access.admit(endpoints[c.route.endpoint].group, c.route.model, authorization)
	if denied != nil {
		c.server.metrics.deny(denied.reason)
		if denied.challenge != "" {
			c.wire.setField("WWW-Authenticate", denied.challenge)
		}
		c.fail(denied.status, denied.message)
		return false
	}
	c.key = key
	return true
}

// count counts the request, once, with the size of its answer.
func (c *call) count(p protocol, bytesOut int) {
	took := c.tookUntilNow()
	c.ended = c.started.Add(took)
	switch {
	case c.counted != nil:
	case c.named != nil:
		c.counted = c.server.metrics.version(c.named.name, "", "")
	default:
		c.counted = c.server.metrics.unknown
	}
	c.counted.answered(c.stripe, p, c.status, c.bytesIn, bytesOut)
	if c.counted.version != "" {
		c.counted.observe(c.stripe, stageRequest, int64(took))
	}
}

// elapsed is how long the request has taken until now. It reads one of the two
// clocks that time.Now reads: clocks are a tenth of what a short request costs.
func (c *call) elapsed() time.Duration { return time.Since(c.started) }

// tookUntilNow is took where the answer is there: what follows is next to
// nothing, and a look at the clock the greater part of it.
func (c *call) tookUntilNow() time.Duration {
	if c.took > 0 {
		return c.took
	}
	return c.elapsed()
}

// forget lets go of all that belongs to one request. The inputs' memory is gone
// by then: it is given back as soon as the model has run.
func (c *call) forget() {
	if c.bytesIn > keptBytes {
		// What a large body was decoded into grew with it.
		c.infer = oip.InferRequest{}
	}
	c.infer.Reset()
	c.run.Reset()
	c.runner, c.took = nil, 0
	c.assigned, c.class, c.alone, c.instead, c.tester, c.hurried, c.probe = assignment{}, 0, 0, false, false, false, nil
	c.route.model, c.route.version = nil, nil
	c.table, c.key, c.rated, c.model, c.named, c.admitted, c.counted, c.bytesIn = nil, nil, false, nil, nil, nil, nil, 0
}

// fail answers with an error. The message must be fit for the client's eyes.
func (c *call) fail(status int, message string) {
	c.status = status
	c.wire.refuse(status, message)
}

// unavailable is fail for what may work after a second.
func (c *call) unavailable(status int, message string) {
	c.wire.setField("Retry-After", "1")
	c.fail(status, message)
}

// document answers with a document that is small and rarely asked for.
func (c *call) document(status int, document any) {
	c.status = status
	c.wire.answerDocument(status, document)
}

// failWith answers an error that came up before a model was run.
func (c *call) failWith(err error) {
	var refusal *oip.Error
	if errors.As(err, &refusal) {
		c.fail(refusal.Status, refusal.Message)
		return
	}
	c.server.log("request not read", "error", err)
	c.unavailable(http.StatusServiceUnavailable, "the gateway is short of memory")
}

// answer calls what answers the route.
func (c *call) answer() {
	switch c.route.endpoint {
	case endpointInfer, endpointV1Predict:
		c.answerPrediction()
	case endpointServer:
		c.document(http.StatusOK, oip.NewServerMetadata(c.server.opts.Version))
	case endpointLive:
		c.document(http.StatusOK, oip.ServerLive{Live: true})
	case endpointReady:
		c.answerReady()
	case endpointAllStats:
		c.answerAllStats()
	case endpointModel:
		c.answerModel()
	case endpointModelReady:
		c.answerModelReady()
	case endpointModelConfig:
		c.answerModelConfig()
	case endpointModelStats:
		c.answerModelStats()
	case endpointFeedback:
		c.answerFeedback()
	case endpointIndex:
		c.answerIndex()
	case endpointLoad, endpointUnload:
		c.fail(http.StatusForbidden, "models are not loaded or unloaded by request: they follow the configuration, which lives in "+c.server.opts.ConfiguredIn)
	case endpointV1List:
		c.answerV1List()
	case endpointV1Status:
		c.answerV1Status()
	default:
		panic("gateway: a route without an answer")
	}
}

// Input gives the memory that an input is decoded into.
func (c *call) Input(index int, shape []int64, size int) ([]byte, error) {
	if slot := c.runner.Slot(&c.run, index, shape); slot != nil {
		return slot, nil
	}
	block, err := c.server.opts.Pool.Get(size)
	if err != nil {
		return nil, err
	}
	c.tensors = append(c.tensors, block)
	return block.Bytes(), nil
}

// releaseTensors gives the inputs' memory back.
func (c *call) releaseTensors() {
	for i, block := range c.tensors {
		block.Release()
		c.tensors[i] = nil
	}
	c.tensors = c.tensors[:0]
	c.run.Done()
}
