package batch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/segue-serving/segue/runtime"
)

// idleSlotBytes bounds the memory that a version keeps ready and does not use.
const idleSlotBytes = 64 << 20

// slots are the runs of one version that are made ready: for each number of
// rows, the memory of all inputs and outputs, bound to a session.
type slots struct {
	binders []runtime.Binder
	// inputs and outputs are shapes whose first size, where it is dynamic, is
	// the number of rows; all others are known.
	inputs, outputs []runtime.TensorSpec
	maxRows         int

	mu     sync.Mutex
	idle   [][]*slot // by rows
	bytes  int       // of those idle
	next   int       // whose turn among the binders it is
	failed bool      // binding or a bound run failed: not again
}

// slot is one run made ready. It is used by one call, or by one batch and then
// by all who read its outputs.
type slot struct {
	slots   *slots
	binding runtime.Binding
	rows    int
	bytes   int
	in, out []runtime.Tensor
	uses    atomic.Int32
	release func() // drop, made once
}

// newSlots returns nil where a model's runs cannot be made ready.
func newSlots(sessions []runtime.Session, maxRows int) *slots {
	s := &slots{maxRows: maxRows, idle: make([][]*slot, maxRows+1)}
	for _, session := range sessions {
		binder, ok := session.(runtime.Binder)
		if !ok {
			return nil
		}
		s.binders = append(s.binders, binder)
	}
	signature := sessions[0].Signature()
	s.inputs, s.outputs = signature.Inputs, signature.Outputs
	if !signature.Batches() {
		s.maxRows = 1
	}
	for _, specs := range [][]runtime.TensorSpec{s.inputs, s.outputs} {
		for _, spec := range specs {
			shape := spec.Shape
			if signature.Batches() {
				shape = shape[1:]
			}
			if spec.Type == runtime.BYTES || slices.Contains(shape, runtime.Dynamic) {
				return nil
			}
		}
	}
	return s
}

// ready returns slots that were seen to give what the sessions give, nil where
// there are none: an engine may hand out an output that it did not compute,
// such as a constant, without writing to the memory that was bound.
func (i *Instance) ready(ctx context.Context) *slots {
	s := newSlots(i.sessions, i.options.MaxBatch)
	if s == nil {
		return nil
	}
	for _, p := range []pattern{even, zero} {
		answers, err := i.answers(ctx, []pattern{p})
		if err != nil {
			continue
		}
		call := Call{slot: s.take(1)}
		if call.slot == nil {
			return nil
		}
		inputs, release, err := i.inputs(1, p)
		for k := range inputs {
			copy(call.slot.in[k].Data, inputs[k].Data)
		}
		release()
		call.Inputs = call.slot.in
		var res runtime.Result
		if err == nil {
			res, err = i.compute(ctx, &call, false)
		}
		same := err == nil && slices.EqualFunc(res.Tensors, answers[0], func(a, b runtime.Tensor) bool {
			return slices.Equal(a.Shape, b.Shape) && slices.Equal(a.Data, b.Data)
		})
		res.Release()
		call.Done()
		s.mu.Lock()
		same = same && !s.failed
		s.mu.Unlock()
		if same {
			return s
		}
		break
	}
	_ = s.close() // what is idle was run to no use
	return nil
}

// take returns a slot for as many rows, nil where there can be none.
func (s *slots) take(rows int) *slot {
	if rows < 1 || rows > s.maxRows {
		return nil
	}
	s.mu.Lock()
	if list := s.idle[rows]; len(list) > 0 {
		found := list[len(list)-1]
		s.idle[rows] = list[:len(list)-1]
		s.bytes -= found.bytes
		s.mu.Unlock()
		found.uses.Store(1)
		return found
	}
	if s.failed {
		s.mu.Unlock()
		return nil
	}
	binder := s.binders[s.next%len(s.binders)]
	s.next++
	s.mu.Unlock()
	return s.make(binder, rows)
}

func (s *slots) make(binder runtime.Binder, rows int) *slot {
	binding, err := binder.Bind(shapesOf(s.inputs, rows), shapesOf(s.outputs, rows))
	if err != nil {
		s.give(nil)
		return nil
	}
	made := &slot{slots: s, binding: binding, rows: rows, in: binding.Inputs(), out: binding.Outputs()}
	for _, tensors := range [][]runtime.Tensor{made.in, made.out} {
		for i := range tensors {
			made.bytes += len(tensors[i].Data)
		}
	}
	made.release = made.drop
	made.uses.Store(1)
	return made
}

func shapesOf(specs []runtime.TensorSpec, rows int) [][]int64 {
	shapes := make([][]int64, len(specs))
	for i, spec := range specs {
		shapes[i] = slices.Clone(spec.Shape)
		if len(shapes[i]) > 0 && shapes[i][0] == runtime.Dynamic {
			shapes[i][0] = int64(rows)
		}
	}
	return shapes
}

// give ends what take began; nil says that runs cannot be made ready any more.
func (s *slots) give(done *slot) {
	s.mu.Lock()
	s.failed = s.failed || done == nil
	if done == nil || s.failed || s.bytes+done.bytes > idleSlotBytes {
		s.mu.Unlock()
		if done != nil {
			// Nothing reads a slot that nobody uses: it has no error to give.
			_ = done.binding.Close()
		}
		return
	}
	s.idle[done.rows] = append(s.idle[done.rows], done)
	s.bytes += done.bytes
	s.mu.Unlock()
}

// close frees what is idle.
func (s *slots) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []error
	for _, list := range s.idle {
		for _, sl := range list {
			all = append(all, sl.binding.Close())
		}
	}
	s.idle, s.failed = make([][]*slot, s.maxRows+1), true
	return errors.Join(all...)
}

// drop ends one use.
func (sl *slot) drop() {
	if sl.uses.Add(-1) == 0 {
		sl.slots.give(sl)
	}
}

// holds reports whether the inputs are the slot's own memory.
func (sl *slot) holds(inputs []runtime.Tensor) bool {
	if len(inputs) != len(sl.in) {
		return false
	}
	for i := range inputs {
		own, given := &sl.in[i], &inputs[i]
		if unsafe.SliceData(own.Data) != unsafe.SliceData(given.Data) || len(own.Data) != len(given.Data) ||
			given.Type != own.Type || !slices.Equal(own.Shape, given.Shape) {
			return false
		}
	}
	return true
}

// run runs what lies in the slot. The result holds a use of its own.
func (sl *slot) run(ctx context.Context, call *Call, aside bool) (runtime.Result, error) {
	if err := sl.runBinding(ctx, aside); err != nil {
		return runtime.Result{}, err
	}
	tensors := sl.out
	if call.Outputs != nil {
		call.tensors = call.tensors[:0]
		for _, o := range call.Outputs {
			call.tensors = append(call.tensors, sl.out[o])
		}
		tensors = call.tensors
	}
	sl.uses.Add(1)
	return runtime.NewResult(tensors, sl.release), nil
}

// runBinding runs the binding; aside where that is asked for and it can.
func (sl *slot) runBinding(ctx context.Context, aside bool) error {
	if a, ok := sl.binding.(runtime.AsideBinding); ok && aside {
		return a.RunAside(ctx)
	}
	return sl.binding.Run(ctx)
}

// Slot returns the memory that an input of the call is to be decoded into, so
// that its run needs no copy and no preparation; nil where the caller has to
// bring memory of its own (see runtime.Pool). index is the input's position in
// the signature. The memory is the call's until Reset or Done.
func (i *Instance) Slot(call *Call, index int, shape []int64) []byte {
	s := i.way.Load().slots
	if s == nil || index >= len(s.inputs) {
		return nil
	}
	if call.slot == nil {
		rows := int64(1)
		if declared := s.inputs[index].Shape; len(shape) > 0 && len(declared) > 0 && declared[0] == runtime.Dynamic {
			rows = shape[0]
		}
		if rows > int64(s.maxRows) {
			return nil
		}
		if call.slot = s.take(int(rows)); call.slot == nil {
			return nil
		}
	}
	in := &call.slot.in[index]
	if call.slot.slots != s || !slices.Equal(in.Shape, shape) {
		return nil
	}
	return in.Data
}

// Done gives back what Slot gave. A result that Run gave stays readable until
// its own Release.
func (c *Call) Done() {
	if c.slot != nil {
		c.slot.drop()
		c.slot = nil
	}
}
