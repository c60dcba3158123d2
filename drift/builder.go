package drift

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/segue-serving/segue/runtime"
)

// Options say how a profile is made. The zero value of each is its default.
type Options struct {
	// Model, Version and Source are written into the profile.
	Model, Version, Source string
	// Seed is that of the random projections and of the sample of rows, 1 by
	// default.
	Seed uint64
	// Bins of a number, 10 by default.
	Bins int
	// Categories listed of a category; the others share one bin. 128 by default.
	Categories int
	// Rows that are kept at most, drawn uniformly from all, 100,000 by default.
	Rows int
	// Memory bounds the rows too: that many bytes, 256 MiB by default.
	Memory int
	// Kinds overrule what is read from the data, by tensor: Numeric or Categorical
	// for whole numbers, Categorical or TextLength for texts, Class, Score or
	// Tensor for numbers of an output, Tensor for numbers of an input.
	Kinds map[string]Kind
	// Ignore leaves tensors out.
	Ignore []string
}

const (
	// maxColumns values of a row are features of their own, more are one tensor.
	maxColumns = 64
	// maxClasses scores of a row are those of a classifier, more are one tensor.
	maxClasses = 4096
	// wholeCategories different whole numbers at most are taken for categories.
	wholeCategories = 20
	// textCategories different texts at most are taken for categories.
	textCategories = 128
	// longestCategory in bytes that can be listed.
	longestCategory = 128
)

// Builder makes a profile from rows of data. Its memory is bounded: of more
// rows than it may keep it keeps a uniform sample, the same for the same rows
// in the same order. It is for one goroutine.
type Builder struct {
	options   Options
	signature *runtime.Signature
	plan      *plan // no features, for its checks and rows
	sources   []source
	notes     []string
	random    *rand.Rand
	seen      uint64
	units     units
	kept      int
	most      int
	labels    []int64
	labelled  bool
	values    []float64
}

// NewBuilder begins a profile for models of this signature.
func NewBuilder(signature *runtime.Signature, o Options) (*Builder, error) {
	if o.Seed == 0 {
		o.Seed = 1
	}
	o.Bins = orDefault(o.Bins, 10)
	o.Categories = orDefault(o.Categories, 128)
	o.Rows = orDefault(o.Rows, 100_000)
	o.Memory = orDefault(o.Memory, 256<<20)
	if o.Bins < 2 || o.Bins > MaxBins || o.Categories < 1 || o.Categories >= MaxBins || o.Rows < 1 || o.Memory < 1 {
		return nil, fmt.Errorf("drift profile: bins from 2 to %d, categories from 1 to %d, and at least one row", MaxBins, MaxBins-1)
	}
	b := &Builder{
		options: o, signature: signature, random: rand.New(rand.NewPCG(o.Seed, 0)),
		plan: &plan{signature: signature, batched: signature.Batches()},
	}
	var found problems
	validateSpecs(&found, "inputs", signature.Inputs)
	validateSpecs(&found, "outputs", signature.Outputs)
	for name := range o.Kinds {
		if signature.Input(name) < 0 && signature.Output(name) < 0 {
			found.add("kinds", "the model has neither input nor output %q", clip(name))
		}
	}
	for _, side := range []Side{Input, Output} {
		specs := signature.Inputs
		if side == Output {
			specs = signature.Outputs
		}
		for i := range specs {
			if !slices.Contains(o.Ignore, specs[i].Name) {
				b.read(&found, side, &specs[i])
			}
		}
	}
	if err := found.err(); err != nil {
		return nil, fmt.Errorf("drift profile: %w", err)
	}
	width := 8
	for _, s := range b.sources {
		width += 8 * len(s.columns)
		if s.texts() {
			width += 32 * len(s.columns)
		}
	}
	b.most = max(1, min(o.Rows, o.Memory/width))
	return b, nil
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// Rows are those of one request or one batch of data.
type Rows struct {
	// Inputs and Outputs are matched by name; Outputs may be left out.
	Inputs, Outputs []runtime.Tensor
	// Labels are the right class of each row, nil where nobody knows.
	Labels []int64
	// Unit is a hash of who sent them, 0 where nobody knows or each is from
	// another.
	Unit uint64
}

// Add takes rows. A tensor that is not as the signature says is an error, and
// then nothing is taken.
func (b *Builder) Add(r Rows) error {
	rows, err := b.plan.rows(r.Inputs, r.Outputs)
	if err != nil || rows == 0 {
		return err
	}
	if r.Labels != nil && int64(len(r.Labels)) != rows {
		return fmt.Errorf("drift profile: %d labels for %d rows", len(r.Labels), rows)
	}
	b.units.add(r.Unit, uint64(rows))
	for row := range int(rows) {
		slot := b.slot()
		if slot < 0 {
			continue
		}
		label := int64(-1)
		if r.Labels != nil {
			label, b.labelled = r.Labels[row], true
		}
		b.labels = put(b.labels, slot, label)
		for i := range b.sources {
			s := &b.sources[i]
			tensors := r.Inputs
			if s.side == Output {
				tensors = r.Outputs
			}
			if t := named(tensors, s.spec.Name); t != nil {
				b.take(s, t, row, int(rows), slot)
			} else {
				s.absent(slot)
			}
		}
	}
	return nil
}

// slot is where the next row is kept, -1 where it is not (Vitter's algorithm
// R, 1985).
func (b *Builder) slot() int {
	b.seen++
	if b.kept < b.most {
		b.kept++
		return b.kept - 1
	}
	if at := b.random.Uint64N(b.seen); at < uint64(b.most) {
		return int(at)
	}
	return -1
}

func put[T any](values []T, at int, x T) []T {
	if at == len(values) {
		return append(values, x)
	}
	values[at] = x
	return values
}

// Rows returns how many rows were added.
func (b *Builder) Rows() uint64 { return b.seen }

// Profile makes the profile of the rows added so far. It is an error where
// there are none, or where no tensor can be watched.
func (b *Builder) Profile() (*Profile, error) {
	if b.kept == 0 {
		return nil, errors.New("drift profile: the data has no rows")
	}
	p := &Profile{
		Schema: Schema, Model: b.options.Model, Version: b.options.Version, Signature: b.signature,
		Source: b.options.Source, Samples: uint64(b.kept), Seed: b.options.Seed, Notes: slices.Clone(b.notes),
	}
	// Of a sample, rows of one unit meet as much more seldom.
	if effect := 1 + (b.units.unevenness(b.seen)-1)*float64(b.kept)/float64(b.seen); effect > 1 {
		p.DesignEffect = effect
	}
	if b.seen > uint64(b.kept) {
		p.Notes = append(p.Notes, fmt.Sprintf("a sample of %d rows, drawn from %d", b.kept, b.seen))
	}
	for i := range b.sources {
		if s := &b.sources[i]; s.met {
			b.features(p, s)
		} else {
			p.Notes = append(p.Notes, fmt.Sprintf("%s %q is not in the data and not watched", s.side, s.spec.Name))
		}
	}
	if len(p.Features) == 0 {
		return nil, errors.New("drift profile: no input or output of the model can be watched")
	}
	unique(p.Features)
	if err := p.complete(); err != nil {
		return nil, fmt.Errorf("drift profile: %w", err)
	}
	return p, nil
}

// unique gives an output's feature another name where an input's has it.
func unique(features []Feature) {
	names := map[string]bool{}
	for i := range features {
		for names[features[i].Name] {
			features[i].Name += " (" + string(features[i].Side) + ")"
		}
		names[features[i].Name] = true
	}
}
