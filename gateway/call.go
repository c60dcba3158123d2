package gateway

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
)

const (
	// keptBytes is the largest buffer that a call keeps for the next request;
	// larger ones come from the pool of tensor memory or are left to the
	// garbage collector.
	keptBytes = 1 << 20
	// drainBytes is the largest rest of an unread body that is read to keep
	// the connection; behind more the connection is closed.
	drainBytes = 64 << 10
)

// call is one request being answered, with all the memory that takes. Calls
// are reused, so that a request in steady state allocates nothing.
type call struct {
	server *DataServer
	// stripe says which copy of the counters this call writes to.
	stripe  uint8
	ctx     *fasthttp.RequestCtx
	conn    *conn
	route   route
	table   *table
	key     *accessKey
	started time.Time
	// counted is what the request is counted under.
	counted *versionMetrics
	bytesIn int

	body    body
	out     []byte // the answer's body
	packed  []byte // the same, compressed
	scratch []byte // one header's value
	// model is the one that answers, run its run.
	model     *modelRoute
	run       batch.Call
	infer     oip.InferRequest
	predict   oip.PredictRequest
	inferred  oip.InferResponse
	predicted oip.PredictResponse
	// tensors is the memory of the inputs.
	tensors []*runtime.Memory
}

func (c *call) begin(ctx *fasthttp.RequestCtx) {
	c.ctx, c.table, c.started, c.counted = ctx, c.server.router.load(), time.Now(), c.server.metrics.unknown
	c.conn = ctx.Conn().(*conn) // what Serve's listeners accept
	c.conn.current = c
	c.scratch = append(c.scratch[:0], ctx.Request.Header.Peek("X-Request-Id")...)
	if !saneRequestID(c.scratch) {
		c.scratch = c.server.requests.append(c.scratch[:0])
	}
	ctx.Response.Header.SetBytesV("X-Request-Id", c.scratch)
}

// end counts the request and sees that the connection is where the next one
// can begin. The answer is written after it, from memory of the call, which is
// therefore only released when the connection is idle again.
func (c *call) end() {
	ctx := c.ctx
	if !c.body.drain(ctx, drainBytes) {
		ctx.SetConnectionClose()
		c.conn.unread.Store(true)
	}
	c.counted.answered(c.stripe, protocolHTTP, ctx.Response.StatusCode(), c.bytesIn, len(ctx.Response.Body()))
	if c.counted.version != "" {
		c.counted.observe(c.stripe, stageRequest, int64(time.Since(c.started)))
	}
}

// release gives the call back to be used again. The inputs' memory is gone by
// then: it is given back as soon as the model has run.
func (c *call) release() {
	c.body.release()
	if cap(c.out) > keptBytes {
		c.out = nil
	}
	if cap(c.packed) > keptBytes {
		c.packed = nil
	}
	if c.bytesIn > keptBytes {
		// What a large body was decoded into grew with it.
		c.infer, c.predict = oip.InferRequest{}, oip.PredictRequest{}
	}
	c.infer.Reset()
	c.predict.Reset()
	c.inferred, c.predicted, c.run = oip.InferResponse{}, oip.PredictResponse{}, batch.Call{}
	c.route.model, c.route.version = nil, nil
	c.ctx, c.conn, c.table, c.key, c.model, c.counted, c.bytesIn = nil, nil, nil, nil, nil, nil, 0
	c.server.calls.Put(c)
}

// fail answers with the protocol's error document. The message must be fit
// for the client's eyes.
func (c *call) fail(status int, message string) {
	c.out = oip.AppendError(c.out[:0], message)
	c.reply(status, "application/json", c.out)
}

// unavailable is fail for what may work after a second.
func (c *call) unavailable(status int, message string) {
	c.ctx.Response.Header.Set("Retry-After", "1")
	c.fail(status, message)
}

// json answers a document that is small and rarely asked for.
func (c *call) json(status int, document any) {
	body, err := json.Marshal(document)
	if err != nil {
		panic("gateway: document does not encode: " + err.Error())
	}
	c.reply(status, "application/json", body)
}

func (c *call) reply(status int, contentType string, body []byte) {
	c.ctx.SetStatusCode(status)
	c.ctx.Response.Header.SetContentType(contentType)
	c.ctx.Response.SetBodyRaw(body)
}

// answer calls what answers the route.
func (c *call) answer() {
	switch c.route.endpoint {
	case endpointInfer, endpointV1Predict:
		c.answerPrediction()
	case endpointServer:
		c.json(http.StatusOK, oip.NewServerMetadata(c.server.opts.Version))
	case endpointLive:
		c.json(http.StatusOK, oip.ServerLive{Live: true})
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
func (c *call) Input(_ int, _ []int64, size int) ([]byte, error) {
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
}
