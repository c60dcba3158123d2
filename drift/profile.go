package drift

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"

	"github.com/segue-serving/segue/runtime"
)

const (
	// Schema is the version of the profile's format that this package reads and
	// writes.
	Schema = 1
	// MaxProfileBytes is the largest profile that is read.
	MaxProfileBytes = 4 << 20
	// MaxFeatures is how many features a profile may have.
	MaxFeatures = 512
	// MaxSeries is how many series all features of a profile may have together.
	MaxSeries = 4096
	// MaxSamples is how many rows a profile may be of.
	MaxSamples = 1 << 40
	// MaxBins is how many bins one series may have.
	MaxBins = 1024
)

// Profile is the reference that a model's inputs and answers are compared
// with: for every feature fixed bins and how many rows of the reference fell
// into each. It lies beside the model as drift-profile.json. A profile is
// immutable once it is parsed or built, and safe for concurrent use.
type Profile struct {
	// Schema is the version of this format.
	Schema int `json:"schema"`
	// Model and Version are whose reference this is; empty means any.
	Model   string `json:"model,omitempty"`
	Version string `json:"version,omitempty"`
	// Signature is what that model takes and gives.
	Signature *runtime.Signature `json:"signature"`
	// Source says in words what the reference was made from.
	Source string `json:"source,omitempty"`
	// Samples is how many rows the counts are of.
	Samples uint64 `json:"samples"`
	// DesignEffect is by how much the variance of counts is larger because rows
	// of one unit are alike, where units were known; else it is left out.
	DesignEffect float64 `json:"design_effect,omitempty"`
	// Seed is that of the random projections.
	Seed uint64 `json:"seed"`
	// Features in the order in which reports and windows have them: inputs
	// first, each side in the signature's order.
	Features []Feature `json:"features"`
	// Notes say what was found odd while the profile was made, for people.
	Notes []string `json:"notes,omitempty"`

	plan *plan
}

// Feature is one thing that can drift.
type Feature struct {
	// Name is unique in the profile, and the metric's label.
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Side and Tensor say where it is read.
	Side   Side   `json:"side"`
	Tensor string `json:"tensor"`
	// Column is the position within a row of the tensor; 0 for kinds that take
	// the whole row.
	Column int `json:"column,omitempty"`
	// Scores says how to read class scores, for Class and Confidence only.
	Scores Scores `json:"scores,omitempty"`
	// Series are the binned quantities: one, or many for a tensor.
	Series []Series `json:"series"`
}

// Series is one binned quantity of a feature with its reference.
type Series struct {
	// Name is "value" where a feature has one series, else the summary scalar
	// ("mean") or the projection ("projection[3]").
	Name string `json:"name"`
	// Edges are the bins of numbers, one more than there are bins, each larger
	// than the one before: bin i holds edge i and what lies up to edge i+1, which
	// the last bin holds too. The first and last edge are the reference's least
	// and greatest finite value, equal where it had but one. Empty where the
	// reference had none.
	Edges []float64 `json:"edges,omitempty"`
	// Categories are the bins of a category: decimal integers, texts, "false" and
	// "true", or positions of classes.
	Categories []string `json:"categories,omitempty"`
	// Other adds a last bin for every category that is not listed; then none is
	// unseen.
	Other bool `json:"other,omitempty"`
	// Singletons is how many categories the reference held just once, by which
	// the share of those it never met is judged (Good, 1953).
	Singletons uint64 `json:"singletons,omitempty"`
	// Reference is what the reference held.
	Reference Counts `json:"reference"`
	// Correct is how many answers of each bin of a confidence were right, where
	// the reference had labels.
	Correct []uint64 `json:"correct,omitempty"`
}

// Counts are how many rows fell where. Bins and the four others are disjoint.
type Counts struct {
	Bins []uint64 `json:"bins"`
	// Missing rows had no value: NaN, or an empty text.
	Missing uint64 `json:"missing,omitempty"`
	// Unseen rows had a category that the reference does not list, or any value
	// at all where the reference had none.
	Unseen uint64 `json:"unseen,omitempty"`
	// Below and Above rows lay beyond the first and last edge; infinities do.
	Below uint64 `json:"below,omitempty"`
	Above uint64 `json:"above,omitempty"`
}

// Total is the number of rows counted, those in bins and those that no bin took:
// missing, unseen, below and above.
func (c *Counts) Total() uint64 {
	total := c.Missing + c.Unseen + c.Below + c.Above
	for _, n := range c.Bins {
		total += n
	}
	return total
}

// bins returns how many bins the series has.
func (s *Series) bins() int {
	n := max(len(s.Edges)-1, 0) + len(s.Categories)
	if s.Other {
		n++
	}
	return n
}

// Check says why a profile is not the reference of this model, nil when it is.
// Version may be empty where it is not known yet.
func (p *Profile) Check(signature *runtime.Signature, model, version string) error {
	switch {
	case p.Model != "" && p.Model != model:
		return fmt.Errorf("drift profile: made for model %q, not for %q", clip(p.Model), model)
	case p.Version != "" && version != "" && p.Version != version:
		return fmt.Errorf("drift profile: made for version %q, not for %q", clip(p.Version), version)
	}
	if err := fits("input", p.Signature.Inputs, signature.Inputs); err != nil {
		return err
	}
	return fits("output", p.Signature.Outputs, signature.Outputs)
}

func fits(side string, made, model []runtime.TensorSpec) error {
	for _, m := range made {
		found := false
		for _, s := range model {
			if s.Name != m.Name {
				continue
			}
			found = true
			if s.Type != m.Type {
				return fmt.Errorf("drift profile: %s %q was %s, the model's is %s", side, clip(m.Name), m.Type, s.Type)
			}
			if runtime.FormatShape(s.Shape) != runtime.FormatShape(m.Shape) {
				return fmt.Errorf("drift profile: %s %q had shape %s, the model's has %s", side, clip(m.Name), runtime.FormatShape(m.Shape), runtime.FormatShape(s.Shape))
			}
		}
		if !found {
			return fmt.Errorf("drift profile: made for a model with %s %q, which this one has not", side, clip(m.Name))
		}
	}
	if len(made) != len(model) {
		return fmt.Errorf("drift profile: made for a model with %d %ss, this one has %d", len(made), side, len(model))
	}
	return nil
}

// Marshal writes a profile as it lies in drift-profile.json. Equal profiles
// give equal bytes.
func (p *Profile) Marshal() ([]byte, error) {
	body, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return nil, fmt.Errorf("drift profile: %w", err)
	}
	if len(body) >= MaxProfileBytes {
		return nil, fmt.Errorf("drift profile: %d bytes, more than the %d allowed: leave features out", len(body), MaxProfileBytes)
	}
	return append(body, '\n'), nil
}

// fingerprint tells whether two profiles bin alike, so that counts of one can
// be added to counts of the other. The reference's counts are not in it.
func (p *Profile) fingerprint() uint64 {
	h := fnv.New64a()
	for _, f := range p.Features {
		fmt.Fprintf(h, "%q %s %s %q %d %s\n", f.Name, f.Kind, f.Side, f.Tensor, f.Column, f.Scores)
		for _, s := range f.Series {
			fmt.Fprintf(h, "%q %x %q %t\n", s.Name, s.Edges, s.Categories, s.Other)
		}
	}
	_, _ = io.WriteString(h, fmt.Sprint(p.Seed))
	return h.Sum64()
}
