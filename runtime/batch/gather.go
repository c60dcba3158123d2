package batch

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/segue-serving/segue/runtime"
)

// shared is a batch in memory, until all who share it have read its outputs.
//
// A batch copies the rows of its calls together. Were they decoded side by side
// there would be no copy; but a run could not begin before the slowest decoder,
// a caller that leaves would leave a hole, and a call could not be run again by
// itself.
type shared struct {
	instance *Instance
	inputs   []runtime.Tensor
	rows     int
	slot     *slot             // where inputs and outputs lie, or nil
	blocks   []*runtime.Memory // where inputs lie, without a slot
	result   runtime.Result    // where outputs lie, without a slot
	outputs  []runtime.Tensor
	uses     atomic.Int32
	release  func() // drop, made once
}

// gather copies the inputs of a group together: into a slot, or else into
// memory for this run. It is the caller's to drop.
func (i *Instance) gather(w *way, g *group) (*shared, error) {
	b, _ := i.batches.Get().(*shared)
	if b == nil {
		b = &shared{instance: i}
		b.release = b.drop
	}
	b.uses.Store(1)
	b.rows = g.rows
	if w.padded {
		b.rows = min(i.options.MaxBatch, 1<<bits.Len(uint(g.rows-1)))
	}
	if w.slots != nil {
		b.slot = w.slots.take(b.rows)
	}
	if b.slot != nil {
		b.inputs = b.slot.in
	} else if err := b.place(g.waiters[0].call.Inputs); err != nil {
		b.drop()
		return nil, err
	}
	for k := range b.inputs {
		b.fill(k, g)
	}
	return b, nil
}

// place finds memory for inputs like those given, of the batch's rows.
func (b *shared) place(like []runtime.Tensor) error {
	b.inputs = make([]runtime.Tensor, len(like))
	for k := range like {
		t := &b.inputs[k]
		t.Name, t.Type, t.Shape = like[k].Name, like[k].Type, slices.Clone(like[k].Shape)
		t.Shape[0] = int64(b.rows)
		if t.Type == runtime.BYTES {
			continue
		}
		size, err := runtime.ByteSize(t.Type, t.Shape)
		if err != nil {
			return err
		}
		block, err := b.instance.executor.memory.Get(int(size))
		if err != nil {
			return err
		}
		b.blocks = append(b.blocks, block)
		t.Data = block.Bytes()
	}
	return nil
}

// fill copies one input of all calls. Rows that only fill the batch up are
// copies of the first, which the model has to take anyway.
func (b *shared) fill(k int, g *group) {
	to := &b.inputs[k]
	first := &g.waiters[0].call.Inputs[k]
	rows := g.waiters[0].call.rows
	if to.Type == runtime.BYTES {
		to.Strings = to.Strings[:0]
		for _, wt := range g.waiters {
			to.Strings = append(to.Strings, wt.call.Inputs[k].Strings...)
		}
		for range b.rows - g.rows {
			to.Strings = append(to.Strings, first.Strings[:len(first.Strings)/rows]...)
		}
		return
	}
	at := 0
	for _, wt := range g.waiters {
		at += copy(to.Data[at:], wt.call.Inputs[k].Data)
	}
	for row := first.Data[:len(first.Data)/rows]; at < len(to.Data) && len(row) > 0; {
		at += copy(to.Data[at:], row)
	}
}

// compute runs the batch. Its outputs have a row for each row of inputs.
func (b *shared) compute(ctx context.Context) (err error) {
	defer b.instance.recovered(&b.result, &err)
	if b.slot != nil {
		b.outputs = b.slot.out
		return b.slot.runBinding(ctx, true)
	}
	if b.result, err = b.instance.runSession(ctx, b.inputs, nil, true); err != nil {
		return err
	}
	b.outputs = b.result.Tensors
	for i := range b.outputs {
		if shape := b.outputs[i].Shape; len(shape) == 0 || shape[0] != int64(b.rows) {
			return fmt.Errorf("output %q of a batch of %d rows has the shape %s", b.outputs[i].Name, b.rows, runtime.FormatShape(shape))
		}
	}
	return nil
}

// part is what the batch answers to a call, whose first row is at. It holds a
// use of the batch.
func (b *shared) part(call *Call, at int) runtime.Result {
	count := len(call.Outputs)
	if call.Outputs == nil {
		count = len(b.outputs)
	}
	call.tensors, call.shapes = call.tensors[:0], call.shapes[:0]
	for n := range count {
		o := n
		if call.Outputs != nil {
			o = call.Outputs[n]
		}
		t := b.outputs[o]
		begin := len(call.shapes)
		call.shapes = append(call.shapes, t.Shape...)
		// The shapes may move when they grow; each keeps where it was.
		t.Shape = call.shapes[begin:len(call.shapes):len(call.shapes)]
		t.Shape[0] = int64(call.rows)
		if t.Type == runtime.BYTES {
			each := len(t.Strings) / b.rows
			t.Strings = t.Strings[at*each : (at+call.rows)*each]
		} else {
			each := len(t.Data) / b.rows
			t.Data = t.Data[at*each : (at+call.rows)*each : (at+call.rows)*each]
		}
		call.tensors = append(call.tensors, t)
	}
	return runtime.NewResult(call.tensors, b.release)
}

// drop ends one use.
func (b *shared) drop() {
	if b.uses.Add(-1) > 0 {
		return
	}
	b.result.Release()
	if b.slot != nil {
		b.slot.drop()
	}
	for n, block := range b.blocks {
		block.Release()
		b.blocks[n] = nil
	}
	b.blocks, b.slot, b.inputs, b.outputs = b.blocks[:0], nil, nil, nil
	b.instance.batches.Put(b)
}
