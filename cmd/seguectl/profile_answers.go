package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// answeredRows are asked for at once: no more than any gateway takes by
// default.
const answeredRows = 32

// rowAnswers lets a gateway give the answers that the data lacks.
type rowAnswers struct {
	at, key   string
	signature *runtime.Signature
}

func newRowAnswers(via, keyFile string, signature *runtime.Signature) (*rowAnswers, error) {
	at, err := url.Parse(via)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return nil, usageError{fmt.Errorf("--via %s: want the model's URL, like http://localhost:8000/v2/models/mozart/versions/2", via)}
	}
	a := &rowAnswers{at: at.JoinPath("infer").String(), signature: signature}
	if keyFile != "" {
		text, err := os.ReadFile(keyFile)
		if err != nil {
			return nil, fmt.Errorf("--via-key-file: %w", err)
		}
		a.key = strings.TrimSpace(string(text))
	}
	return a, nil
}

// ask gives some rows' answers, a few rows at a time.
func (a *rowAnswers) ask(ctx context.Context, inputs []runtime.Tensor, rows int) ([]runtime.Tensor, error) {
	most := rows
	if a.signature.Batches() {
		most = answeredRows
	}
	var all []runtime.Tensor
	for first := 0; first < rows; first += most {
		var data []artifact.TensorData
		for i := range inputs {
			part := rowsOf(inputs[i], rows, first, min(first+most, rows))
			d, err := artifact.NewTensorData(&part)
			if err != nil {
				return nil, err
			}
			data = append(data, d)
		}
		answers, err := infer(ctx, a.at, a.key, data)
		if err != nil {
			return nil, err
		}
		for i := range answers {
			t, err := answers[i].Tensor()
			if err != nil {
				return nil, fmt.Errorf("output %q: %w", answers[i].Name, err)
			}
			if all, err = appendRows(all, t); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// rowsOf is a part of a tensor's rows, in its memory.
func rowsOf(t runtime.Tensor, rows, from, to int) runtime.Tensor {
	if rows == 1 {
		return t
	}
	t.Shape = slices.Clone(t.Shape)
	t.Shape[0] = int64(to - from)
	if t.Strings != nil {
		n := len(t.Strings) / rows
		t.Strings = t.Strings[from*n : to*n]
	} else {
		n := len(t.Data) / rows
		t.Data = t.Data[from*n : to*n]
	}
	return t
}

// rowOf is one row of several tensors, in their memory.
func rowOf(tensors []runtime.Tensor, rows, row int) []runtime.Tensor {
	part := make([]runtime.Tensor, len(tensors))
	for i, t := range tensors {
		part[i] = rowsOf(t, rows, row, row+1)
	}
	return part
}

// appendRows adds rows of an output to those that were given before.
func appendRows(all []runtime.Tensor, t runtime.Tensor) ([]runtime.Tensor, error) {
	i := slices.IndexFunc(all, func(u runtime.Tensor) bool { return u.Name == t.Name })
	if i < 0 {
		return append(all, t), nil
	}
	if len(t.Shape) == 0 || len(all[i].Shape) == 0 || !slices.Equal(t.Shape[1:], all[i].Shape[1:]) || t.Type != all[i].Type {
		return nil, fmt.Errorf("output %q changes its shape from request to request, which rows of one batch cannot", t.Name)
	}
	all[i].Shape = slices.Clone(all[i].Shape)
	all[i].Shape[0] += t.Shape[0]
	all[i].Data = append(all[i].Data, t.Data...)
	all[i].Strings = append(all[i].Strings, t.Strings...)
	return all, nil
}
