package probe

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// Questions are requests to a model that is being packed: goldens whose outputs
// are not known yet.
type Questions struct {
	// ModelPath is the ONNX file.
	ModelPath string `json:"model_path"`
	// Goldens are the requests; their outputs are ignored.
	Goldens []artifact.Golden `json:"goldens"`
}

// Answer opens a model in this process and answers its questions, in their
// order, as golden requests. The session is closed before it returns.
func Answer(ctx context.Context, engine runtime.Engine, q Questions) (answered []artifact.Golden, err error) {
	session, err := engine.Open(ctx, q.ModelPath, runtime.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s %s refused the model: %w", engine.Name(), engine.Version(), err)
	}
	defer func() { err = errors.Join(err, session.Close()) }()
	t := trial{ctx: ctx, session: session, signature: session.Signature(), pool: runtime.NewPool(), answers: sha256.New()}
	for _, g := range q.Goldens {
		if g.Outputs, err = t.answer(g.Inputs); err != nil {
			return nil, fmt.Errorf("golden request %q: %w", g.Name, err)
		}
		answered = append(answered, g)
	}
	return answered, nil
}

// answer runs one request and writes its answers down.
func (t *trial) answer(inputs []artifact.TensorData) (answers []artifact.TensorData, err error) {
	decoded, err := decode(inputs)
	if err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	for _, in := range decoded {
		at := t.signature.Input(in.Name)
		if at < 0 {
			return nil, fmt.Errorf("the model has no input %q", in.Name)
		}
		spec := t.signature.Inputs[at]
		if in.Type != spec.Type {
			return nil, fmt.Errorf("input %q is %s, the model takes %s", in.Name, in.Type, spec.Type)
		}
		if err := spec.Check(in.Shape); err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
	}
	_, err = t.run(decoded, func(got []runtime.Tensor) error {
		for i := range got {
			data, err := artifact.NewTensorData(&got[i])
			if err != nil {
				return fmt.Errorf("output %w", err)
			}
			answers = append(answers, data)
		}
		return nil
	})
	return answers, err
}

// AnswerMain reads questions as JSON and writes the answered goldens, a list, as
// JSON. The engine is not closed, as the process ends at once.
func AnswerMain(ctx context.Context, engine func() (runtime.Engine, error), questions io.Reader, answers io.Writer) error {
	var q Questions
	if err := json.NewDecoder(questions).Decode(&q); err != nil {
		return fmt.Errorf("read the questions: %w", err)
	}
	e, err := engine()
	if err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	answered, err := Answer(ctx, e, q)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(answers).Encode(answered); err != nil {
		return fmt.Errorf("write the answers: %w", err)
	}
	return nil
}
