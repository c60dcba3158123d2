package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/payload"
	"github.com/segue-serving/segue/bench/report"
	"github.com/segue-serving/segue/bench/scenario"
	"github.com/segue-serving/segue/gateway/oip"
)

// decode measures how long the gateway's decoder takes for each number of a
// model's requests, on one core of this process.
func (c *contest) decode(ctx context.Context, m scenario.Model, one scenario.Decoder, figures *report.Decoder) error {
	manifest, samples, err := c.artifact(m.Model, m.Version)
	if err != nil {
		return err
	}
	requests, err := payload.Requests(samples, payload.To{Model: m.Model}, payload.Protocol(one.Protocol))
	if err != nil {
		return err
	}
	numbers := 0
	for _, in := range samples[0].Inputs {
		numbers += len(in.Data) / in.Type.Size()
	}
	out, err := load.Loop(ctx, load.ClosedOptions{Connections: 1, Warmup: c.warmup(), Duration: c.round()}, func(int) (func(int) error, func(), error) {
		into := make(reused, len(manifest.Signature.Inputs))
		return func(i int) error {
			i %= len(requests)
			var decoded oip.InferRequest
			if err := oip.DecodeInfer(&decoded, &manifest.Signature, requests[i].Body, -1, oip.Limits{}, into); err != nil {
				return err
			}
			for n, in := range decoded.Inputs {
				if !bytes.Equal(in.Data, samples[i].Inputs[n].Data) {
					return errors.New("a number was read as another")
				}
			}
			return nil
		}, func() {}, nil
	})
	if err != nil {
		return err
	}
	where := fmt.Sprintf("decoder %s on %s", one.Name, m.Model)
	c.fail(where, out)
	figures.Numbers = numbers
	figures.Nanoseconds = append(figures.Nanoseconds, float64(out.Latency.Mean().Nanoseconds())/float64(numbers))
	c.say("%s: %.1f ns a number", where, figures.Nanoseconds[len(figures.Nanoseconds)-1])
	return nil
}

// reused gives the decoder the same memory for every request.
type reused [][]byte

// Input returns size bytes for an input.
func (r reused) Input(i int, _ []int64, size int) ([]byte, error) {
	if cap(r[i]) < size {
		r[i] = make([]byte, size)
	}
	return r[i][:size], nil
}
