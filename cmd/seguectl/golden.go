package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// maxGolden bounds the file of a golden request, and each array in it.
const maxGolden = artifact.MaxManifestBytes

// ask gives the manifest its golden requests: those of the flags, answered, or
// the old ones where the model is the same.
func (p *packing) ask(ctx context.Context, dir string, m, old *artifact.Manifest) error {
	if len(p.goldens) == 0 {
		if len(old.Goldens) > 0 {
			if changed, err := changedWeights(dir, m, old); err != nil {
				return err
			} else if changed != "" {
				return fmt.Errorf("%s is not what the golden answers in the manifest are of: give --golden again, or --golden none", changed)
			}
		}
		m.Goldens = old.Goldens
		return nil
	}
	if slices.Equal(p.goldens, []string{"none"}) {
		return nil
	}
	names := map[string]bool{}
	var open []artifact.Golden
	for _, arg := range p.goldens {
		name, file, ok := strings.Cut(arg, "=")
		if !ok {
			name, file = "", arg
		}
		g, err := readGolden(file, m.Signature)
		if err != nil {
			return fmt.Errorf("golden request %s: %w", file, err)
		}
		if name != "" {
			g.Name = name
		}
		if names[g.Name] {
			return usageError{fmt.Errorf("two golden requests are called %q: name them by NAME=FILE", g.Name)}
		}
		names[g.Name] = true
		if m.Goldens = append(m.Goldens, g); len(g.Outputs) == 0 {
			open = append(open, g)
		}
	}
	if len(open) == 0 {
		return nil
	}
	model, err := m.ModelPath()
	if err != nil {
		return err
	}
	answered, err := p.answers(ctx, filepath.Join(dir, filepath.FromSlash(model)), open)
	if err != nil {
		return err
	}
	for i := range m.Goldens {
		if at := slices.IndexFunc(answered, func(g artifact.Golden) bool { return g.Name == m.Goldens[i].Name }); at >= 0 {
			m.Goldens[i].Outputs = answered[at].Outputs
		}
	}
	return nil
}

// changedWeights names a file that decides the model's answers, the model or its
// external data, and is not the one that an older manifest lists; empty where
// all are.
func changedWeights(dir string, m, old *artifact.Manifest) (string, error) {
	model, err := m.ModelPath()
	if err != nil {
		return "", err
	}
	file, err := os.Open(filepath.Join(dir, filepath.FromSlash(model)))
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	graph, err := artifact.ReadONNX(file, info.Size())
	if err != nil {
		return "", fmt.Errorf("%s: %w", model, err)
	}
	names := []string{model}
	for _, e := range graph.External {
		names = append(names, path.Join(path.Dir(model), e.Location))
	}
	for _, f := range m.Files {
		if slices.Contains(names, f.Path) && !slices.Contains(old.Files, f) {
			return f.Path, nil
		}
	}
	return "", nil
}

// readGolden reads a golden request, with its answers where the file has them.
// It is called as the file, unless that says otherwise.
func readGolden(file string, signature *runtime.Signature) (artifact.Golden, error) {
	info, err := os.Stat(file)
	if err != nil {
		return artifact.Golden{}, err
	}
	if info.Size() > maxGolden {
		return artifact.Golden{}, fmt.Errorf("%d bytes, more than the %d allowed", info.Size(), maxGolden)
	}
	var g artifact.Golden
	switch ext := filepath.Ext(file); ext {
	case ".json":
		var text []byte
		if text, err = os.ReadFile(file); err == nil {
			g, err = parseGolden(text, signature)
		}
	case ".npz":
		g, err = readArrays(file, signature)
	default:
		err = fmt.Errorf("%q is neither .json nor .npz", ext)
	}
	if g.Name == "" {
		g.Name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	return g, err
}

// parseGolden reads an inference request as the gateway does, and the outputs
// that may stand beside its inputs.
func parseGolden(text []byte, signature *runtime.Signature) (artifact.Golden, error) {
	var request struct {
		Name    string          `json:"name"`
		Inputs  json.RawMessage `json:"inputs"`
		Outputs []struct {
			artifact.TensorData
			Parameters json.RawMessage `json:"parameters"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal(text, &request); err != nil {
		return artifact.Golden{}, err
	}
	body, err := json.Marshal(map[string]json.RawMessage{"inputs": request.Inputs})
	if err != nil {
		return artifact.Golden{}, err
	}
	var decoded oip.InferRequest
	if err := oip.DecodeInfer(&decoded, signature, body, -1, oip.Limits{}, heap{}); err != nil {
		return artifact.Golden{}, err
	}
	g := artifact.Golden{Name: request.Name}
	for i := range decoded.Inputs {
		data, err := artifact.NewTensorData(&decoded.Inputs[i])
		if err != nil {
			return artifact.Golden{}, fmt.Errorf("input %w", err)
		}
		g.Inputs = append(g.Inputs, data)
	}
	for _, output := range request.Outputs {
		if output.Data == nil {
			continue // asked for by name, as requests may
		}
		tensor, err := output.Tensor()
		if err != nil {
			return artifact.Golden{}, fmt.Errorf("output %q: %w", output.Name, err)
		}
		data, err := artifact.NewTensorData(&tensor)
		if err != nil {
			return artifact.Golden{}, fmt.Errorf("output %w", err)
		}
		g.Outputs = append(g.Outputs, data)
	}
	return g, nil
}

// heap gives inputs memory of their own.
type heap struct{}

func (heap) Input(_ int, _ []int64, size int) ([]byte, error) { return make([]byte, size), nil }
