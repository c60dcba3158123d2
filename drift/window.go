package drift

import (
	"errors"
	"fmt"

	"github.com/segue-serving/segue/runtime"
)

// Window counts what a model saw and said, in a profile's bins. Counts add up:
// windows of gateways make that of a fleet, and windows of hours that of a
// sliding day, in any order and grouping. Adding allocates nothing once the
// first rows of a tensor were seen. A Window is for one goroutine at a time.
type Window struct {
	profile *Profile
	rows    uint64
	counts  []uint64
	units   units
	scratch []float64
}

// NewWindow returns an empty window in this profile's bins. The profile must not
// be changed while the window is used.
func (p *Profile) NewWindow() *Window {
	return &Window{profile: p, counts: make([]uint64, p.plan.size)}
}

// Rows returns how many rows were added.
func (w *Window) Rows() uint64 { return w.rows }

// Units estimates how many distinct units the rows came from, by HyperLogLog
// with a standard error of 3 %. Each row without a unit counts for itself.
func (w *Window) Units() uint64 { return w.units.distinct() + w.units.anonymous }

// Profile returns the profile whose bins these are.
func (w *Window) Profile() *Profile { return w.profile }

// Counts returns a copy of what was counted for one series of one feature, by
// their positions in the profile.
func (w *Window) Counts(feature, series int) Counts {
	at := w.profile.plan.offsets[feature][series]
	c := w.counts[at : at+atBins+w.profile.Features[feature].Series[series].bins()]
	return Counts{
		Missing: c[atMissing], Unseen: c[atUnseen], Below: c[atBelow], Above: c[atAbove],
		Bins: append([]uint64(nil), c[atBins:]...),
	}
}

// Reset empties a window, keeping its memory.
func (w *Window) Reset() {
	clear(w.counts)
	w.rows = 0
	w.units = units{}
}

// ErrOtherBins says that counts of one profile's bins were to be added to
// those of another's.
var ErrOtherBins = errors.New("drift: windows of profiles that bin differently do not add up")

// Merge adds what another window counted, which stays as it is.
func (w *Window) Merge(other *Window) error {
	if w.profile != other.profile && w.profile.plan.id != other.profile.plan.id {
		return ErrOtherBins
	}
	for i, n := range other.counts {
		w.counts[i] += n
	}
	w.rows += other.rows
	w.units.merge(&other.units)
	return nil
}

// Clone returns a copy that shares nothing but the profile.
func (w *Window) Clone() *Window {
	c := *w
	c.counts = append([]uint64(nil), w.counts...)
	c.scratch = nil
	return &c
}

// Add counts the rows of one request or one batch: inputs, and outputs where
// there are any, matched by name; tensors that are not there are not counted.
// Unit is a hash of who sent them, 0 where nobody knows. Tensors are read
// before Add returns and not kept. A tensor that is not as the profile's
// signature says is an error, and then nothing is counted.
func (w *Window) Add(inputs, outputs []runtime.Tensor, unit uint64) error {
	rows, err := w.profile.plan.rows(inputs, outputs)
	if err != nil || rows == 0 {
		return err
	}
	for i := range w.profile.plan.readers {
		r := &w.profile.plan.readers[i]
		tensors := inputs
		if r.side == Output {
			tensors = outputs
		}
		if t := named(tensors, r.spec.Name); t != nil {
			w.read(r, t, int(rows))
		}
	}
	w.rows += uint64(rows)
	w.units.add(unit, uint64(rows))
	return nil
}

func named(tensors []runtime.Tensor, name string) *runtime.Tensor {
	for i := range tensors {
		if tensors[i].Name == name {
			return &tensors[i]
		}
	}
	return nil
}

// rows says how many rows the tensors hold, which all must agree on.
func (l *plan) rows(inputs, outputs []runtime.Tensor) (int64, error) {
	rows := int64(-1)
	for i := range l.readers {
		r := &l.readers[i]
		tensors := inputs
		if r.side == Output {
			tensors = outputs
		}
		t := named(tensors, r.spec.Name)
		if t == nil {
			continue
		}
		n, err := r.check(t, l.batched)
		if err != nil {
			return 0, fmt.Errorf("drift: %s %q: %w", r.side, t.Name, err)
		}
		if rows >= 0 && n != rows {
			return 0, fmt.Errorf("drift: %s %q has %d rows, others have %d", r.side, t.Name, n, rows)
		}
		rows = n
	}
	return max(rows, 0), nil
}

// check says how many rows a tensor holds, or how it is not as declared.
func (r *reader) check(t *runtime.Tensor, batched bool) (rows int64, err error) {
	if t.Type != r.spec.Type {
		return 0, fmt.Errorf("is %s, the profile's is %s", t.Type, r.spec.Type)
	}
	if err := r.spec.Check(t.Shape); err != nil {
		return 0, err
	}
	elements, err := runtime.Elements(t.Shape)
	if err != nil {
		return 0, err
	}
	held := int64(len(t.Strings))
	if size := int64(t.Type.Size()); size > 0 {
		held = int64(len(t.Data)) / size
	}
	if held != elements {
		return 0, fmt.Errorf("holds %d elements, its shape says %d", held, elements)
	}
	if batched && len(t.Shape) > 0 {
		return t.Shape[0], nil
	}
	return 1, nil
}
