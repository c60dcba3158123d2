package drift

import (
	"encoding/binary"
	"math"

	"github.com/segue-serving/segue/runtime"
)

// read counts every row of one tensor.
func (w *Window) read(r *reader, t *runtime.Tensor, rows int) {
	if t.Type == runtime.BYTES {
		w.readTexts(r, t, rows)
		return
	}
	elements := len(t.Data) / t.Type.Size() / rows
	if whole := r.tensor != nil || r.class != nil || r.confidence != nil; whole && cap(w.scratch) < elements {
		w.scratch = make([]float64, elements)
	}
	for row := range rows {
		at := row * elements
		for i := range r.columns {
			c := &r.columns[i]
			if c.at >= elements {
				continue
			}
			switch c.kind {
			case Categorical:
				c.bits(w.counts, bitsAt(t, at+c.at))
			case Boolean:
				c.category(w.counts, int32(min(t.Data[at+c.at], 1)), true)
			default:
				c.number(w.counts, numberAt(t, at+c.at))
			}
		}
		if r.tensor == nil && r.class == nil && r.confidence == nil {
			continue
		}
		values := w.scratch[:elements]
		numbers(values, t, at)
		if r.tensor != nil {
			shape := t.Shape
			if w.profile.plan.batched && len(shape) > 0 {
				shape = shape[1:]
			}
			r.tensor.count(w.counts, values, shape)
		}
		r.answer(w.counts, values)
	}
}

func (w *Window) readTexts(r *reader, t *runtime.Tensor, rows int) {
	elements := len(t.Strings) / rows
	for row := range rows {
		for i := range r.columns {
			c := &r.columns[i]
			if c.at >= elements {
				continue
			}
			text := t.Strings[row*elements+c.at]
			if c.kind == Categorical {
				c.text(w.counts, text)
			} else {
				c.number(w.counts, textLength(text))
			}
		}
	}
}

// textLength is the number of characters, NaN for an empty text. Bytes that do
// not begin one are not counted; utf8.RuneCount allocates for a long text.
func textLength(text []byte) float64 {
	if len(text) == 0 {
		return math.NaN()
	}
	n := 0
	for _, b := range text {
		if b&0xc0 != 0x80 {
			n++
		}
	}
	return float64(n)
}

// answer counts the class of one row of scores and its confidence.
func (r *reader) answer(counts []uint64, scores []float64) {
	if r.class == nil && r.confidence == nil {
		return
	}
	class, confidence := decide(scores, r.logits)
	if r.class != nil {
		if class < 0 {
			counts[r.class.offset+atMissing]++
		} else {
			r.class.bits(counts, uint64(class))
		}
	}
	if r.confidence != nil {
		r.confidence.number(counts, confidence)
	}
}

// decide returns the class with the largest score, the first among equals, and
// its probability; -1 and NaN where a score is NaN or there is none.
func decide(scores []float64, logits bool) (class int, confidence float64) {
	class = -1
	most := math.Inf(-1)
	for i, x := range scores {
		if math.IsNaN(x) {
			return -1, math.NaN()
		}
		if class < 0 || x > most {
			class, most = i, x
		}
	}
	switch {
	case class < 0:
		return -1, math.NaN()
	case !logits:
		return class, most
	case math.IsInf(most, 0):
		return class, 1
	}
	sum := 0.0
	for _, x := range scores {
		sum += math.Exp(x - most)
	}
	return class, 1 / sum
}

// numberAt reads element i of a tensor of any fixed-size type.
func numberAt(t *runtime.Tensor, i int) float64 {
	var one [1]float64
	numbers(one[:], t, i)
	return one[0]
}

// bitsAt reads whole number i as the bits that categoryBits gives.
func bitsAt(t *runtime.Tensor, i int) uint64 {
	le := binary.LittleEndian
	switch t.Type {
	case runtime.UINT8:
		return uint64(t.Data[i])
	case runtime.INT8:
		return uint64(int64(int8(t.Data[i])))
	case runtime.UINT16:
		return uint64(le.Uint16(t.Data[2*i:]))
	case runtime.INT16:
		return uint64(int64(int16(le.Uint16(t.Data[2*i:]))))
	case runtime.UINT32:
		return uint64(le.Uint32(t.Data[4*i:]))
	case runtime.INT32:
		return uint64(int64(int32(le.Uint32(t.Data[4*i:]))))
	default: // INT64, UINT64
		return le.Uint64(t.Data[8*i:])
	}
}
