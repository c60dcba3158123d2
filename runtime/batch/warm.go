package batch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// WarmReport is what Warm measured.
type WarmReport struct {
	// Runs holds one entry for each size that worked, in the order given.
	Runs []WarmRun
	// Fixed and PerRow are a and b of the line a + b·rows that fits the runs
	// best, neither below zero; with one size all of it is in Fixed.
	Fixed, PerRow time.Duration
	// Failures says for each size that failed what the model answered. They
	// are no verdict on the model: it was asked about zeros.
	Failures []string
	// Plan is how the instance runs its calls from now on.
	Plan Plan
}

// WarmRun is one size.
type WarmRun struct {
	// Rows is the size of the first dimension.
	Rows int
	// Best is what the fastest run took of those measured.
	Best time.Duration
}

const (
	// warmSettle is how many runs of a size go before those that are measured.
	// ONNX Runtime learns in the first where the values of a size lie best, and
	// takes memory of that layout in the second; a page that is touched for the
	// first time costs more than what is computed on it.
	warmSettle  = 2
	warmRepeats = 3
	// A size whose measured runs took this long together is not run again: more
	// of them only sharpen the figure, which longer runs need less, and a swap
	// is the longer.
	warmBudget = 2 * time.Millisecond
)

// Warm runs the model on zeros of each size and measures it, in the background
// where the session can, and without permits. A nil sizes is 1 and MaxBatch. A
// model without a dynamic first size everywhere is run once, as it is. From what
// it measured it chooses how calls are run from now on. Only the
// end of ctx is an error; what the model makes of zeros is in the report.
func (i *Instance) Warm(ctx context.Context, sizes []int) (WarmReport, error) {
	switch {
	case !i.Signature().Batches():
		sizes = []int{1}
	case sizes == nil && i.options.MaxBatch > 1:
		sizes = []int{1, i.options.MaxBatch}
	case sizes == nil:
		sizes = []int{1}
	}
	var report WarmReport
	for _, rows := range sizes {
		run, err := i.warmOne(ctx, rows)
		if ctx.Err() != nil {
			return report, i.unwarmed(ctx)
		}
		if err != nil {
			report.Failures = append(report.Failures, fmt.Sprintf("%d rows: %v", rows, err))
			continue
		}
		report.Runs = append(report.Runs, run)
	}
	report.Fixed, report.PerRow = fit(report.Runs)
	apart, ready := i.together(ctx), i.ready(ctx)
	report.Plan = i.choose(report, apart, ready)
	if n := len(report.Runs); n > 0 && report.Runs[n-1].Rows > report.Plan.MaxBatch {
		i.trim(ctx)
	}
	if ctx.Err() != nil {
		return report, i.unwarmed(ctx)
	}
	return report, nil
}

// trim lets go of what runs of more rows took than are usual from now on: an
// engine keeps the memory of the largest run for good. One more run takes again
// what the usual ones need. A failure costs memory and nothing else.
func (i *Instance) trim(ctx context.Context) {
	session, ok := i.sessions[0].(runtime.Trimmer)
	if !ok {
		return
	}
	inputs, release, err := i.inputs(1, zero)
	defer release()
	if err != nil || session.Trim(ctx, inputs) != nil {
		return
	}
	if res, _, err := i.runBackground(ctx, inputs); err == nil {
		res.Release()
	}
}

func (i *Instance) unwarmed(ctx context.Context) error {
	return fmt.Errorf("warm model %s version %s: %w", i.options.Name, i.options.Version, ctx.Err())
}

func (i *Instance) warmOne(ctx context.Context, rows int) (WarmRun, error) {
	inputs, release, err := i.inputs(rows, zero)
	defer release()
	if err != nil {
		return WarmRun{}, err
	}
	run := WarmRun{Rows: rows}
	spent := time.Duration(0)
	for n := 0; n < warmSettle+warmRepeats && spent < warmBudget; n++ {
		res, took, err := i.runBackground(ctx, inputs)
		if err != nil {
			return run, err
		}
		res.Release()
		if n < warmSettle {
			continue
		}
		spent += took
		if n == warmSettle || took < run.Best {
			run.Best = took
		}
	}
	return run, nil
}

// runBackground runs without a permit, which would be kept from the requests for
// as long as a run takes at the priority that it has.
func (i *Instance) runBackground(ctx context.Context, inputs []runtime.Tensor) (res runtime.Result, took time.Duration, err error) {
	defer i.recovered(&res, &err)
	if session, ok := i.sessions[0].(runtime.BackgroundRunner); ok {
		return session.RunBackground(ctx, inputs, nil)
	}
	began := time.Now()
	res, err = i.sessions[0].Run(ctx, inputs, nil)
	return res, time.Since(began), err
}

// pattern says what the bytes of a row are filled with.
type pattern int

// zero is zeros; the others give a row numbers of its own: small for integers,
// which are often positions in a table, and between 0 and 1 for floats.
const (
	zero pattern = iota
	even
	odd
	both // a row of even and a row of odd, by turns
)

// inputs makes inputs of the signature: a dynamic first size is rows, any other
// dynamic one 1. release is never nil.
func (i *Instance) inputs(rows int, p pattern) (inputs []runtime.Tensor, release func(), err error) {
	var blocks []*runtime.Memory
	release = func() {
		for _, b := range blocks {
			b.Release()
		}
	}
	for _, spec := range i.Signature().Inputs {
		t := runtime.Tensor{Name: spec.Name, Type: spec.Type, Shape: slices.Clone(spec.Shape)}
		for d := range t.Shape {
			if t.Shape[d] == runtime.Dynamic {
				t.Shape[d] = 1
				if d == 0 {
					t.Shape[d] = int64(rows)
				}
			}
		}
		n, err := t.Elements()
		if err != nil {
			return nil, release, err
		}
		if t.Type == runtime.BYTES {
			t.Strings = make([][]byte, n)
			inputs = append(inputs, t)
			continue
		}
		size, err := runtime.ByteSize(t.Type, t.Shape)
		if err != nil {
			return nil, release, err
		}
		block, err := i.executor.memory.Get(int(size))
		if err != nil {
			return nil, release, err
		}
		blocks = append(blocks, block)
		t.Data = block.Bytes()
		clear(t.Data)
		if p != zero {
			paint(&t, rows, p)
		}
		inputs = append(inputs, t)
	}
	return inputs, release, nil
}

// fit is the least-squares line through the runs of those that begin and rise
// at zero or above.
func fit(runs []WarmRun) (fixed, perRow time.Duration) {
	if len(runs) == 0 {
		return 0, 0
	}
	n := float64(len(runs))
	var sumX, sumY, sumXX, sumXY float64
	for _, r := range runs {
		x, y := float64(r.Rows), float64(r.Best)
		sumX, sumY, sumXX, sumXY = sumX+x, sumY+y, sumXX+x*x, sumXY+x*y
	}
	slope := 0.0
	if spread := n*sumXX - sumX*sumX; spread > 0 {
		slope = max(0, (n*sumXY-sumX*sumY)/spread)
	}
	if sumY < slope*sumX {
		return 0, time.Duration(sumXY / sumXX)
	}
	return time.Duration((sumY - slope*sumX) / n), time.Duration(slope)
}
