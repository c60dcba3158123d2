package artifact

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/segue-serving/segue/runtime"
)

const (
	// MaxManifestBytes is the largest manifest that is read.
	MaxManifestBytes = 64 << 20
	// How many problems of one manifest are told; a wrong generator makes the
	// same mistake in every golden.
	maxProblems = 20
)

// Parse reads a manifest strictly: unknown, duplicate and misspelt fields,
// wrong types and contradictions are refused, all of them in one error, each
// with its path.
func Parse(body []byte) (*Manifest, error) {
	if len(body) > MaxManifestBytes {
		return nil, fmt.Errorf("%s: %d bytes, more than the %d allowed", ManifestFile, len(body), MaxManifestBytes)
	}
	if err := checkFields[Manifest](body); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	m := new(Manifest)
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	return m, nil
}

// problems collects what is wrong with a manifest.
type problems struct{ found []error }

func (p *problems) add(path, format string, args ...any) {
	if len(p.found) < maxProblems {
		p.found = append(p.found, fmt.Errorf(path+": "+format, args...))
	} else if len(p.found) == maxProblems {
		p.found = append(p.found, errors.New("and more"))
	}
}

// Validate reports everything that is wrong with a manifest as one error, nil
// when nothing is. Golden data is decoded for it and dropped.
func (m *Manifest) Validate() error {
	var p problems
	if m.Schema != Schema {
		p.add("schema", "%d is not supported, want %d", m.Schema, Schema)
		return errors.Join(p.found...)
	}
	m.validateFiles(&p)
	if m.Signature == nil {
		p.add("signature", "is missing")
		return errors.Join(p.found...)
	}
	if len(m.Signature.Outputs) == 0 {
		p.add("signature.outputs", "a model gives at least one output")
	}
	validateSpecs(&p, "signature.inputs", m.Signature.Inputs)
	validateSpecs(&p, "signature.outputs", m.Signature.Outputs)
	m.validateLabels(&p)
	if t := m.Tolerance; t != nil && !(t.Absolute >= 0 && t.Relative >= 0) {
		p.add("tolerance", "absolute and relative must not be negative")
	}
	for i := range m.Goldens {
		m.Goldens[i].validate(&p, fmt.Sprintf("goldens[%d]", i), m.Signature)
	}
	return errors.Join(p.found...)
}

func (m *Manifest) validateFiles(p *problems) {
	if len(m.Files) > MaxFiles {
		p.add("files", "%d files, more than the %d allowed", len(m.Files), MaxFiles)
		return
	}
	seen := make(map[string]bool, len(m.Files))
	for i, f := range m.Files {
		at := fmt.Sprintf("files[%d]", i)
		switch {
		case !validName(f.Path):
			p.add(at+".path", "%q is not a clean relative path inside the folder", clip(f.Path))
		case f.Path == ManifestFile || f.Path == SignatureFile:
			p.add(at+".path", "the manifest cannot list itself, nor its signature")
		case seen[f.Path]:
			p.add(at+".path", "%q is listed twice", clip(f.Path))
		}
		seen[f.Path] = true
		if f.Size < 0 {
			p.add(at+".size", "%d is negative", f.Size)
		}
		if !validSHA256(f.SHA256) {
			p.add(at+".sha256", "want 64 lower-case hexadecimal digits")
		}
	}
	if _, err := m.ModelPath(); err != nil {
		p.add("files", "%w", err)
	}
}

// validName reports whether a file may be called so: a clean path inside the
// folder that prints as it is and means the same to every system.
func validName(name string) bool {
	return fs.ValidPath(name) && name != "." && len(name) <= maxNameBytes && !strings.Contains(name, "\\") &&
		!strings.ContainsFunc(name, unicode.IsControl)
}

func validateSpecs(p *problems, at string, specs []runtime.TensorSpec) {
	seen := make(map[string]bool, len(specs))
	for i, s := range specs {
		at := fmt.Sprintf("%s[%d]", at, i)
		if s.Name == "" {
			p.add(at+".name", "is missing")
		} else if seen[s.Name] {
			p.add(at+".name", "%q is there twice", clip(s.Name))
		}
		seen[s.Name] = true
		if s.Type == runtime.Invalid {
			p.add(at+".datatype", "is missing")
		}
		if s.Shape == nil {
			p.add(at+".shape", "is missing; a scalar's shape is []")
		}
		for _, d := range s.Shape {
			if d < runtime.Dynamic {
				p.add(at+".shape", "size %d is negative; -1 is a size known only from a request", d)
			}
		}
	}
}

func (m *Manifest) validateLabels(p *problems) {
	outputs := make([]string, 0, len(m.Labels))
	for output := range m.Labels {
		outputs = append(outputs, output)
	}
	slices.Sort(outputs)
	for _, output := range outputs {
		at := fmt.Sprintf("labels[%q]", clip(output))
		i := m.Signature.Output(output)
		if i < 0 {
			p.add(at, "the model has no such output")
			continue
		}
		shape := m.Signature.Outputs[i].Shape
		if len(shape) == 0 {
			continue
		}
		if classes := shape[len(shape)-1]; classes != runtime.Dynamic && classes != int64(len(m.Labels[output])) {
			p.add(at, "%d labels for %d classes", len(m.Labels[output]), classes)
		}
	}
}

func (g *Golden) validate(p *problems, at string, signature *runtime.Signature) {
	given := make(map[string]bool, len(g.Inputs))
	check := func(at string, data []TensorData, specs []runtime.TensorSpec) {
		given := make(map[string]bool, len(data))
		for i := range data {
			at := fmt.Sprintf("%s[%d]", at, i)
			d := &data[i]
			spec := slices.IndexFunc(specs, func(s runtime.TensorSpec) bool { return s.Name == d.Name })
			if spec < 0 {
				p.add(at+".name", "%q is not in the signature", clip(d.Name))
				continue
			}
			if given[d.Name] {
				p.add(at+".name", "%q is given twice", clip(d.Name))
			}
			given[d.Name] = true
			if d.Type != specs[spec].Type {
				p.add(at+".datatype", "%s, but the signature says %s", d.Type, specs[spec].Type)
			}
			if err := specs[spec].Check(d.Shape); err != nil {
				p.add(at+".shape", "%w", err)
			}
			if _, err := d.Tensor(); err != nil {
				p.add(at, "%w", err)
			}
		}
	}
	check(at+".inputs", g.Inputs, signature.Inputs)
	check(at+".outputs", g.Outputs, signature.Outputs)
	for _, d := range g.Inputs {
		given[d.Name] = true
	}
	for _, s := range signature.Inputs {
		if !given[s.Name] {
			p.add(at+".inputs", "%q is missing", clip(s.Name))
		}
	}
	if len(g.Outputs) == 0 {
		p.add(at+".outputs", "no answer is given to compare with")
	}
}

// clip shortens text from a file for an error message.
func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}

// Tolerance says how far a number may differ from the golden one: by Absolute
// plus Relative times the golden number's magnitude.
type Tolerance struct {
	Absolute float64 `json:"absolute"`
	Relative float64 `json:"relative"`
}

// DefaultTolerance returns the tolerance in force where a manifest says none.
func DefaultTolerance() Tolerance { return Tolerance{Absolute: 1e-4, Relative: 1e-3} }

func (t Tolerance) within(got, want float64) bool {
	if got == want || math.IsNaN(got) && math.IsNaN(want) {
		return true
	}
	// An infinite golden number would make the allowance infinite.
	return !math.IsInf(want, 0) && math.Abs(got-want) <= t.Absolute+t.Relative*math.Abs(want)
}
