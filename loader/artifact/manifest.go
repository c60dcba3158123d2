package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/segue-serving/segue/loader/artifact/signing"
	"github.com/segue-serving/segue/runtime"
)

const (
	// ManifestFile is the manifest's name in an artifact's folder.
	ManifestFile = "manifest.json"
	// ModelFile is the model's name in a packed artifact's folder.
	ModelFile = "model.onnx"
	// ProfileFile is the drift reference profile's name.
	ProfileFile = "drift-profile.json"
	// SignatureFile is the name of an artifact's detached signature, a Sigstore
	// bundle as model-signing writes it. It is never listed in the manifest,
	// since it signs that too; whatever copies a version copies it as well where
	// it is there, beside the manifest and before it.
	SignatureFile = signing.FileName
	// MaxSignatureBytes is the largest signature that is read.
	MaxSignatureBytes = signing.MaxBundleBytes
	// MaxFiles is how many files a version may have. External data is shared by
	// the tensors, so that real ones have a handful.
	MaxFiles = 10_000
	// Schema is the version of the manifest's format that this package reads
	// and writes.
	Schema = 1
)

// Manifest describes one version. It is immutable once parsed or made.
type Manifest struct {
	Schema int `json:"schema"`
	// Model is the name under which the artifact was packed. It may be served
	// under another.
	Model string `json:"model"`
	// Files lists every file of the version but the manifest itself.
	Files []File `json:"files"`
	// Signature is nil only in a manifest made on the way for a graph that
	// does not declare all its shapes: then the engine's counts.
	Signature *runtime.Signature `json:"signature,omitempty"`
	// Labels names the classes of an output's last dimension, by output.
	Labels map[string][]string `json:"labels,omitempty"`
	// Tolerance bounds how far a golden answer may differ; nil means
	// DefaultTolerance.
	Tolerance *Tolerance `json:"tolerance,omitempty"`
	// Goldens are requests with the answers that the model must give.
	Goldens []Golden `json:"goldens,omitempty"`
	// Provenance says where the model came from, left out where nobody knows.
	Provenance *Provenance `json:"provenance,omitempty"`
}

// File is one file of an artifact.
type File struct {
	// Path is relative to the artifact's folder, clean and slash separated.
	Path string `json:"path"`
	// Size is in bytes.
	Size int64 `json:"size"`
	// SHA256 is the file's hash in 64 lower-case hexadecimal digits.
	SHA256 string `json:"sha256"`
}

// Golden is one request and the answers expected to it.
type Golden struct {
	Name    string       `json:"name"`
	Inputs  []TensorData `json:"inputs"`
	Outputs []TensorData `json:"outputs"`
}

// Provenance says where a model came from, all in free text. What is not known is
// left out.
type Provenance struct {
	// Commit is the Git commit of the code that trained it.
	Commit string `json:"commit,omitempty"`
	// Data is the version of the data that it was trained on.
	Data string `json:"data,omitempty"`
	// Run is the id of the training run.
	Run string `json:"run,omitempty"`
	// Command made the artifact.
	Command string `json:"command,omitempty"`
}

// Tolerances returns the tolerance in force for the golden answers.
func (m *Manifest) Tolerances() Tolerance {
	if m.Tolerance == nil {
		return DefaultTolerance()
	}
	return *m.Tolerance
}

// ModelPath returns the slash-separated relative path of the ONNX file:
// model.onnx where that is listed, else the only listed file ending in .onnx.
func (m *Manifest) ModelPath() (string, error) {
	found := ""
	for _, f := range m.Files {
		switch {
		case f.Path == ModelFile:
			return ModelFile, nil
		case strings.EqualFold(path.Ext(f.Path), ".onnx"):
			if found != "" {
				return "", fmt.Errorf("%s and %s are listed, and neither is %s", found, f.Path, ModelFile)
			}
			found = f.Path
		}
	}
	if found == "" {
		return "", fmt.Errorf("no %s is listed", ModelFile)
	}
	return found, nil
}

// Marshal writes a manifest as it lies in manifest.json. Equal manifests give
// equal bytes, so a manifest made twice of the same files has one digest.
func Marshal(m *Manifest) ([]byte, error) {
	body, err := layOut(m)
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	return body, nil
}

// Digest returns the digest of a manifest's bytes, "sha256:" and 64
// hexadecimal digits.
func Digest(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ValidDigest reports whether a string is written as Digest writes them.
func ValidDigest(digest string) bool {
	hexadecimal, ok := strings.CutPrefix(digest, "sha256:")
	return ok && validSHA256(hexadecimal)
}

func validSHA256(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}
