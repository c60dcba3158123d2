package configs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// checkSignatures is for signers and rules of the settings.
func checkSignatures(s *Settings, r *report) {
	names := map[string]int{}
	known := make([]string, 0, len(s.Signers))
	for i, signer := range s.Signers {
		path := indexPath("signers", i)
		if r.at[path+".name"] != nil && !r.spoilt(path+".name") {
			if err := CheckName(signer.Name); err != nil {
				r.problem(path+".name", "%s", err)
			}
			once(r, names, signer.Name, i, path+".name", "the name of signers")
			known = append(known, signer.Name)
		}
		checkSigner(signer, path, r)
	}
	for i, rule := range s.RequireSignature {
		path := indexPath("require_signature", i)
		if !r.spoilt("signers") {
			checkSigners(rule.Signers, path+".signers", known, r)
		}
	}
}

func checkSigner(s Signer, path string, r *report) {
	switch {
	case r.spoilt(path) || r.spoilt(path+".pem") || r.spoilt(path+".file"):
		return
	case (s.PEM == "") == (s.File == ""):
		r.problem(path, "give either pem or file")
		return
	case s.PEM == "":
		return
	}
	certificates, err := checkPEM([]byte(s.PEM))
	if err != nil {
		r.problem(path+".pem", "%s", err)
	} else if !certificates && len(s.Identities) > 0 {
		r.problem(path+".identities", "a public key has no names: they are for certificates")
	}
}

// checkPEM says what is wrong with the PEM of a signer.
func checkPEM(text []byte) (certificates bool, err error) {
	blocks := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		switch block.Type {
		case "CERTIFICATE":
			certificates = true
			if _, err := x509.ParseCertificate(block.Bytes); err != nil {
				return false, fmt.Errorf("block %d is no certificate: %w", blocks, err)
			}
		case "PUBLIC KEY":
			parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return false, fmt.Errorf("block %d is no public key: %w", blocks, err)
			}
			key, ok := parsed.(*ecdsa.PublicKey)
			if !ok || !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve) {
				return false, errors.New("is not a key that signs models: want ECDSA on P-256, P-384 or P-521")
			}
			if blocks > 1 {
				return false, errors.New("a public key stands alone: give every key a signer of its own")
			}
		default:
			return false, fmt.Errorf("holds a PEM block %s: want PUBLIC KEY or CERTIFICATE", quoteShort(block.Type))
		}
		if certificates && block.Type != "CERTIFICATE" {
			return false, errors.New("a public key stands alone: give every key a signer of its own")
		}
	}
	if blocks == 0 {
		return false, errors.New("is no PEM: want a block PUBLIC KEY, or blocks CERTIFICATE")
	}
	return certificates, nil
}

// checkSigners is for lists of signers' names; known are those there are, nil
// where that is not known here.
func checkSigners(names []string, path string, known []string, r *report) {
	if len(names) == 0 && r.at[path] != nil && !r.spoilt(path) {
		r.problem(path, "empty: nobody could sign; name signers, or leave it out")
	}
	for i, name := range names {
		at := indexPath(path, i)
		switch {
		case r.spoilt(at):
		case CheckName(name) != nil:
			r.problem(at, "%s", CheckName(name))
		case slices.Index(names, name) < i:
			r.warn(at, "%q is there twice", name)
		case known != nil && !slices.Contains(known, name):
			r.problem(at, "there is no signer %q%s", name, didYouMean(name, known))
		}
	}
}

// Covers reports whether the rule is for a version whose document lies in base.
func (r SignatureRule) Covers(v Version, base string) bool {
	return strings.HasPrefix(v.URI, r.Prefix) ||
		strings.HasPrefix(v.URI, "file:") && strings.HasPrefix("file:"+filepath.ToSlash(v.filePath(base)), r.Prefix)
}
