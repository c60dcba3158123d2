package gateway

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/loader/artifact/signing"
)

// signatures tell the loader whose signature a version needs. The reconciler
// sets the rules, the loader's goroutines ask.
type signatures struct {
	rules atomic.Pointer[signatureRules]
}

// signatureRules are what settings and documents say. They are read-only once
// set.
type signatureRules struct {
	signers  []configs.Signer
	required []configs.SignatureRule
	// byModel are the documents' own.
	byModel map[string][]string
	// unknown says why nothing is known of the settings, though they may ask for
	// signatures.
	unknown string
}

// errLoadedBefore stands for the signature of a version that was in memory
// before anybody asked for one.
var errLoadedBefore = errors.New("its signature was not judged when it was loaded")

// policy is what a version is held against, with the keys as they are in
// memory or in their files now.
func (s *signatures) policy(w loader.Wanted) signing.Policy {
	rules := s.rules.Load()
	if rules == nil {
		return signing.Policy{}
	}
	p := signing.Policy{Required: rules.of(w), Unusable: map[string]error{}}
	for _, signer := range rules.signers {
		trusted, err := trust(signer)
		if err != nil {
			p.Unusable[signer.Name] = err
			continue
		}
		p.Trusted = append(p.Trusted, trusted)
	}
	for _, rule := range p.Required {
		for _, name := range rule.Signers {
			if !slices.ContainsFunc(rules.signers, func(s configs.Signer) bool { return s.Name == name }) {
				p.Unusable[name] = errors.New("settings.signers does not name it")
			}
		}
	}
	return p
}

// of are the rules for a version.
func (r *signatureRules) of(w loader.Wanted) []signing.Rule {
	var rules []signing.Rule
	if r.unknown != "" {
		rules = append(rules, signing.Rule{Where: r.unknown})
	}
	for i, rule := range r.required {
		if rule.Covers(configs.Version{URI: w.URI}, w.Base) {
			rules = append(rules, signing.Rule{Where: fmt.Sprintf("settings.require_signature[%d]", i), Signers: rule.Signers})
		}
	}
	if signers := r.byModel[w.Model]; len(signers) > 0 {
		rules = append(rules, signing.Rule{Where: "the document's require_signature", Signers: signers})
	}
	return rules
}

func trust(signer configs.Signer) (*signing.Trusted, error) {
	text := []byte(signer.PEM)
	if signer.File != "" {
		var err error
		if text, err = os.ReadFile(signer.File); err != nil {
			return nil, err
		}
	}
	trusted, err := signing.ParseTrusted(signer.Name, text)
	if err != nil {
		return nil, err
	}
	trusted.Identities = signer.Identities
	return trusted, nil
}

// unsigned says which rule of now a version in memory does not keep, nil where it
// keeps all. It serves on: what serves is never taken away by a setting.
func (s *signatures) unsigned(w loader.Wanted, by *signing.Signature) error {
	rules := s.rules.Load()
	if rules == nil {
		return nil
	}
	p := signing.Policy{Required: rules.of(w)}
	return p.Judge(by, errLoadedBefore)
}

// stateSignatures tells the loader the rules that are in force now. Settings that
// cannot be used, where there are none from before, may ask for signatures:
// then nothing is loaded before they are mended, so that a slip does not let in
// what they keep out.
func (r *reconciler) stateSignatures() {
	rules := &signatureRules{byModel: map[string][]string{}}
	switch s := &r.settings; {
	case cmp.Or(s.inForce, s.awaitsKey) != nil:
		settings := cmp.Or(s.inForce, s.awaitsKey)
		rules.signers, rules.required = settings.Signers, settings.RequireSignature
	case len(s.problems) > 0 && (s.newest.Problem != "" || bytes.Contains(s.newest.Value, []byte("require_signature"))):
		rules.unknown = "whether it must be signed is not known: the settings cannot be used, and have to be mended first"
	}
	for name, m := range r.models {
		if a := cmp.Or(m.wanted, m.inForce, m.lastGood); a != nil {
			rules.byModel[name] = a.doc.RequireSignature
		}
	}
	r.signatures.rules.Store(rules)
}

// checkSigners says which signers of a document nobody knows.
func (r *reconciler) checkSigners(doc *configs.Document) (problems []error) {
	var known []configs.Signer
	if r.settings.inForce != nil {
		known = r.settings.inForce.Signers
	}
	for i, name := range doc.RequireSignature {
		if !slices.ContainsFunc(known, func(s configs.Signer) bool { return s.Name == name }) {
			problems = append(problems, fmt.Errorf("require_signature[%d]: %q is not among settings.signers: name it there with its public key or roots", i, name))
		}
	}
	return problems
}
