package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/runtime"
)

// heldOutBytes bounds the rows that are held out in memory.
const heldOutBytes = 512 << 20

// calibration makes a reference of one half of the rows, drawn at random, and
// judges windows of the other.
type calibration struct {
	flags   *profiling
	random  *rand.Rand
	builder *drift.Builder
	heldOut []drift.Rows // one row each, without its label
	bytes   int
}

func newCalibration(signature *runtime.Signature, p *profiling) (*calibration, error) {
	if p.window < 1 || p.windows < 1 || p.falseAlarms <= 0 || p.every <= 0 {
		return nil, errors.New("--calibrate wants --window, --windows, --false-alarms-per-month and --every over 0")
	}
	b, err := drift.NewBuilder(signature, p.options)
	return &calibration{flags: p, random: rand.New(rand.NewPCG(p.options.Seed, 1)), builder: b}, err
}

// add puts a row into one of the halves; rows of one unit go together.
func (c *calibration) add(row drift.Rows) error {
	held := c.random.Uint64()&1 == 1
	if row.Unit != 0 {
		held = row.Unit>>32&1 == 1
	}
	if !held || c.bytes > heldOutBytes {
		return c.builder.Add(row)
	}
	c.hold(row)
	return nil
}

// hold keeps a copy: what was read is valid until the next batch only.
func (c *calibration) hold(r drift.Rows) {
	for _, tensors := range [][]runtime.Tensor{r.Inputs, r.Outputs} {
		for i := range tensors {
			t := &tensors[i]
			t.Shape, t.Data, t.Strings = slices.Clone(t.Shape), slices.Clone(t.Data), slices.Clone(t.Strings)
			c.bytes += 200 + len(t.Data)
			for j, s := range t.Strings {
				t.Strings[j] = slices.Clone(s)
				c.bytes += 24 + len(s)
			}
		}
	}
	r.Labels = nil
	c.heldOut = append(c.heldOut, r)
}

// calibrationReport says how many false alarms there were.
type calibrationReport struct {
	Window    int `json:"window"`
	Reference int `json:"reference"`
	HeldOut   int `json:"held_out"`
	// Drawn windows are of held-out rows in random order, InOrder ones of rows as
	// they lie in the data.
	Drawn   replay `json:"drawn"`
	InOrder replay `json:"in_order"`
	// Configured and Observed false alarms a month, by the drawn windows.
	Configured float64 `json:"configured_per_month"`
	Observed   float64 `json:"observed_per_month"`
}

// replay is what became of some windows.
type replay struct {
	Windows  int            `json:"windows"`
	Alarms   int            `json:"alarms"`
	Expected float64        `json:"expected"`
	Features map[string]int `json:"features,omitempty"`
}

func (r *calibrationReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "calibration: a reference of %d rows, windows of %d of %d held-out rows\n", r.Reference, r.Window, r.HeldOut)
	for _, part := range []struct {
		name string
		replay
	}{{"drawn at random", r.Drawn}, {"in their order", r.InOrder}} {
		fmt.Fprintf(w, "  %-16s %d of %d windows alarm, %.2f expected\n", part.name, part.Alarms, part.Windows, part.Expected)
		names := make([]string, 0, len(part.Features))
		for name := range part.Features {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(w, "    %s: %d\n", name, part.Features[name])
		}
	}
	fmt.Fprintf(w, "  false alarms a month: %.2f observed, %.2f configured\n", r.Observed, r.Configured)
}

func (c *calibration) run(ctx context.Context) (*calibrationReport, error) {
	profile, err := c.builder.Profile()
	if err != nil {
		return nil, err
	}
	if len(c.heldOut) < c.flags.window {
		return nil, fmt.Errorf("--calibrate: %d held-out rows are fewer than a window of %d", len(c.heldOut), c.flags.window)
	}
	r := &calibrationReport{Window: c.flags.window, Reference: int(profile.Samples), HeldOut: len(c.heldOut), Configured: c.flags.falseAlarms}
	order := make([]int, len(c.heldOut))
	for i := range order {
		order[i] = i
	}
	for first := 0; first+c.flags.window <= len(order); first += c.flags.window {
		if err := c.judge(ctx, profile, order[first:first+c.flags.window], &r.InOrder); err != nil {
			return nil, err
		}
	}
	for range c.flags.windows {
		// The first of a shuffle, as many as are used.
		for i := range c.flags.window {
			j := i + c.random.IntN(len(order)-i)
			order[i], order[j] = order[j], order[i]
		}
		if err := c.judge(ctx, profile, order[:c.flags.window], &r.Drawn); err != nil {
			return nil, err
		}
	}
	r.Observed = float64(r.Drawn.Alarms) / float64(r.Drawn.Windows) * float64(drift.Month) / float64(c.flags.every)
	return r, nil
}

// judge compares one window. Evidence is not carried from one to the next:
// drawn windows share rows.
func (c *calibration) judge(ctx context.Context, profile *drift.Profile, rows []int, to *replay) error {
	w := profile.NewWindow()
	for _, i := range rows {
		if err := w.Add(c.heldOut[i].Inputs, c.heldOut[i].Outputs, c.heldOut[i].Unit); err != nil {
			return err
		}
	}
	policy := drift.DefaultPolicy()
	policy.FalseAlarmsPerMonth, policy.Elapsed = c.flags.falseAlarms, c.flags.every
	verdict, _ := drift.Judge(drift.Comparison{Window: w, Policy: policy})
	to.Windows++
	to.Expected += c.flags.falseAlarms * float64(c.flags.every) / float64(drift.Month)
	if verdict.Insufficient {
		return fmt.Errorf("--calibrate: a window of %d rows is not enough for a verdict: %d more", c.flags.window, verdict.Needed)
	}
	if verdict.Alarm {
		to.Alarms++
		for _, f := range verdict.Features {
			if f.Alarm {
				if to.Features == nil {
					to.Features = map[string]int{}
				}
				to.Features[f.Name]++
			}
		}
	}
	return ctx.Err()
}
