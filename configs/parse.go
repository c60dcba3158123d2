package configs

// Parse reads one model's document, JSON (it starts with {) or YAML. The error
// is *Problems with everything that is wrong; the warnings are about what is
// accepted and probably not meant. Where e.Name is empty the document may be
// of any model.
func Parse(e Entry) (*Document, []Warning, error) {
	r := newReport()
	d := new(Document)
	if n := parseTree(e, r); n != nil {
		decode(n, d, r)
		checkDocument(d, e, r)
	}
	if err := r.err(e.Where); err != nil {
		return nil, nil, err
	}
	return d, r.warnings, nil
}

// ParseSettings reads the settings of the whole gateway like Parse.
func ParseSettings(e Entry) (*Settings, []Warning, error) {
	r := newReport()
	s := new(Settings)
	if n := parseTree(e, r); n != nil {
		decode(n, s, r)
		checkSettings(s, r)
	}
	if err := r.err(e.Where); err != nil {
		return nil, nil, err
	}
	return s, r.warnings, nil
}

// ParseOverride reads an override like Parse. Whether it fits the model's
// document is for Override.Check.
func ParseOverride(e Entry) (*Override, error) {
	r := newReport()
	o := new(Override)
	if n := parseTree(e, r); n != nil {
		decode(n, o, r)
		checkOverride(o, r)
	}
	if err := r.err(e.Where); err != nil {
		return nil, err
	}
	return o, nil
}
