package signing

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	bundlev1 "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	dsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType = "application/vnd.in-toto+json"
)

const (
	// FileName is what a signature is called in the artifact's folder. It is the
	// one file of a version that it does not sign.
	FileName = "manifest.json.sig"
	// MaxBundleBytes is the largest signature that is read: room for ten
	// thousand files with names of 300 bytes.
	MaxBundleBytes = 8 << 20
)

// readBundle parses a bundle as far as the envelope. sigstore-go's own reader
// cannot be used: it refuses a chain of certificates in a v0.3 bundle, which is
// what model-signing writes.
func readBundle(body []byte) (*bundlev1.Bundle, *dsse.Envelope, error) {
	if len(body) > MaxBundleBytes {
		return nil, nil, fmt.Errorf("%d bytes, more than the %d allowed", len(body), MaxBundleBytes)
	}
	b := new(bundlev1.Bundle)
	// Fields of later releases are ignored, as by model-signing; what counts
	// of a bundle is checked below, and proved by the signature.
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(body, b); err != nil {
		return nil, nil, fmt.Errorf("not a readable Sigstore bundle: %w", err)
	}
	if b.GetMediaType() != bundleType {
		return nil, nil, fmt.Errorf("a bundle of type %q, want %s", clip(b.GetMediaType()), bundleType)
	}
	envelope := b.GetDsseEnvelope()
	switch {
	case envelope == nil:
		return nil, nil, errors.New("the bundle holds no DSSE envelope")
	case envelope.GetPayloadType() != payloadType:
		return nil, nil, fmt.Errorf("the envelope's payload is %q, want %s", clip(envelope.GetPayloadType()), payloadType)
	case len(envelope.GetSignatures()) != 1:
		return nil, nil, fmt.Errorf("the envelope holds %d signatures, want one", len(envelope.GetSignatures()))
	}
	return b, envelope, nil
}

// writeBundle writes a bundle; equal ones give equal bytes, which protojson
// alone takes care not to promise.
func writeBundle(b *bundlev1.Bundle) ([]byte, error) {
	written, err := protojson.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, written); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	return append(compact.Bytes(), '\n'), nil
}

// preAuthentication is what is signed of a payload, by the DSSE protocol.
func preAuthentication(payload []byte) []byte {
	return slices.Concat(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload)), payload)
}

// digestFor is the hash that goes with a key's curve.
func digestFor(key *ecdsa.PublicKey) (crypto.Hash, error) {
	switch name := key.Curve.Params().Name; name {
	case "P-256":
		return crypto.SHA256, nil
	case "P-384":
		return crypto.SHA384, nil
	case "P-521":
		return crypto.SHA512, nil
	default:
		return 0, fmt.Errorf("a key on the curve %s, want P-256, P-384 or P-521", name)
	}
}

func hashed(hash crypto.Hash, message []byte) []byte {
	h := hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// signedBy reports whether a key made the envelope's signature.
func signedBy(key *ecdsa.PublicKey, envelope *dsse.Envelope) bool {
	hash, err := digestFor(key)
	if err != nil {
		return false
	}
	message := hashed(hash, preAuthentication(envelope.GetPayload()))
	return ecdsa.VerifyASN1(key, message, envelope.GetSignatures()[0].GetSig())
}
