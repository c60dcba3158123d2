package signing

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Policy says whose signatures are known, and whose a version needs.
type Policy struct {
	// Trusted are all those whose signatures are known.
	Trusted []*Trusted
	// Unusable says, by name, why a signer that the operator named is not among
	// those trusted.
	Unusable map[string]error
	// Required are the rules that a version has to keep, all of them. Without
	// any it needs no signature.
	Required []Rule
}

// Rule asks for a signature by one of several.
type Rule struct {
	// Where says where the rule is written, for messages.
	Where string
	// Signers are the names of those of whom one must have signed. Without any
	// nobody can, and Where says why.
	Signers []string
}

// Judge returns an error where a version may not be served under the policy: s
// is its signature, and err why it has none.
func (p *Policy) Judge(s *Signature, err error) error {
	for _, rule := range p.Required {
		if s != nil && slices.Contains(rule.Signers, s.By) {
			continue
		}
		if len(rule.Signers) == 0 {
			return errors.New(rule.Where)
		}
		wanted := fmt.Sprintf("%s wants a signature by %s", rule.Where, strings.Join(rule.Signers, " or "))
		for _, name := range rule.Signers {
			if why := p.Unusable[name]; why != nil {
				wanted += fmt.Sprintf(" (%s cannot be used: %v)", name, why)
			}
		}
		switch {
		case s != nil:
			return fmt.Errorf("signed by %s, and %s", s, wanted)
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("not signed, and %s: sign the version (seguectl sign) and put %s beside its manifest", wanted, FileName)
		default:
			return fmt.Errorf("%s, and %s: sign the version again (seguectl sign)", err, wanted)
		}
	}
	return nil
}
