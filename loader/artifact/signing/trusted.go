package signing

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

// Trusted is somebody whose signatures are accepted: the holder of one key, or
// of any certificate that leads to one of several roots.
type Trusted struct {
	// Name is how the operator calls the signer.
	Name string
	// Identities narrows certificates: at least one must be the certificate's
	// common name, or a DNS name, mail address or URI among its alternative
	// names. Empty means that every certificate under the roots may sign.
	Identities []string

	key   *ecdsa.PublicKey
	roots *x509.CertPool
}

const (
	pemPublicKey   = "PUBLIC KEY"
	pemCertificate = "CERTIFICATE"
	// Longest chain that a signature may bring along.
	maxChain = 16
)

// ParseTrusted reads what is trusted from PEM: one public key on the curve
// P-256, P-384 or P-521, or certificates, each of which is a root of trust, an
// intermediate authority as much as one that signed itself.
func ParseTrusted(name string, text []byte) (*Trusted, error) {
	t := &Trusted{Name: name}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		switch block.Type {
		case pemPublicKey:
			if t.key != nil || t.roots != nil {
				return nil, errors.New("a public key stands alone: give every key a signer of its own")
			}
			key, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("public key: %w", err)
			}
			if t.key, err = supported(key); err != nil {
				return nil, err
			}
		case pemCertificate:
			if t.key != nil {
				return nil, errors.New("a public key stands alone: give the certificates a signer of their own")
			}
			root, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("certificate: %w", err)
			}
			if t.roots == nil {
				t.roots = x509.NewCertPool()
			}
			t.roots.AddCert(root)
		default:
			return nil, fmt.Errorf("PEM block %q: want a public key or certificates", clip(block.Type))
		}
	}
	if t.key == nil && t.roots == nil {
		return nil, errors.New("no PEM block of a public key or certificate in it")
	}
	return t, nil
}

// IsRoot reports whether certificates are trusted, and not a bare key.
func (t *Trusted) IsRoot() bool { return t.roots != nil }

// supported returns a key of a curve that model-signing signs with.
func supported(key any) (*ecdsa.PublicKey, error) {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T: model signatures are made with ECDSA on P-256, P-384 or P-521", key)
	}
	if _, err := digestFor(k); err != nil {
		return nil, err
	}
	return k, nil
}

// hint is how a signature names the key that made it: the SHA-256 of the
// public key's PEM.
func hint(key *ecdsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "" // not of a supported curve
	}
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: pemPublicKey, Bytes: der}))
	return hex.EncodeToString(sum[:])
}

// accepts checks a certificate that came with a signature, with the others
// that came along, and returns what it is called.
func (t *Trusted) accepts(leaf *x509.Certificate, others *x509.CertPool) error {
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: t.roots, Intermediates: others, CurrentTime: leaf.NotBefore,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return err
	}
	names := identities(leaf)
	if len(t.Identities) > 0 && !slices.ContainsFunc(names, func(n string) bool { return slices.Contains(t.Identities, n) }) {
		return fmt.Errorf("the certificate is of %q, not of %q", names, t.Identities)
	}
	return nil
}

// identities are the names of a certificate.
func identities(c *x509.Certificate) []string {
	var names []string
	if c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	names = append(append(names, c.DNSNames...), c.EmailAddresses...)
	for _, uri := range c.URIs {
		names = append(names, uri.String())
	}
	return names
}

// maySign reports whether a certificate's usage covers signatures, by the rule
// of model-signing: the key usage says so, or the extended one names code
// signing.
func maySign(c *x509.Certificate) bool {
	return c.KeyUsage&x509.KeyUsageDigitalSignature != 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageCodeSigning)
}

// clip shortens text from a file for an error message.
func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}
