package models

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Version is the one version that every model here has.
const Version = "1"

// Write leaves models, all where none is named, in a folder that a gateway can
// serve: a document <model>.json each with the settings beside it, and the
// artifacts as models/<model>/1. What is there is replaced; a name that no model
// has is passed over.
func Write(dir string, names ...string) error {
	if err := writeFile([]byte(`{"schema": 1}`+"\n"), dir, "_settings.json"); err != nil {
		return err
	}
	for _, n := range networks() {
		if len(names) > 0 && !slices.Contains(names, n.name) {
			continue
		}
		if err := n.write(dir); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return nil
}

func networks() []*network {
	return []*network{
		newNetwork("tiny", 1, [3]int64{32, 1, 1}, 1, nil, []int64{64, 3}),
		newNetwork("cnn", 2, [3]int64{1, 128, 512}, 1, []int64{32, 64, 128, 128}, []int64{8}),
		newNetwork("slow", 3, [3]int64{1, 4, 16}, 32, []int64{64, 128, 256, 128}, []int64{8}),
	}
}

func (n *network) write(dir string) error {
	model := n.onnx()
	manifest, err := n.manifest(model)
	if err != nil {
		return err
	}
	at := filepath.Join("models", n.name, Version)
	document, err := json.Marshal(map[string]any{
		"model":    n.name,
		"versions": map[string]any{Version: map[string]string{"uri": "file:" + at, "digest": fmt.Sprintf("sha256:%x", sha256.Sum256(manifest))}},
		"traffic":  map[string]any{"weights": map[string]int{Version: 100}},
	})
	if err != nil {
		return err
	}
	if err := writeFile(model, dir, at, "model.onnx"); err != nil {
		return err
	}
	if err := writeFile(manifest, dir, at, "manifest.json"); err != nil {
		return err
	}
	return writeFile(append(document, '\n'), dir, n.name+".json")
}

func writeFile(content []byte, path ...string) error {
	file := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}

// described is a tensor of a signature or, with data, of a golden request.
type described struct {
	Name     string          `json:"name"`
	Datatype string          `json:"datatype"`
	Shape    []int64         `json:"shape"`
	Data     json.RawMessage `json:"data,omitempty"`
}

type golden struct {
	Name    string      `json:"name"`
	Inputs  []described `json:"inputs"`
	Outputs []described `json:"outputs"`
}

// How far an answer in single precision may be from one in double precision.
// Values are around 1.
const tolerance = 1e-4

// goldens is how many requests each model has: enough that the same one does
// not always come from the caches of the processor.
const goldens = 3

func (n *network) manifest(model []byte) ([]byte, error) {
	in := described{Name: "input", Datatype: "FP32", Shape: append([]int64{-1}, n.inputShape()...)}
	out := described{Name: "output", Datatype: "FP32", Shape: []int64{-1, n.outputs()}}
	var all []golden
	for seed := range uint64(goldens) {
		numbers, text := sample(seed, n.input[0]*n.input[1]*n.input[2])
		answer, err := json.Marshal(n.answer(numbers))
		if err != nil {
			return nil, err
		}
		one := golden{Name: fmt.Sprintf("noise, seed %d", seed), Inputs: []described{in}, Outputs: []described{out}}
		one.Inputs[0].Shape, one.Inputs[0].Data = append([]int64{1}, in.Shape[1:]...), text
		one.Outputs[0].Shape, one.Outputs[0].Data = append([]int64{1}, out.Shape[1:]...), answer
		all = append(all, one)
	}
	text, err := json.Marshal(map[string]any{
		"schema": 1, "model": n.name,
		"files":     []any{map[string]any{"path": "model.onnx", "size": len(model), "sha256": fmt.Sprintf("%x", sha256.Sum256(model))}},
		"signature": map[string]any{"inputs": []described{in}, "outputs": []described{out}},
		"tolerance": map[string]float64{"absolute": tolerance, "relative": tolerance},
		"goldens":   all,
	})
	return append(text, '\n'), err
}

// sample draws values from 0 to 1 that six digits write exactly, and writes
// them so.
func sample(seed uint64, n int64) ([]float32, []byte) {
	random := rand.New(rand.NewPCG(seed, 1))
	numbers, text := make([]float32, n), []byte{'['}
	for i := range numbers {
		millionths := 10*random.IntN(100_000) + 1 + random.IntN(9) // none ends in a zero
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, "0.%06d", millionths)
		numbers[i] = float32(float64(millionths) / 1e6)
	}
	return numbers, append(text, ']')
}
