package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/runtime"
)

// held is what a gateway holds of what the machine has.
type held struct {
	resident                   int64
	files, threads, goroutines int
}

func (f *fleet) held(t testing.TB) held {
	t.Helper()
	count := func(folder string) int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", f.Pid(), folder))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	text, _ := f.Metric(t, "go_goroutines")
	goroutines, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	// The version that was replaced may be on its way out: the least of a second.
	resident := f.ResidentBytes(t)
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		resident = min(resident, f.ResidentBytes(t))
	}
	return held{resident, count("fd"), count("task"), goroutines}
}

func (h held) String() string {
	return fmt.Sprintf("%d MiB, %d files, %d threads, %d goroutines", h.resident>>20, h.files, h.threads, h.goroutines)
}

// stayFlat swaps n times between two documents, and compares what is held in
// the end with what was after the first swaps.
func (f *fleet) stayFlat(t testing.TB, body []byte, first, n int, documents [2]string) {
	t.Helper()
	var early held
	for i := 1; i <= n; i++ {
		f.change(t, documents[i%2], body)
		if i == first {
			early = f.held(t)
		}
	}
	end := f.held(t)
	t.Logf("after %d swaps %s; after %d swaps %s", first, early, n, end)
	if float64(end.resident) > 1.25*float64(early.resident) {
		t.Errorf("resident set grew from %d to %d bytes between swap %d and %d", early.resident, end.resident, first, n)
	}
	// Connections and threads come and go.
	const some = 12
	if end.files > early.files+some || end.threads > early.threads+some || end.goroutines > early.goroutines+some {
		t.Errorf("after %d swaps %s, after %d swaps %s: more than before", first, early, n, end)
	}
}

func TestWhatSwapsHoldStaysFlat(t *testing.T) {
	f := startFleet(t, mozart(t, map[string]int{"1": 100}))
	body := seguetest.Goldens(t, manifestOf(t, "mozart", "1"))[0].Request(t)
	f.stayFlat(t, body, 20, counts(80, 1000), [2]string{mozart(t, map[string]int{"1": 100}), mozart(t, map[string]int{"2": 100})})
}

// TestWhatSwapsOfALargeModelHoldStaysFlat is of models as large as a ResNet-50.
func TestWhatSwapsOfALargeModelHoldStaysFlat(t *testing.T) {
	paths := map[string]string{"1": largeModel(t, 1), "2": largeModel(t, 2)}
	documents := [2]string{documentOf(paths, map[string]int{"1": 100}), documentOf(paths, map[string]int{"2": 100})}
	f := startFleet(t, documents[0])
	body := fmt.Appendf(nil, `{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, %d], "data": [%s1]}]}`,
		largeWidth, strings.Repeat("1,", largeWidth-1))
	f.stayFlat(t, body, counts(4, 20), counts(12, 100), documents)
}

const (
	largeWidth  = 1024
	largeLayers = 25 // 100 MiB of weights
)

// largeModel writes a chain of products with square matrices of small numbers,
// which differ by seed, and returns its folder.
func largeModel(t testing.TB, seed uint32) string {
	t.Helper()
	shape := []int64{-1, largeWidth}
	model := artifacttest.Model{
		Inputs:  []artifacttest.Value{{Name: "x", ElemType: 1, Shape: shape}},
		Outputs: []artifacttest.Value{{Name: "y", ElemType: 1, Shape: shape}},
	}
	from := "x"
	for layer := range largeLayers {
		weights := make([]byte, 0, 4*largeWidth*largeWidth)
		for range largeWidth * largeWidth {
			seed = seed*1664525 + 1013904223
			weights = binary.LittleEndian.AppendUint32(weights, math.Float32bits(float32(int32(seed))/(1<<31)/16))
		}
		name, to := fmt.Sprintf("w%d", layer), fmt.Sprintf("h%d", layer)
		if layer == largeLayers-1 {
			to = "y"
		}
		dims := artifacttest.Varint(artifacttest.Varint(nil, 1, largeWidth), 1, largeWidth)
		model.Initializers = append(model.Initializers, append(dims, artifacttest.Tensor(name, weights)...))
		node := artifacttest.Message(nil, 1, []byte(from))
		node = artifacttest.Message(node, 1, []byte(name))
		node = artifacttest.Message(node, 2, []byte(to))
		model.Nodes = append(model.Nodes, artifacttest.Message(node, 4, []byte("MatMul")))
		from = to
	}
	// The version of the operators.
	file := artifacttest.Message(model.Bytes(), 8, artifacttest.Varint(nil, 2, 17))
	spec := func(name string) []runtime.TensorSpec {
		return []runtime.TensorSpec{{Name: name, Type: runtime.FP32, Shape: shape}}
	}
	dir, _ := artifacttest.Pack(t, &artifact.Manifest{
		Schema: artifact.Schema, Model: "large", Signature: &runtime.Signature{Inputs: spec("x"), Outputs: spec("y")},
	}, map[string][]byte{artifact.ModelFile: file})
	return dir
}
