package drift

import "errors"

// ErrNoFeatures says that no feature is left to compare.
var ErrNoFeatures = errors.New("drift profile: no feature is left to compare")

// With returns a profile of the features that keep chooses. Windows of it do
// not add up with those of the whole profile. It is an error where none is
// left.
func (p *Profile) With(keep func(feature string) bool) (*Profile, error) {
	fewer := *p
	fewer.Features, fewer.plan = nil, nil
	for _, f := range p.Features {
		if keep(f.Name) {
			fewer.Features = append(fewer.Features, f)
		}
	}
	if len(fewer.Features) == 0 {
		return nil, ErrNoFeatures
	}
	return &fewer, fewer.complete()
}

// AsReference returns a profile whose reference is what a window counted, in the
// bins that it counted in. What the reference knew beside counts (categories
// seen once, right answers by confidence) it does not know. Source says in words
// what the window is of.
func (w *Window) AsReference(source string) (*Profile, error) {
	p := *w.profile
	p.Source, p.Samples, p.DesignEffect, p.Notes, p.plan = source, w.rows, w.unevenness(), nil, nil
	p.Features = make([]Feature, len(w.profile.Features))
	for i, f := range w.profile.Features {
		f.Series = append([]Series(nil), f.Series...)
		for j := range f.Series {
			f.Series[j].Reference, f.Series[j].Singletons, f.Series[j].Correct = w.Counts(i, j), 0, nil
		}
		p.Features[i] = f
	}
	return &p, p.complete()
}
