package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
)

// attempt decodes the request for one version, runs it and answers. It gives
// the one outcome that the try is counted under. The version's resident is
// held by the caller.
func (c *call) attempt(v *versionRoute) outcome {
	started := c.elapsed()
	c.runner, c.hurried = v.runner, false
	request, err := c.wire.decode(v)
	defer c.releaseTensors()
	decoded := c.elapsed()
	if err != nil {
		c.failWith(err)
		if c.status >= http.StatusInternalServerError {
			return outcomeShed
		}
		return outcomeClientError
	}
	v.metrics.observe(c.stripe, stageDecode, int64(decoded-started))
	if limit := c.started.Add(request.Timeout); request.Timeout > 0 && limit.Before(c.run.Deadline) {
		c.run.Deadline = limit
	}
	c.run.Inputs, c.run.Outputs, c.run.Asked = request.Inputs, request.Outputs, c.started.Add(decoded)
	result, err := v.runner.Run(c.context, &c.run)
	if err != nil {
		return c.failRun(v, err)
	}
	defer result.Release()
	v.metrics.observe(c.stripe, stageQueue, int64(c.run.Queued))
	v.metrics.observe(c.stripe, stageInference, int64(c.run.Ran))
	if c.run.BatchRows > 0 {
		v.metrics.observe(c.stripe, stageBatch, int64(c.run.BatchRows))
	}
	encoding := c.elapsed()
	now := c.started.Add(encoding)
	if errors.Is(c.context.Err(), context.Canceled) {
		return c.failRun(v, context.Canceled)
	}
	if now.After(c.run.Deadline) {
		return c.timedOut(v, ranTooLong)
	}
	ended := outcomeOK
	for i := range result.Tensors {
		if oip.FirstNonFinite(&result.Tensors[i]) >= 0 {
			ended = outcomeNonFinite
		}
	}
	if err := c.wire.encode(v, request, result.Tensors); err != nil {
		return c.failEncode(err, ended)
	}
	c.scratch = c.ids().append(c.scratch[:0], v.names, c.note(v, request, result.Tensors), now)
	c.wire.setFieldBytes("Segue-Prediction-Id", c.scratch)
	c.took = c.elapsed()
	v.metrics.observe(c.stripe, stageEncode, int64(c.took-encoding))
	return ended
}

// ids makes prediction ids: with the table's key, where settings name one.
func (c *call) ids() *idMaker {
	if c.table.ids != nil {
		return c.table.ids
	}
	return c.server.ids
}

// failRun answers a run that gave no result.
func (c *call) failRun(v *versionRoute, err error) outcome {
	switch {
	case errors.Is(err, batch.ErrQueueFull):
		c.server.metrics.refused(shedQueueFull)
		c.unavailable(http.StatusServiceUnavailable, queueFull)
		return outcomeShed
	case errors.Is(err, batch.ErrDeadline), errors.Is(err, context.Canceled) && c.run.Ran == 0 && ranOut(c.context):
		c.server.metrics.refused(shedDeadline)
		c.fail(http.StatusGatewayTimeout, "the deadline passed before the model could run")
		return outcomeShed
	case errors.Is(err, batch.ErrStopped), errors.Is(err, context.Canceled) && ranOut(c.context):
		return c.timedOut(v, ranTooLong)
	case errors.Is(err, batch.ErrNoTime):
		return c.timedOut(v, "the deadline leaves no time for the model to run")
	case errors.Is(err, context.Canceled):
		c.fail(statusClientGone, "the client is gone")
		return outcomeCancelled
	case errors.Is(err, runtime.ErrInvalidArgument):
		c.fail(http.StatusBadRequest, "the model refused the values of the inputs: "+argumentText(err))
		return outcomeClientError
	}
	c.server.log("model failed", "model", v.model, "version", v.version, "error", err)
	c.fail(http.StatusInternalServerError, "the model failed")
	return outcomeModelError
}

// unhurried is how many times the cost of its run, as it was measured at
// warm-up, a version has to have had for a deadline that the client set to say
// something about the version: beside others a run takes a few times as long.
// What runs take of late is no measure: of a version that has become slow it
// would excuse everything.
const unhurried = 4

const ranTooLong = "the deadline passed while the model ran"

// timedOut answers that the model did not run within the deadline. It counts as
// what it is, for each version alike; but clients who leave no time for a run
// must not be able to open a breaker for all others.
func (c *call) timedOut(v *versionRoute, message string) outcome {
	c.fail(http.StatusGatewayTimeout, message)
	had, plan := c.run.Deadline.Sub(c.run.Asked.Add(c.run.Queued)), v.runner.Plan()
	cost := plan.Fixed + plan.PerRow*time.Duration(rows(c.run.Inputs, v.runner.Signature()))
	c.hurried = c.run.Deadline.Before(c.started.Add(c.model.timeout)) && had < unhurried*cost
	return outcomeTimeout
}

// failEncode answers where there is a result that cannot be written. ended is
// what the try counts as but for that.
func (c *call) failEncode(err error, ended outcome) outcome {
	var refusal *oip.Error
	if !errors.As(err, &refusal) {
		c.server.log("answer not encoded", "error", err)
		c.fail(http.StatusInternalServerError, "internal error")
		return outcomeModelError
	}
	c.fail(refusal.Status, refusal.Message)
	if refusal.Status < http.StatusInternalServerError {
		return outcomeClientError
	}
	if ended == outcomeOK {
		return outcomeModelError
	}
	return ended
}

// argumentText is what an engine says of the inputs. Engines keep places and
// internal names out of it.
func argumentText(err error) string {
	return strings.TrimPrefix(err.Error(), runtime.ErrInvalidArgument.Error()+": ")
}

// rows is how many rows a request has: one where the model does not batch.
func rows(inputs []runtime.Tensor, sig *runtime.Signature) int64 {
	if sig.Batches() && len(inputs[0].Shape) > 0 {
		return inputs[0].Shape[0]
	}
	return 1
}
