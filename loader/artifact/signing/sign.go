package signing

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	bundlev1 "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	dsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
)

// Signer makes signatures with a private key and, where it has one, in the name
// of a certificate.
type Signer struct {
	key   *ecdsa.PrivateKey
	chain []*x509.Certificate
}

// ParseSigner reads a private key from PEM, as OpenSSL writes it: SEC 1 or
// PKCS #8, not encrypted, on the curve P-256, P-384 or P-521.
func ParseSigner(text []byte) (*Signer, error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("no PEM block of a private key in it")
		}
		text = rest
		var key any
		var err error
		switch block.Type {
		case "EC PARAMETERS":
			continue // OpenSSL writes the curve before the key
		case "EC PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, errors.New("the key is encrypted: decrypt it first, with openssl pkey")
			}
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the key is encrypted: decrypt it first, with openssl pkey")
		default:
			return nil, fmt.Errorf("PEM block %q: want a private key", clip(block.Type))
		}
		if err != nil {
			return nil, fmt.Errorf("private key: %w", err)
		}
		private, ok := key.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("a key of type %T: model signatures are made with ECDSA on P-256, P-384 or P-521", key)
		}
		if _, err := digestFor(&private.PublicKey); err != nil {
			return nil, err
		}
		return &Signer{key: private}, nil
	}
}

// WithCertificate returns a signer in the name of a certificate, given as PEM
// with the authorities between it and the root behind it, in any number.
func (s *Signer) WithCertificate(text []byte) (*Signer, error) {
	named := &Signer{key: s.key}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemCertificate {
			return nil, fmt.Errorf("PEM block %q: want certificates", clip(block.Type))
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		named.chain = append(named.chain, c)
	}
	switch n := len(named.chain); {
	case n == 0:
		return nil, errors.New("no PEM block of a certificate in it")
	case n > maxChain:
		return nil, fmt.Errorf("%d certificates, more than the %d allowed", n, maxChain)
	case !s.key.PublicKey.Equal(named.chain[0].PublicKey):
		return nil, fmt.Errorf("the first certificate, of %q, is not of this private key", named.chain[0].Subject.String())
	case !maySign(named.chain[0]):
		return nil, fmt.Errorf("certificate %q is not for signing: neither its key usage names digital signatures nor its extended one code signing",
			named.chain[0].Subject.String())
	}
	return named, nil
}

// Sign signs a model's files and returns the bundle. The same files signed with
// the same key give the same bytes (RFC 6979), so a pipeline that runs twice
// makes one artifact.
func (s *Signer) Sign(model string, files []Resource) ([]byte, error) {
	payload, err := writeStatement(model, files)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(files, func(f Resource) bool { return slices.Contains(ignored(), f.Name) }) {
		return nil, fmt.Errorf("a file with one of the names %q cannot be signed: model-signing leaves those out", ignored())
	}
	hash, err := digestFor(&s.key.PublicKey)
	if err != nil {
		return nil, err
	}
	sum, err := s.key.Sign(nil, hashed(hash, preAuthentication(payload)), hash)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return writeBundle(&bundlev1.Bundle{
		MediaType:            bundleType,
		VerificationMaterial: s.material(),
		Content: &bundlev1.Bundle_DsseEnvelope{DsseEnvelope: &dsse.Envelope{
			Payload: payload, PayloadType: payloadType, Signatures: []*dsse.Signature{{Sig: sum}},
		}},
	})
}

func (s *Signer) material() *bundlev1.VerificationMaterial {
	if len(s.chain) == 0 {
		return &bundlev1.VerificationMaterial{Content: &bundlev1.VerificationMaterial_PublicKey{
			PublicKey: &commonv1.PublicKeyIdentifier{Hint: hint(&s.key.PublicKey)},
		}}
	}
	chain := new(commonv1.X509CertificateChain)
	for _, c := range s.chain {
		chain.Certificates = append(chain.Certificates, &commonv1.X509Certificate{RawBytes: c.Raw})
	}
	return &bundlev1.VerificationMaterial{Content: &bundlev1.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}}
}
