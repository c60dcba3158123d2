package configs

import (
	"bytes"
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
// the hex SHA-256 of the traffic block in canonical form together with the
// digests of the versions that have a share (their uri, where there is no
// digest). It is the same for JSON and YAML of the same content, and whatever
// else changes in the document.
func (d *Document) Basis() string {
	traffic := d.Traffic
	traffic.Weights = map[string]float64{}
	versions := map[string]string{}
	for name, v := range d.Versions {
		// A weight of 0 is what a version without a weight has.
		if weight := d.Traffic.Weights[name]; weight > 0 {
			traffic.Weights[name] = weight
		} else if len(d.Traffic.Weights) > 0 {
			continue
		}
		versions[name] = v.Digest
		if v.Digest == "" {
			versions[name] = v.URI
		}
	}
	text := sortedJSON(struct {
		Traffic  Traffic           `json:"traffic,omitzero"`
		Versions map[string]string `json:"versions"`
	}{traffic, versions})
	sum := sha256.Sum256(text)
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
