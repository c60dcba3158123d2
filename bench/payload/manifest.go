package payload

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/runtime"
)

// Manifest is what is needed of an artifact's manifest.
type Manifest struct {
	Model     string            `json:"model"`
	Signature runtime.Signature `json:"signature"`
	Tolerance Tolerance         `json:"tolerance"`
	Goldens   []Golden          `json:"goldens"`
}

// Tolerance is how far a number may be from the golden one.
type Tolerance struct {
	Absolute float64 `json:"absolute"`
	Relative float64 `json:"relative"`
}

// Golden is a request with the answer that must come.
type Golden struct {
	Name    string            `json:"name"`
	Inputs  []json.RawMessage `json:"inputs"`
	Outputs []Output          `json:"outputs"`
}

// Read reads the manifest of the artifact in a folder.
func Read(dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return nil, err
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", filepath.Base(dir), err)
	}
	if len(m.Goldens) == 0 {
		return nil, errors.New("the manifest has no golden requests to send")
	}
	return &m, nil
}

// Sample is one golden request.
type Sample struct {
	Name string
	// Inputs are tensors in the signature's order, fit for a runtime.Session.
	// Their memory is never given back.
	Inputs []runtime.Tensor
	// JSON is the request's body with the numbers as the manifest has them.
	JSON []byte
}

// Samples reads every golden request.
func (m *Manifest) Samples() ([]Sample, error) {
	pool := runtime.NewPool()
	samples := make([]Sample, len(m.Goldens))
	for i, golden := range m.Goldens {
		s := &samples[i]
		s.Name = golden.Name
		body, err := json.Marshal(map[string]any{"inputs": golden.Inputs})
		if err != nil {
			return nil, fmt.Errorf("golden request %q: %w", golden.Name, err)
		}
		s.JSON = body
		var decoded oip.InferRequest
		if err := oip.DecodeInfer(&decoded, &m.Signature, body, -1, oip.Limits{}, allocator{pool}); err != nil {
			return nil, fmt.Errorf("golden request %q: %w", golden.Name, err)
		}
		s.Inputs = decoded.Inputs
	}
	return samples, nil
}

// allocator gives the decoder memory that a session can read.
type allocator struct{ pool *runtime.Pool }

// Input returns size bytes of the pool.
func (a allocator) Input(_ int, _ []int64, size int) ([]byte, error) {
	memory, err := a.pool.Get(size)
	if err != nil {
		return nil, err
	}
	return memory.Bytes(), nil
}
