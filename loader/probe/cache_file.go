package probe

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
)

const (
	verdictsFile   = "verdicts.json"
	verdictsSchema = 1
)

// kept is the file: the verdicts, and the SHA-256 of their bytes, so that a
// file that a disk or a hand changed is no verdict.
type kept struct {
	Schema   int             `json:"schema"`
	SHA256   string          `json:"sha256"`
	Verdicts json.RawMessage `json:"verdicts"`
}

// readVerdicts reads what writeVerdicts wrote; no file is no verdicts.
func readVerdicts(folder string) ([]verdict, error) {
	text, err := os.ReadFile(filepath.Join(folder, verdictsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, fmt.Errorf("%s: %w", verdictsFile, err)
	}
	if k.Schema != verdictsSchema {
		return nil, fmt.Errorf("%s: schema %d, want %d", verdictsFile, k.Schema, verdictsSchema)
	}
	if sum := digestOf(k.Verdicts); sum != k.SHA256 {
		return nil, fmt.Errorf("%s: SHA-256 of the verdicts is %s, want %s", verdictsFile, sum, k.SHA256)
	}
	var verdicts []verdict
	if err := json.Unmarshal(k.Verdicts, &verdicts); err != nil {
		return nil, fmt.Errorf("%s: %w", verdictsFile, err)
	}
	return verdicts, nil
}

// writeVerdicts puts all verdicts on disk in one step.
func writeVerdicts(folder string, verdicts []verdict) error {
	// A signature can be as large as a hostile model makes it, and whoever opens
	// the model has it anyway.
	verdicts = slices.Clone(verdicts)
	for i := range verdicts {
		verdicts[i].Report.Signature = nil
	}
	body, err := json.Marshal(verdicts)
	if err != nil {
		return err
	}
	text, err := json.Marshal(kept{Schema: verdictsSchema, SHA256: digestOf(body), Verdicts: body})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(filepath.Join(folder, verdictsFile), text, 0o600)
}

func digestOf(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
