package payload

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/segue-serving/segue/bench/load"
)

// versionHeader names the version that answered.
const versionHeader = "Segue-Model-Version"

// Checker knows what every version must answer to every sample. Learn comes
// first and alone; Check may then be called by many goroutines at once.
type Checker struct {
	tolerance Tolerance
	known     map[string][]reference
	// anonymous is the version that stands for all answers of a server which
	// does not name one.
	anonymous string
}

// reference is an answer that agreed with the golden one.
type reference struct {
	body    []byte
	outputs []Output
}

// NewChecker returns a checker that knows no version.
func NewChecker(t Tolerance) *Checker { return &Checker{tolerance: t, known: map[string][]reference{}} }

// NewAnonymousChecker returns a checker for a server that serves one version and
// does not say which.
func NewAnonymousChecker(t Tolerance, version string) *Checker {
	c := NewChecker(t)
	c.anonymous = version
	return c
}

// version is the one that an answer names.
func (c *Checker) version(a load.Answer) string {
	if c.anonymous != "" {
		return c.anonymous
	}
	return string(a.Header(versionHeader))
}

// Learn takes the answer of a version to its manifest's golden request i, after
// comparing it with the golden answer.
func (c *Checker) Learn(version string, m *Manifest, i int, a load.Answer) error {
	if err := c.identify(version, a); err != nil {
		return err
	}
	outputs, err := DecodeAnswer(a)
	if err != nil {
		return fmt.Errorf("version %s: %w", version, err)
	}
	if err := m.Tolerance.Compare(outputs, m.Goldens[i].Outputs); err != nil {
		return fmt.Errorf("version %s on %q: %w", version, m.Goldens[i].Name, err)
	}
	if len(c.known[version]) != i {
		return fmt.Errorf("version %s: answer %d is learnt out of order", version, i)
	}
	c.known[version] = append(c.known[version], reference{slices.Clone(a.Body()), outputs})
	return nil
}

func (c *Checker) identify(version string, a load.Answer) error {
	if a.Code() != 200 {
		return fmt.Errorf("version %s: status %d: %.200s", version, a.Code(), a.Body())
	}
	if got := c.version(a); got != version {
		return fmt.Errorf("version %q answered for version %s", got, version)
	}
	return nil
}

// TellsApart returns an error where two versions answer some sample alike, so
// that an answer under the wrong name would not be noticed.
func (c *Checker) TellsApart(a, b string) error {
	for i := range c.known[a] {
		if c.tolerance.Compare(c.known[a][i].outputs, c.known[b][i].outputs) == nil {
			return fmt.Errorf("versions %s and %s answer golden request %d alike", a, b, i)
		}
	}
	return nil
}

// Check compares the answer to sample i with that of the version which it
// names. The error wraps load.ErrRefused where the server says that it has too
// much to do.
func (c *Checker) Check(i int, a load.Answer) error {
	switch code := a.Code(); code {
	case 200:
	case 429, 503:
		return fmt.Errorf("%w: status %d: %.200s", load.ErrRefused, code, a.Body())
	default:
		return fmt.Errorf("status %d: %.200s", code, a.Body())
	}
	version := c.version(a)
	known, ok := c.known[version]
	if !ok {
		return fmt.Errorf("an answer of version %q, which is not served", version)
	}
	if bytes.Equal(a.Body(), known[i].body) {
		return nil
	}
	outputs, err := DecodeAnswer(a)
	if err == nil {
		err = c.tolerance.Compare(outputs, known[i].outputs)
	}
	if err != nil {
		return fmt.Errorf("version %s: %w", version, err)
	}
	return nil
}

// Echo returns a check for a server that must answer these very bytes.
func Echo(bodies [][]byte) func(i int, a load.Answer) error {
	return func(i int, a load.Answer) error {
		if a.Code() != 200 || !bytes.Equal(a.Body(), bodies[i]) {
			return errors.New("an echo that differs from what was recorded")
		}
		return nil
	}
}
