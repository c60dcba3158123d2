package models_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/segue-serving/segue/bench/models"
	"github.com/segue-serving/segue/bench/payload"
	"github.com/segue-serving/segue/drift"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/ort"
)

// write leaves all models in one folder for all tests.
var write = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "segue-bench-models-test")
	if err != nil {
		return "", err
	}
	return dir, models.Write(dir)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := write(); err == nil {
		err = os.RemoveAll(dir)
		if err != nil {
			panic(err)
		}
	}
	os.Exit(code)
}

func written(t *testing.T) string {
	t.Helper()
	dir, err := write()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestONNXRuntimeAnswersWhatTheLoopsComputed opens what was written with the
// engine of the gateway: it must agree with the golden answers, which were
// computed without it.
func TestONNXRuntimeAnswersWhatTheLoopsComputed(t *testing.T) {
	dir := written(t)
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
	}{{"tiny", 340, 380, 32}, {"cnn", 580_000, 600_000, 128 * 512}, {"slow", 600, 700, 64}} {
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
	dir := written(t)
	for model, want := range map[string]string{
		"tiny": "773d1552f8e124a6eb68e6aaae5e70d7385aa893575aecf623bb49fe28b02c83",
		"cnn":  "731cbd5a34b302ff2f4c02a1e059e4ef4d6732a5059442829fcc9553795cc1e2",
		"slow": "94cca318bd4f188747a25db5b432447a49263cbd537418de5b609b32e916cb31",
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

func TestAProfileIsAddedToACopy(t *testing.T) {
	from, to := filepath.Join(written(t), "models", "tiny", "1"), filepath.Join(t.TempDir(), "watched")
	if err := models.AddProfile("tiny", from, to); err != nil {
		t.Fatal(err)
	}
	profile, err := os.ReadFile(filepath.Join(to, "drift-profile.json"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := drift.Parse(profile)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile(filepath.Join(to, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	// The table of files names both, so that the gateway takes the profile.
	for _, want := range []string{"model.onnx", "drift-profile.json", fmt.Sprintf("%x", sha256.Sum256(profile))} {
		if !strings.Contains(string(manifest), want) {
			t.Errorf("the manifest lacks %s", want)
		}
	}
	if p.Model != "tiny" || len(p.Features) != 35 && len(p.Features) != 34 {
		t.Errorf("a profile of %s with %d features", p.Model, len(p.Features))
	}
	if err := models.AddProfile("haydn", from, t.TempDir()); err == nil {
		t.Error("a model that there is not")
	}
}
