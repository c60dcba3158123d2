package signing

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	dsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
)

// errForged is the same whatever signed the envelope.
var errForged = errors.New("the signature does not fit what it signs: the bundle was changed, or signed with another key")

// Signature is a signature that was found good.
type Signature struct {
	// By is the name of the one trusted who made it.
	By string
	// Certificate is the subject of the certificate, empty where a bare key
	// signed.
	Certificate string

	files []Resource
}

// String says who signed, for people.
func (s *Signature) String() string {
	if s.Certificate == "" {
		return s.By
	}
	return s.By + " (" + s.Certificate + ")"
}

// Verify checks a bundle against those trusted. Which files it covers is for
// Covers to say.
func Verify(bundle []byte, trusted []*Trusted) (*Signature, error) {
	b, envelope, err := readBundle(bundle)
	if err != nil {
		return nil, err
	}
	var s *Signature
	material := b.GetVerificationMaterial()
	switch {
	case material.GetPublicKey() != nil:
		s, err = verifyKey(material.GetPublicKey().GetHint(), envelope, trusted)
	case material.GetX509CertificateChain() != nil:
		s, err = verifyChain(material.GetX509CertificateChain().GetCertificates(), envelope, trusted)
	case material.GetCertificate() != nil:
		err = errors.New("a keyless Sigstore signature, which only its transparency log can prove: sign with a key or with a certificate")
	default:
		err = errors.New("the bundle names neither a key nor certificates")
	}
	if err != nil {
		return nil, err
	}
	s.files, err = readStatement(envelope.GetPayload())
	if err != nil {
		return nil, fmt.Errorf("the signed statement: %w", err)
	}
	return s, nil
}

// verifyKey checks a signature of a bare key. Bundles of early releases do not
// say which.
func verifyKey(wanted string, envelope *dsse.Envelope, trusted []*Trusted) (*Signature, error) {
	var known []string
	for _, t := range trusted {
		if t.key == nil {
			continue
		}
		is := hint(t.key)
		known = append(known, fmt.Sprintf("%s %.12s", t.Name, is))
		if wanted != "" && wanted != is {
			continue
		}
		if signedBy(t.key, envelope) {
			return &Signature{By: t.Name}, nil
		}
		if wanted != "" {
			return nil, errForged
		}
	}
	made := "made with a key"
	if wanted != "" {
		made = fmt.Sprintf("made with the key %.12s", clip(wanted))
	}
	return nil, fmt.Errorf("%s that is none of those trusted (%s)", made, orNone(known))
}

// verifyChain checks a signature that brings its certificate along, the
// signer's first.
func verifyChain(chain []*commonv1.X509Certificate, envelope *dsse.Envelope, trusted []*Trusted) (*Signature, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("a chain of %d certificates, want 1 to %d", len(chain), maxChain)
	}
	others := x509.NewCertPool()
	var leaf *x509.Certificate
	for i, c := range chain {
		parsed, err := x509.ParseCertificate(c.GetRawBytes())
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the chain: %w", i, err)
		}
		if i == 0 {
			leaf = parsed
		} else {
			others.AddCert(parsed)
		}
	}
	subject := clip(leaf.Subject.String())
	key, err := supported(leaf.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("certificate %q: %w", subject, err)
	}
	var refused []string
	for _, t := range trusted {
		if t.roots == nil {
			continue
		}
		if err := t.accepts(leaf, others); err != nil {
			refused = append(refused, fmt.Sprintf("%s: %v", t.Name, err))
			continue
		}
		if !maySign(leaf) {
			return nil, fmt.Errorf("certificate %q is not for signing: neither its key usage names digital signatures nor its extended one code signing", subject)
		}
		if !signedBy(key, envelope) {
			return nil, errForged
		}
		return &Signature{By: t.Name, Certificate: subject}, nil
	}
	return nil, fmt.Errorf("certificate %q is trusted by nobody (%s)", subject, orNone(refused))
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "there are none of that kind"
	}
	return strings.Join(names, "; ")
}
