package models

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/runtime"
)

// profiled is how many inputs a profile is made of. What it says is not
// compared with anything that is measured: it is there for its bins.
const profiled = 64

// AddProfile copies the artifact of a model that Write wrote into another
// folder, with a reference for its drift beside it. Those of Write have none:
// its last bits may differ from machine to machine, and with it the digest.
func AddProfile(model, from, to string) error {
	i := slices.IndexFunc(networks(), func(n *network) bool { return n.name == model })
	if i < 0 {
		return fmt.Errorf("there is no model %q to make a profile of", model)
	}
	profile, err := networks()[i].profile()
	if err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	at := filepath.Join(to, "manifest.json")
	text, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	var manifest map[string]any
	if err := json.Unmarshal(text, &manifest); err != nil {
		return err
	}
	files, _ := manifest["files"].([]any)
	manifest["files"] = append(files, map[string]any{"path": "drift-profile.json", "size": len(profile), "sha256": fmt.Sprintf("%x", sha256.Sum256(profile))})
	if text, err = json.Marshal(manifest); err != nil {
		return err
	}
	if err := os.WriteFile(at, text, 0o644); err != nil {
		return err
	}
	return writeFile(profile, to, "drift-profile.json")
}

// profile is a reference for the drift of the network: noise as in the goldens,
// and the goldens' answers in turn.
func (n *network) profile() ([]byte, error) {
	spec := func(name string, shape ...int64) runtime.TensorSpec {
		return runtime.TensorSpec{Name: name, Type: runtime.FP32, Shape: append([]int64{runtime.Dynamic}, shape...)}
	}
	b, err := drift.NewBuilder(&runtime.Signature{
		Inputs:  []runtime.TensorSpec{spec("input", n.inputShape()...)},
		Outputs: []runtime.TensorSpec{spec("output", n.outputs())},
	}, drift.Options{Model: n.name, Version: Version})
	if err != nil {
		return nil, err
	}
	var answers [goldens][]float32
	for seed := range uint64(profiled) {
		numbers, _ := sample(seed, n.input[0]*n.input[1]*n.input[2])
		if seed < goldens {
			answers[seed] = n.answer(numbers)
		}
		err := b.Add(drift.Rows{
			Inputs:  []runtime.Tensor{row("input", n.inputShape(), numbers)},
			Outputs: []runtime.Tensor{row("output", []int64{n.outputs()}, answers[seed%goldens])},
		})
		if err != nil {
			return nil, err
		}
	}
	profile, err := b.Profile()
	if err != nil {
		return nil, err
	}
	return profile.Marshal()
}

// row is a tensor of one row.
func row(name string, shape []int64, numbers []float32) runtime.Tensor {
	t := runtime.Tensor{Name: name, Type: runtime.FP32, Shape: append([]int64{1}, shape...)}
	for _, x := range numbers {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(x))
	}
	return t
}
