package drift

import (
	"github.com/segue-serving/segue/runtime"
)

// Where the counts of a series lie in a window's memory, from its offset on.
const (
	atMissing = iota
	atUnseen
	atBelow
	atAbove
	atBins
)

// plan is how a profile's features are read from tensors: laid out once,
// shared by all windows, never changed.
type plan struct {
	signature *runtime.Signature
	batched   bool
	readers   []reader
	offsets   [][]int // by feature and series
	size      int     // of a window's counts
	id        uint64
}

// reader is one tensor that features are read from.
type reader struct {
	side     Side
	spec     *runtime.TensorSpec
	elements int64 // in a row; Dynamic where a request says
	columns  []column
	// tensor and scores are positions in plan.features, -1 where there are none.
	tensor            *tensorPlan
	class, confidence *column
	logits            bool
}

// column is one value of a row and the bins that it falls into.
type column struct {
	at     int // in a row
	kind   Kind
	offset int
	bins   int
	inner  []float64 // edges between bins
	least  float64
	most   float64
	empty  bool // the reference had no value
	other  bool
	byBits map[uint64]int32
	byText map[string]int32
}

// tensorPlan reads summary scalars and projections.
type tensorPlan struct {
	axes        []int64 // of a row; nil where a request says
	series      []column
	projections [][]uint32 // positions, the top bit is the sign
}

// rowElements is how many elements of a tensor make a row, Dynamic where a
// request says.
func (p *Profile) rowElements(spec *runtime.TensorSpec) int64 {
	return rowElements(p.Signature.Batches(), spec)
}

func rowElements(batched bool, spec *runtime.TensorSpec) int64 {
	n, err := runtime.Elements(rowShape(batched, spec.Shape))
	if err != nil {
		return runtime.Dynamic
	}
	return n
}

// rowShape is a shape without the dimension that counts rows.
func rowShape(batched bool, shape []int64) []int64 {
	if batched && len(shape) > 0 {
		return shape[1:]
	}
	return shape
}

func (p *Profile) spec(side Side, name string) *runtime.TensorSpec {
	specs, i := p.Signature.Inputs, p.Signature.Input(name)
	if side == Output {
		specs, i = p.Signature.Outputs, p.Signature.Output(name)
	}
	if i < 0 {
		return nil
	}
	return &specs[i]
}

// newPlan lays out a valid profile.
func newPlan(p *Profile) *plan {
	l := &plan{signature: p.Signature, batched: p.Signature.Batches(), id: p.fingerprint()}
	find := func(f *Feature) *reader {
		for i := range l.readers {
			if l.readers[i].side == f.Side && l.readers[i].spec.Name == f.Tensor {
				return &l.readers[i]
			}
		}
		spec := p.spec(f.Side, f.Tensor)
		l.readers = append(l.readers, reader{side: f.Side, spec: spec, elements: p.rowElements(spec)})
		return &l.readers[len(l.readers)-1]
	}
	for i := range p.Features {
		f := &p.Features[i]
		r := find(f)
		columns := make([]column, len(f.Series))
		offsets := make([]int, len(f.Series))
		for j := range f.Series {
			offsets[j] = l.size
			columns[j] = newColumn(f, &f.Series[j], r.spec.Type, l.size)
			l.size += atBins + columns[j].bins
		}
		l.offsets = append(l.offsets, offsets)
		switch f.Kind {
		case Tensor:
			r.tensor = &tensorPlan{series: columns}
			if r.elements != runtime.Dynamic {
				r.tensor.axes = rowShape(l.batched, r.spec.Shape)
				r.tensor.projections = newProjections(p.Seed, r.spec.Name, r.elements)
			}
		case Class:
			r.class, r.logits = &columns[0], f.Scores == Logits
		case Confidence:
			r.confidence, r.logits = &columns[0], f.Scores == Logits
		default:
			r.columns = append(r.columns, columns[0])
		}
	}
	return l
}

func newColumn(f *Feature, s *Series, t runtime.DataType, offset int) column {
	c := column{at: f.Column, kind: f.Kind, offset: offset, bins: s.bins(), other: s.Other, empty: s.bins() == 0}
	if len(s.Edges) > 0 {
		c.inner = s.Edges[1 : len(s.Edges)-1]
		c.least, c.most = s.Edges[0], s.Edges[len(s.Edges)-1]
	}
	if f.Kind != Class && f.Kind != Categorical {
		return c
	}
	c.byBits, c.byText = map[uint64]int32{}, map[string]int32{}
	for i, category := range s.Categories {
		if f.Kind == Categorical && t == runtime.BYTES {
			c.byText[category] = int32(i)
			continue
		}
		bits, _ := categoryBits(category, t)
		c.byBits[bits] = int32(i)
	}
	return c
}
