package oip

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// refusals decodes every file of a folder against the signature that the first
// part of its name stands for, and lists how each was refused.
func refusals(t *testing.T, folder string, signatures map[string]*runtime.Signature, decode func(*runtime.Signature, []byte) error) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s (%v)", folder, err)
	}
	var list strings.Builder
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		model, _, _ := strings.Cut(name, "-")
		sig := signatures[model]
		if sig == nil {
			t.Fatalf("%s: no signature for %q", file, model)
		}
		var refusal *Error
		if err := decode(sig, body); !errors.As(err, &refusal) {
			t.Errorf("%s: %v, want a refusal", file, err)
			continue
		}
		fmt.Fprintf(&list, "%s: %d %s\n", name, refusal.Status, refusal.Message)
	}
	return list.String()
}

// golden compares with a file, or rewrites it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	gotLines, wantLines := strings.SplitAfter(got, "\n"), strings.SplitAfter(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		g, w := "nothing", "nothing"
		if i < len(gotLines) {
			g = gotLines[i]
		}
		if i < len(wantLines) {
			w = wantLines[i]
		}
		if g != w {
			t.Fatalf("%s line %d:\n got %swant %s", file, i+1, g, w)
		}
	}
}

func TestBadInferRequestsDrawTheirComplaint(t *testing.T) {
	signatures := map[string]*runtime.Signature{
		"fp32":  signature(t, "x FP32 [-1,3]", "->", "y FP32 [-1]", "g BF16 [-1]"),
		"int32": signature(t, "n INT32 [2]"),
		"fp64":  signature(t, "d FP64 [-1]"),
		"none":  signature(t, "->", "y FP32 [1]"),
		"many": signature(t, "a INT8 [1]", "b INT8 [1]", "c INT8 [1]", "d INT8 [1]", "e INT8 [1]",
			"f INT8 [1]", "g INT8 [1]", "h INT8 [1]", "i INT8 [1]"),
		"uint64": signature(t, "n UINT64 [1]"),
		"int64":  signature(t, "n INT64 [1]"),
		"uint8":  signature(t, "u UINT8 [1]"),
		"bool":   signature(t, "b BOOL [1]"),
		"bytes":  signature(t, "s BYTES [-1]"),
		"fp16":   signature(t, "h FP16 [1]"),
		"bf16":   signature(t, "g BF16 [1]"),
		"scalar": signature(t, "c FP32 []"),
	}
	got := refusals(t, "testdata/bad/infer", signatures, func(sig *runtime.Signature, body []byte) error {
		return DecodeInfer(new(InferRequest), sig, body, -1, Limits{}, newMemory(t))
	})
	golden(t, "testdata/bad/infer.golden", got)
}

func TestBadPredictRequestsDrawTheirComplaint(t *testing.T) {
	wide := &runtime.Signature{}
	for i := range 20 {
		wide.Inputs = append(wide.Inputs, runtime.TensorSpec{Name: fmt.Sprintf("i%d", i), Type: runtime.FP64, Shape: []int64{-1, -1}})
	}
	signatures := map[string]*runtime.Signature{
		"fp32":      signature(t, "x FP32 [-1,3]", "->", "y FP32 [-1]"),
		"two":       signature(t, "a FP32 [-1,2]", "t BYTES [-1]", "->", "y FP32 [-1]"),
		"scalarout": signature(t, "x FP32 [-1,1]", "->", "y FP32 []"),
		"bf16":      signature(t, "x FP32 [-1,1]", "->", "y BF16 [-1]"),
		"wide":      wide,
		"claims":    signature(t, "x FP32 [-1,-1,-1]", "->", "y FP32 [-1]"),
	}
	got := refusals(t, "testdata/bad/predict", signatures, func(sig *runtime.Signature, body []byte) error {
		m := newMemory(t)
		err := DecodePredict(new(PredictRequest), sig, body, Limits{MaxBatch: 200}, m)
		if m.asked > 4*len(body) {
			t.Errorf("%d bytes allocated for a body of %d", m.asked, len(body))
		}
		return err
	})
	golden(t, "testdata/bad/predict.golden", got)
}
