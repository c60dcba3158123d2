package drift

import (
	"errors"
	"fmt"
)

// maxProblems is how many problems of one profile are told; a wrong generator
// makes the same mistake in every feature.
const maxProblems = 20

// problems collects what is wrong with a profile, each with its path.
type problems struct{ found []error }

func (p *problems) add(path, format string, args ...any) {
	switch {
	case len(p.found) < maxProblems:
		p.found = append(p.found, fmt.Errorf("%s: %w", path, fmt.Errorf(format, args...)))
	case len(p.found) == maxProblems:
		p.found = append(p.found, errors.New("and more"))
	}
}

func (p *problems) err() error { return errors.Join(p.found...) }
