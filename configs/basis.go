package configs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Canonical is a document as JSON that Parse reads back as the same document:
// fields in the order of the types, mappings sorted by key, defaults left out,
// indented by two spaces, with a final newline. It panics on a document that
// Parse would not have made: negative durations, weights that are not finite.
func Canonical(d *Document) []byte { return marshalIndented(d) }

// CanonicalSettings is Canonical for settings.
func CanonicalSettings(s *Settings) []byte { return marshalIndented(s) }

// CanonicalOverride is Canonical for overrides.
func CanonicalOverride(o *Override) []byte { return marshalIndented(o) }

func marshalIndented(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("configs: encode %T: %v", v, err))
	}
	return b.Bytes()
}

// Basis is what decisions about the document's traffic rest on: "sha256:" and
// the hex SHA-256 of the rollout block in canonical form (of the traffic block
// where there is none) together with the digests of the versions in it (their
// uri, where there is no digest). It is the same for JSON and YAML of the same
// content, and whatever else changes in the document.
func (d *Document) Basis() string {
	of := basis{Versions: map[string]string{}}
	if d.Rollout != nil {
		of.Rollout = d.Rollout
		of.add(d, d.Rollout.Stable)
		of.add(d, d.Rollout.Canary)
		return of.digest()
	}
	of.Traffic = d.Traffic
	// A weight of 0 is what a version without a weight has, and so is a shadow.
	of.Traffic.Weights, of.Traffic.Shadow = withoutZeros(d.Traffic.Weights), withoutZeros(d.Traffic.Shadow)
	if of.Traffic.Weights == nil {
		of.Traffic.Weights = map[string]float64{} // never nil: the digest of a document without weights is frozen so
	}
	for name := range d.Versions {
		if len(d.Traffic.Weights) == 0 || d.Traffic.Weights[name] > 0 || d.Traffic.Shadow[name] > 0 {
			of.add(d, name)
		}
	}
	return of.digest()
}

// basis is what Document.Basis is the digest of.
type basis struct {
	Rollout  *Rollout          `json:"rollout,omitempty"`
	Traffic  Traffic           `json:"traffic,omitzero"`
	Versions map[string]string `json:"versions"`
}

func (b basis) add(d *Document, version string) {
	v := d.Versions[version]
	b.Versions[version] = cmp.Or(v.Digest, v.URI)
}

func (b basis) digest() string {
	sum := sha256.Sum256(sortedJSON(b))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// sortedJSON is v as JSON with all keys sorted, those of structs too, so that
// the order of fields in a type decides nothing.
func sortedJSON(v any) []byte {
	text, err := json.Marshal(v)
	var generic any
	if err == nil {
		err = json.Unmarshal(text, &generic)
	}
	if err == nil {
		text, err = json.Marshal(generic)
	}
	if err != nil {
		panic(fmt.Sprintf("configs: encode %T: %v", v, err))
	}
	return text
}
