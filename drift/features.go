package drift

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/segue-serving/segue/runtime"
)

// features makes the features of one tensor.
func (b *Builder) features(p *Profile, s *source) {
	switch s.kind {
	case Class:
		b.classFeatures(p, s)
		return
	case Tensor:
		f := Feature{Name: s.spec.Name, Kind: Tensor, Side: s.side, Tensor: s.spec.Name}
		for i, name := range p.seriesOf(&f, s.spec) {
			f.Series = append(f.Series, b.number(p, f.Name+" "+name, floats(s.columns[i])))
			f.Series[i].Name = name
		}
		p.Features = append(p.Features, f)
		return
	}
	for i := range s.columns {
		f := Feature{Name: s.spec.Name, Kind: s.kind, Side: s.side, Tensor: s.spec.Name, Column: i}
		if len(s.columns) > 1 {
			f.Name = fmt.Sprintf("%s[%d]", s.spec.Name, i)
		}
		p.Features = append(p.Features, b.column(p, f, s))
	}
}

// column makes the feature of one value of a row.
func (b *Builder) column(p *Profile, f Feature, s *source) Feature {
	bits := s.columns[f.Column]
	var series Series
	switch {
	case s.spec.Type == runtime.BOOL:
		f.Kind = Boolean
		series = Series{Categories: []string{"false", "true"}, Reference: Counts{Bins: make([]uint64, 2)}}
		for _, x := range bits {
			series.Reference.Bins[x]++
		}
	case s.texts():
		texts := s.strings[f.Column]
		if f.Kind == "" {
			f.Kind = TextLength
			if different := distinct(texts); different <= textCategories && 2*different <= len(texts) && !hasLong(texts, bits) {
				f.Kind = Categorical
			}
		}
		if f.Kind == TextLength {
			series = b.number(p, f.Name, floats(bits))
			break
		}
		missing := 0
		texts = slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return t == "" })
		for _, x := range floats(bits) {
			if math.IsNaN(x) {
				missing++
			}
		}
		// Long texts are kept as empty ones and are no category that is listed.
		series = b.category(p, f.Name, texts, len(bits)-missing-len(texts))
		series.Reference.Missing = uint64(missing)
	case s.spec.Type.IsFloat():
		f.Kind = cmp.Or(f.Kind, Numeric)
		series = b.number(p, f.Name, floats(bits))
	default:
		if f.Kind == "" {
			f.Kind = Numeric
			if distinct(bits) <= wholeCategories {
				f.Kind = Categorical
			}
		}
		unsigned := s.spec.Type == runtime.UINT64
		if f.Kind == Categorical {
			texts := make([]string, len(bits))
			for i, x := range bits {
				texts[i] = strconv.FormatInt(int64(x), 10)
				if unsigned {
					texts[i] = strconv.FormatUint(x, 10)
				}
			}
			series = b.category(p, f.Name, texts, 0)
			break
		}
		values := make([]float64, len(bits))
		for i, x := range bits {
			values[i] = float64(int64(x))
			if unsigned {
				values[i] = float64(x)
			}
		}
		series = b.number(p, f.Name, values)
	}
	series.Name = "value"
	f.Series = []Series{series}
	return f
}

// hasLong reports whether a text was too long to be a category.
func hasLong(texts []string, lengths []uint64) bool {
	for i, t := range texts {
		if t == "" && math.Float64frombits(lengths[i]) > 0 {
			return true
		}
	}
	return false
}

// classFeatures makes a classifier's class and confidence.
func (b *Builder) classFeatures(p *Profile, s *source) {
	scores, confidences := Logits, floats(s.columns[ofLogits])
	if s.probabilities {
		scores, confidences = Probabilities, floats(s.columns[ofProbability])
	}
	var classes []string
	for i, c := range s.columns[ofClass] {
		if c != nothing && int64(c) >= 0 && !math.IsNaN(confidences[i]) {
			classes = append(classes, strconv.FormatInt(int64(c), 10))
		}
	}
	class := Feature{Name: s.spec.Name + ".class", Kind: Class, Side: s.side, Tensor: s.spec.Name, Scores: scores}
	series := b.category(p, class.Name, classes, 0)
	series.Name, series.Reference.Missing = "value", uint64(b.kept-len(classes))
	class.Series = []Series{series}

	confidence := Feature{Name: s.spec.Name + ".confidence", Kind: Confidence, Side: s.side, Tensor: s.spec.Name, Scores: scores}
	series = b.number(p, confidence.Name, confidences)
	series.Name = "value"
	if b.labelled && !slices.Contains(b.labels, -1) {
		series.Correct = b.correct(s, &series, confidences)
	}
	confidence.Series = []Series{series}
	p.Features = append(p.Features, class, confidence)
}

// correct counts the right answers in each bin of confidence.
func (b *Builder) correct(s *source, series *Series, confidences []float64) []uint64 {
	c := newColumn(&Feature{Kind: Confidence}, series, s.spec.Type, 0)
	correct := make([]uint64, len(series.Reference.Bins))
	for i, x := range confidences {
		if at := c.place(x); at >= atBins && s.columns[ofClass][i] == uint64(b.labels[i]) {
			correct[at-atBins]++
		}
	}
	return correct
}

func floats(bits []uint64) []float64 {
	values := make([]float64, len(bits))
	for i, x := range bits {
		values[i] = math.Float64frombits(x)
	}
	return values
}

func distinct[T comparable](values []T) int {
	seen := map[T]struct{}{}
	for _, x := range values {
		seen[x] = struct{}{}
	}
	return len(seen)
}
