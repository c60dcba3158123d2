package gateway

import (
	"net/http"
	"time"

	"github.com/valyala/fasthttp"
)

// expect answers a request whose client waits to be asked for the body (Expect:
// 100-continue), with the status: a prediction that is refused by its head is
// refused here, and the connection closed, so that a body which nobody wants is
// not sent. On 100 the body is asked for, and handle goes on with the call.
// Other routes have small bodies, whose refusal by the head gains nothing.
func (s *DataServer) expect(ctx *fasthttp.RequestCtx) (status int) {
	c := s.calls.Get().(*httpCall)
	c.begin(ctx, time.Now())
	defer func() {
		if status != http.StatusContinue {
			// The client may have begun to send it all the same.
			c.conn.unread.Store(true)
			c.end()
			status = c.status
		}
	}()
	defer c.recovered()
	if !c.enter() {
		return c.status
	}
	if e := c.route.endpoint; e == endpointInfer || e == endpointV1Predict {
		if c.admitted = c.admitPrediction(); c.admitted == nil {
			return c.status
		}
	}
	return http.StatusContinue
}
