package models_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/bench/models"
	"github.com/segue-serving/segue/bench/payload"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/ort"
)

// TestONNXRuntimeAnswersWhatTheLoopsComputed opens what was written with the
// engine of the gateway: it must agree with the golden answers, which were
// computed without it.
func TestONNXRuntimeAnswersWhatTheLoopsComputed(t *testing.T) {
	dir := t.TempDir()
	if err := models.Write(dir); err != nil {
		t.Fatal(err)
	}
	library, err := ort.Library("")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := ort.Open(ort.Config{Library: library})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	for _, one := range []struct {
		model                         string
		jsonLeast, jsonMost, elements int
	}{{"tiny", 340, 380, 32}, {"cnn", 580_000, 600_000, 128 * 512}} {
		folder := filepath.Join(dir, "models", one.model, models.Version)
		manifest, err := payload.Read(folder)
		if err != nil {
			t.Fatal(err)
		}
		samples, err := manifest.Samples()
		if err != nil {
			t.Fatal(err)
		}
		session, err := engine.Open(context.Background(), filepath.Join(folder, "model.onnx"), runtime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(*session.Signature()), fmt.Sprint(manifest.Signature); got != want {
			t.Errorf("%s: signature %s, the manifest says %s", one.model, got, want)
		}
		answers := map[string]bool{}
		binary, err := payload.Requests(samples, payload.To{Model: one.model}, payload.Binary)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range samples {
			if len(s.JSON) < one.jsonLeast || len(s.JSON) > one.jsonMost || len(binary[i].Body) < 4*one.elements {
				t.Errorf("%s: %d bytes of JSON, %d of binary", one.model, len(s.JSON), len(binary[i].Body))
			}
			result, err := session.Run(context.Background(), s.Inputs, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := payload.OutputOf(result.Tensors[0])
			if err == nil {
				err = manifest.Tolerance.Compare([]payload.Output{got}, manifest.Goldens[i].Outputs)
			}
			if err != nil {
				t.Errorf("%s on %s: %v", one.model, s.Name, err)
			}
			for _, v := range got.Data {
				if math.Abs(v) > 100 {
					t.Errorf("%s answers %v: the tolerance is for values around 1", one.model, v)
				}
			}
			answers[fmt.Sprintf("%.3f", got.Data)] = true
			result.Release()
		}
		if len(answers) != len(samples) {
			t.Errorf("%s: %d different answers to %d requests", one.model, len(answers), len(samples))
		}
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestModelsAreTheSameOnEveryMachine pins the digests of the manifests, which
// hold those of the models: figures of two machines are of the same models.
func TestModelsAreTheSameOnEveryMachine(t *testing.T) {
	dir := t.TempDir()
	if err := models.Write(dir); err != nil {
		t.Fatal(err)
	}
	for model, want := range map[string]string{
		"tiny": "fa1935bdb025d6ef369d6aa0a4455ee9a240d6dc2ec83362a478de2790f0238c",
		"cnn":  "1ad521ee81191524600c4f0a6cbb2610abb2341d1f577d71c4c19c21968879c9",
	} {
		manifest, err := os.ReadFile(filepath.Join(dir, "models", model, models.Version, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(manifest)); got != want {
			t.Errorf("%s: digest %s, want %s", model, got, want)
		}
		document, err := os.ReadFile(filepath.Join(dir, model+".json"))
		if err != nil || !strings.Contains(string(document), "sha256:"+want) {
			t.Errorf("the document %s does not name it: %v", document, err)
		}
	}
}
