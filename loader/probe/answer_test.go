package probe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// answers asks an engine that doubles, through JSON as a packer does.
func answers(t *testing.T, engine *runtimetest.Engine, questions any) ([]artifact.Golden, error) {
	t.Helper()
	body, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = probe.AnswerMain(t.Context(), func() (runtime.Engine, error) { return engine, nil }, bytes.NewReader(body), &out)
	var answered []artifact.Golden
	if err == nil {
		if err := json.Unmarshal(out.Bytes(), &answered); err != nil {
			t.Fatal(err)
		}
	}
	return answered, err
}

func TestQuestionsAreAnsweredAsGoldens(t *testing.T) {
	manifest := artifacttest.DoublerManifest()
	doubler := &runtimetest.Fake{Signature: *manifest.Signature, Func: func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
		if in[0].Shape[0] > 1 {
			return nil, errors.New("one row at a time")
		}
		return []runtime.Tensor{{Name: "y", Type: runtime.FP32, Shape: []int64{1, 2}, Data: in[0].Data}}, nil
	}}
	engine := runtimetest.NewEngine(runtimetest.Always(doubler))
	ask := func(change func(in *artifact.TensorData)) ([]artifact.Golden, error) {
		g := artifact.Golden{Name: "one", Inputs: []artifact.TensorData{manifest.Goldens[0].Inputs[0]}}
		change(&g.Inputs[0])
		return answers(t, engine, probe.Questions{ModelPath: "m", Goldens: []artifact.Golden{g}})
	}
	got, err := ask(func(*artifact.TensorData) {})
	if err != nil || len(got) != 1 || got[0].Name != "one" || got[0].Outputs[0].Name != "y" || string(got[0].Outputs[0].Data) != "[1,2]" {
		t.Errorf("got %+v and %v", got, err)
	}
	for want, change := range map[string]func(*artifact.TensorData){
		`golden request "one": the model has no input "z"`:                    func(in *artifact.TensorData) { in.Name = "z" },
		`golden request "one": input "x" is INT32, the model takes FP32`:      func(in *artifact.TensorData) { in.Type = runtime.INT32 },
		`golden request "one": input "x": `:                                   func(in *artifact.TensorData) { in.Shape = []int64{2} },
		`golden request "one": inputs: "x": data: 2 elements for shape [3,2]`: func(in *artifact.TensorData) { in.Shape = []int64{3, 2} },
		`golden request "one": run: one row at a time`: func(in *artifact.TensorData) {
			in.Shape, in.Data = []int64{2, 2}, json.RawMessage("[1,2,3,4]")
		},
	} {
		if _, err := ask(change); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
	if engine.OpenSessions.Load() != 0 || engine.HeldResults.Load() != 0 {
		t.Errorf("%d sessions and %d results are left", engine.OpenSessions.Load(), engine.HeldResults.Load())
	}
	if _, err := answers(t, engine, "no questions"); err == nil || !strings.HasPrefix(err.Error(), "read the questions: ") {
		t.Errorf("got %v", err)
	}
}
