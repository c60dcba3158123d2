package drift

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/segue-serving/segue/runtime"
)

// Parse reads a profile strictly: unknown and duplicate fields, wrong types and
// contradictions are refused, all of them in one error, each with its path.
// What it accepts never makes a Window or Judge fail.
func Parse(body []byte) (*Profile, error) {
	if len(body) > MaxProfileBytes {
		return nil, fmt.Errorf("drift profile: %d bytes, more than the %d allowed", len(body), MaxProfileBytes)
	}
	if err := checkFields(body, reflect.TypeFor[Profile]()); err != nil {
		return nil, fmt.Errorf("drift profile: %w", err)
	}
	p := new(Profile)
	if err := json.Unmarshal(body, p); err != nil {
		return nil, fmt.Errorf("drift profile: %w", err)
	}
	if err := p.complete(); err != nil {
		return nil, fmt.Errorf("drift profile: %w", err)
	}
	return p, nil
}

// complete validates a profile and lays out its plan.
func (p *Profile) complete() error {
	var found problems
	p.validate(&found)
	if err := found.err(); err != nil {
		return err
	}
	p.plan = newPlan(p)
	return nil
}

func (p *Profile) validate(found *problems) {
	if p.Schema != Schema {
		found.add("schema", "%d is not supported, want %d", p.Schema, Schema)
		return
	}
	if p.Signature == nil {
		found.add("signature", "is missing")
		return
	}
	validateSpecs(found, "signature.inputs", p.Signature.Inputs)
	validateSpecs(found, "signature.outputs", p.Signature.Outputs)
	if len(p.Features) > MaxFeatures {
		found.add("features", "%d, more than the %d allowed", len(p.Features), MaxFeatures)
		return
	}
	if p.Samples > MaxSamples {
		found.add("samples", "%d, more than the %d allowed", p.Samples, uint64(MaxSamples))
	}
	if p.DesignEffect != 0 && !(p.DesignEffect >= 1) {
		found.add("design_effect", "%v, want at least 1", p.DesignEffect)
	}
	names := map[string]bool{}
	series := 0
	for i := range p.Features {
		f := &p.Features[i]
		at := fmt.Sprintf("features[%d]", i)
		if f.Name == "" {
			found.add(at+".name", "is missing")
		} else if names[f.Name] {
			found.add(at+".name", "%q is there twice", clip(f.Name))
		}
		names[f.Name] = true
		p.validateFeature(found, at, f)
		series += len(f.Series)
	}
	if series > MaxSeries {
		found.add("features", "%d series together, more than the %d allowed", series, MaxSeries)
	}
}

func validateSpecs(found *problems, at string, specs []runtime.TensorSpec) {
	seen := map[string]bool{}
	for i, s := range specs {
		at := fmt.Sprintf("%s[%d]", at, i)
		if s.Name == "" {
			found.add(at+".name", "is missing")
		} else if seen[s.Name] {
			found.add(at+".name", "%q is there twice", clip(s.Name))
		}
		seen[s.Name] = true
		if s.Type == runtime.Invalid {
			found.add(at+".datatype", "is missing")
		}
		for _, d := range s.Shape {
			if d < runtime.Dynamic {
				found.add(at+".shape", "size %d is negative; -1 is a size known only from a request", d)
			}
		}
	}
}

func (p *Profile) validateFeature(found *problems, at string, f *Feature) {
	spec := p.spec(f.Side, f.Tensor)
	switch {
	case f.Kind == "":
		found.add(at+".kind", "is missing")
		return
	case f.Side == "":
		found.add(at+".side", "is missing")
		return
	case spec == nil:
		found.add(at+".tensor", "the signature has no %s %q", f.Side, clip(f.Tensor))
		return
	}
	if why := unsuited(f, spec, p.rowElements(spec)); why != "" {
		found.add(at, "%s", why)
	}
	wanted := p.seriesOf(f, spec)
	if len(f.Series) != len(wanted) {
		found.add(at+".series", "%d of them, a feature of this kind and shape has %d", len(f.Series), len(wanted))
		return
	}
	for j := range f.Series {
		s := &f.Series[j]
		at := fmt.Sprintf("%s.series[%d]", at, j)
		if s.Name != wanted[j] {
			found.add(at+".name", "%q, want %q", clip(s.Name), wanted[j])
		}
		p.validateSeries(found, at, f, s, spec)
	}
}

// unsuited says why a kind cannot be read from a tensor, empty when it can.
func unsuited(f *Feature, spec *runtime.TensorSpec, elements int64) string {
	text := spec.Type == runtime.BYTES
	inRow := elements == runtime.Dynamic || int64(f.Column) < elements
	switch f.Kind {
	case Numeric, Score:
		if text || spec.Type == runtime.BOOL {
			return fmt.Sprintf("%s tensors hold no numbers", spec.Type)
		}
	case Categorical:
		if spec.Type.IsFloat() || spec.Type == runtime.BOOL {
			return fmt.Sprintf("%s tensors hold no categories", spec.Type)
		}
	case Boolean:
		if spec.Type != runtime.BOOL {
			return fmt.Sprintf("%s tensors hold no booleans", spec.Type)
		}
	case TextLength:
		if !text {
			return fmt.Sprintf("%s tensors hold no texts", spec.Type)
		}
	case Tensor:
		if text {
			return "BYTES tensors hold no numbers"
		}
		inRow = f.Column == 0
	case Class, Confidence:
		if !spec.Type.IsFloat() || f.Scores == "" {
			return "a class is read from floating point scores, and scores says how"
		}
		inRow = f.Column == 0 && (elements == runtime.Dynamic || elements > 1)
	}
	if f.Column < 0 || !inRow {
		return fmt.Sprintf("column %d is not in a row of %d", f.Column, elements)
	}
	return ""
}
