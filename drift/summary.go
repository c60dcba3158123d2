package drift

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/segue-serving/segue/runtime"
)

const (
	// projectionCount random projections see what no summary scalar does.
	projectionCount = 16
	// projectionTerms elements at most are summed in a projection, as in very
	// sparse random projections (Li, Hastie and Church, KDD 2006): one of a
	// 150,528-element image costs 1 µs so.
	projectionTerms = 1024
	// sortedElements at most are sorted for the quantiles of a row: every k-th.
	sortedElements = 256
	// maxAxes of a row have a centroid.
	maxAxes = 4
)

// scalars are the summaries of every row, in the order of summarize.
var scalarNames = [...]string{"mean", "std", "min", "max", "p10", "p50", "p90", "skewness", "kurtosis", "zero_share", "energy", "roughness", "nonfinite_share"}

// seriesOf names the series that a feature has.
func (p *Profile) seriesOf(f *Feature, spec *runtime.TensorSpec) []string {
	if f.Kind != Tensor {
		return []string{"value"}
	}
	names := slices.Clone(scalarNames[:])
	axes := rowShape(p.Signature.Batches(), spec.Shape)
	for i := range min(len(axes), maxAxes) {
		names = append(names, fmt.Sprintf("centroid[%d]", i))
	}
	if p.rowElements(spec) == runtime.Dynamic {
		return append(names, "elements")
	}
	for i := range projectionCount {
		names = append(names, fmt.Sprintf("projection[%d]", i))
	}
	return names
}

// newProjections draws which elements each projection sums with which sign.
// PCG is specified, so a seed and a tensor's name give the same ones for ever.
func newProjections(seed uint64, tensor string, elements int64) [][]uint32 {
	stream := uint64(14695981039346656037) // FNV-1a
	for i := range len(tensor) {
		stream = (stream ^ uint64(tensor[i])) * 1099511628211
	}
	random := rand.New(rand.NewPCG(seed, stream))
	all := make([][]uint32, projectionCount)
	elements = min(elements, 1<<31)
	terms := min(elements, projectionTerms)
	for i := range all {
		all[i] = make([]uint32, terms)
		for j := range all[i] {
			position := uint64(j)
			if elements > terms {
				position = random.Uint64N(uint64(elements))
			}
			all[i][j] = uint32(position) | uint32(random.Uint64()&1)<<31
		}
	}
	return all
}

// count summarizes one row of a tensor and counts each of its series.
func (t *tensorPlan) count(counts []uint64, values []float64, shape []int64) {
	var scalars [len(scalarNames) + maxAxes + 1]float64
	found := t.summarize(scalars[:0], values, shape)
	for i, x := range found {
		t.series[i].number(counts, x)
	}
	for i, terms := range t.projections {
		t.series[len(found)+i].number(counts, project(values, terms))
	}
}

// each calls visit with every series of a row, for the builder.
func (t *tensorPlan) each(values []float64, shape []int64, visit func(series int, x float64)) {
	found := t.summarize(nil, values, shape)
	for i, x := range found {
		visit(i, x)
	}
	for i, terms := range t.projections {
		visit(len(found)+i, project(values, terms))
	}
}

// project is a signed sum over the root of its terms, elements that are not
// finite left out.
func project(values []float64, terms []uint32) float64 {
	sum := 0.0
	for _, t := range terms {
		x := values[t&^(1<<31)]
		if x-x != 0 { // NaN or infinite
			continue
		}
		if t>>31 == 0 {
			sum += x
		} else {
			sum -= x
		}
	}
	if len(terms) == 0 {
		return math.NaN()
	}
	return sum / math.Sqrt(float64(len(terms)))
}

// summarize appends the summary scalars of one row of this shape. A row
// without a finite element has no value but its share of them.
func (t *tensorPlan) summarize(to, values []float64, shape []int64) []float64 {
	var n, sum, squares, zeros, rough, last float64
	least, most := math.Inf(1), math.Inf(-1)
	for _, x := range values {
		if x-x != 0 {
			continue
		}
		if n > 0 {
			rough += math.Abs(x - last)
		}
		if x == 0 {
			zeros++
		}
		n++
		sum += x
		squares += x * x
		least, most, last = min(least, x), max(most, x), x
	}
	if n == 0 {
		least, most = math.NaN(), math.NaN()
	}
	mean := sum / n
	var m2, m3, m4 float64
	for _, x := range values {
		if x-x != 0 {
			continue
		}
		d := x - mean
		m2 += d * d
		m3 += d * d * d
		m4 += d * d * d * d
	}
	m2, m3, m4 = m2/n, m3/n, m4/n
	// A constant row has neither skewness nor kurtosis: 0 for both.
	skewness, kurtosis := 0.0, 0.0
	if m2 > 0 {
		skewness, kurtosis = m3/(m2*math.Sqrt(m2)), m4/(m2*m2)-3
	}
	if n == 0 {
		skewness, kurtosis = math.NaN(), math.NaN()
	}
	low, middle, high := tenths(values)
	nonfinite := 0.0
	if len(values) > 0 {
		nonfinite = 1 - n/float64(len(values))
	}
	to = append(to, mean, math.Sqrt(m2), least, most, low, middle, high, skewness, kurtosis, zeros/n, squares/n, rough/max(n-1, 1), nonfinite)
	to = centroids(to, values, shape)
	if t.projections == nil {
		to = append(to, float64(len(values)))
	}
	return to
}

// tenths are the 10 %, 50 % and 90 % quantiles of a row, of evenly spaced
// elements where it has many.
func tenths(values []float64) (low, middle, high float64) {
	var some [sortedElements]float64
	n := 0
	step := (len(values) + sortedElements - 1) / sortedElements
	for i := 0; i < len(values); i += step {
		if x := values[i]; x-x == 0 {
			some[n] = x
			n++
		}
	}
	if n == 0 {
		return math.NaN(), math.NaN(), math.NaN()
	}
	slices.Sort(some[:n])
	at := func(q float64) float64 { return some[int(q*float64(n-1)+0.5)] }
	return at(0.1), at(0.5), at(0.9)
}

// centroids appends where on each axis of a row the magnitude lies, from 0 to
// 1: which pitch, which time, which side of an image. A row of zeros has none.
func centroids(to, values []float64, shape []int64) []float64 {
	inner := len(values)
	for i, size := range shape {
		if i == maxAxes {
			break
		}
		if size < 1 || inner == 0 {
			to = append(to, math.NaN())
			continue
		}
		inner /= int(size)
		weight, moment := 0.0, 0.0
		for start, block := 0, 0; start < len(values); start, block = start+inner, block+1 {
			sum := 0.0
			for _, x := range values[start : start+inner] {
				if x-x == 0 {
					sum += math.Abs(x)
				}
			}
			weight += sum
			moment += sum * float64(block%int(size))
		}
		to = append(to, moment/weight/float64(max(size-1, 1)))
	}
	return to
}
