package drift

import (
	"fmt"
	"math"

	"github.com/segue-serving/segue/runtime"
)

// source keeps what a builder has taken from one tensor: for each column or
// series the kept rows' values, as the bits of a float or of a whole number.
type source struct {
	side    Side
	spec    *runtime.TensorSpec
	kind    Kind // Tensor, Class, or that of columns; empty: the data decides
	plan    *tensorPlan
	columns [][]uint64
	strings [][]string // of texts, beside their length; long ones are empty
	met     bool       // any row had such a tensor
	// probabilities is false once a row of scores is none.
	probabilities bool
}

// The columns of a source of scores.
const (
	ofClass = iota
	ofProbability
	ofLogits
	scoreColumns
)

func (s *source) texts() bool { return s.spec.Type == runtime.BYTES }

// nothing stands for a value that is not there.
var nothing = math.Float64bits(math.NaN())

// read plans how one tensor is watched.
func (b *Builder) read(found *problems, side Side, spec *runtime.TensorSpec) {
	elements := rowElements(b.plan.batched, spec)
	row := rowShape(b.plan.batched, spec.Shape)
	b.plan.readers = append(b.plan.readers, reader{side: side, spec: spec, elements: elements})
	s := source{side: side, spec: spec, kind: b.options.Kinds[spec.Name], probabilities: true}
	few := elements != runtime.Dynamic && elements <= maxColumns
	if s.kind == "" {
		switch {
		case s.texts():
		case side == Output && spec.Type.IsFloat() && len(row) == 1 && elements > 1 && elements <= maxClasses:
			s.kind = Class
		case !few || len(row) > 1:
			s.kind = Tensor
		case side == Output && spec.Type.IsFloat():
			s.kind = Score
		}
	}
	columns := int(elements)
	switch {
	case elements == 0 || s.texts() && !few:
		b.notes = append(b.notes, fmt.Sprintf("%s %q of shape %s is not watched", side, spec.Name, runtime.FormatShape(spec.Shape)))
		return
	case s.kind == Class || s.kind == Confidence:
		s.kind, columns = Class, scoreColumns
	case s.kind == Tensor:
		s.plan = &tensorPlan{}
		if elements != runtime.Dynamic {
			s.plan.axes = row
			s.plan.projections = newProjections(b.options.Seed, spec.Name, elements)
		}
		p := Profile{Signature: b.signature}
		columns = len(p.seriesOf(&Feature{Kind: Tensor}, spec))
	case !few:
		found.add("kinds", "%s %q has rows of shape %s, too large for kind %s", side, clip(spec.Name), runtime.FormatShape(row), s.kind)
		return
	}
	probe := Feature{Kind: s.kind, Side: side, Tensor: spec.Name, Scores: Logits}
	if s.kind != "" {
		if why := unsuited(&probe, spec, elements); why != "" {
			found.add("kinds", "%s %q: %s", side, clip(spec.Name), why)
			return
		}
	}
	s.columns = make([][]uint64, columns)
	if s.texts() {
		s.strings = make([][]string, columns)
	}
	b.sources = append(b.sources, s)
}

// absent keeps that a row has no such tensor.
func (s *source) absent(slot int) {
	for i := range s.columns {
		s.columns[i] = put(s.columns[i], slot, nothing)
		if s.strings != nil {
			s.strings[i] = put(s.strings[i], slot, "")
		}
	}
}

// take keeps one row of a tensor.
func (b *Builder) take(s *source, t *runtime.Tensor, row, rows, slot int) {
	s.met = true
	if s.texts() {
		for i := range s.columns {
			text := t.Strings[row*len(t.Strings)/rows+i]
			s.columns[i] = put(s.columns[i], slot, math.Float64bits(textLength(text)))
			if len(text) > longestCategory {
				text = nil
			}
			s.strings[i] = put(s.strings[i], slot, string(text))
		}
		return
	}
	elements := len(t.Data) / t.Type.Size() / rows
	at := row * elements
	if s.kind != Tensor && s.kind != Class && !s.spec.Type.IsFloat() {
		for i := range s.columns {
			bits := uint64(0)
			if s.spec.Type == runtime.BOOL {
				bits = uint64(min(t.Data[at+i], 1))
			} else {
				bits = bitsAt(t, at+i)
			}
			s.columns[i] = put(s.columns[i], slot, bits)
		}
		return
	}
	if cap(b.values) < elements {
		b.values = make([]float64, elements)
	}
	values := b.values[:elements]
	numbers(values, t, at)
	keep := func(i int, x float64) { s.columns[i] = put(s.columns[i], slot, math.Float64bits(x)) }
	switch s.kind {
	case Tensor:
		s.plan.each(values, rowShape(b.plan.batched, t.Shape), keep)
	case Class:
		class, probability := decide(values, false)
		_, softmax := decide(values, true)
		s.columns[ofClass] = put(s.columns[ofClass], slot, uint64(class))
		keep(ofProbability, probability)
		keep(ofLogits, softmax)
		s.probabilities = s.probabilities && (class < 0 || areProbabilities(values))
	default:
		for i, x := range values {
			keep(i, x)
		}
	}
}

// areProbabilities allows for sums in half precision.
func areProbabilities(scores []float64) bool {
	sum := 0.0
	for _, x := range scores {
		if x < 0 || x > 1.001 {
			return false
		}
		sum += x
	}
	return math.Abs(sum-1) < 0.01
}
