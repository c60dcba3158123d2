package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/segue-serving/segue/drift/dataset"
	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// readArrays reads a golden request from NumPy's .npz: an array for each input,
// and for outputs where they are given, by name.
func readArrays(file string, signature *runtime.Signature) (g artifact.Golden, err error) {
	data, err := dataset.Open(file, signature, dataset.Options{})
	if err != nil {
		return g, err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	rows, err := data.Next()
	if err != nil {
		return g, err
	}
	if g.Inputs, err = inOrder(signature.Inputs, rows.Inputs); err != nil {
		return g, err
	}
	if g.Outputs, err = inOrder(signature.Outputs, rows.Outputs); err != nil {
		return g, err
	}
	if _, err := data.Next(); err == nil {
		return g, fmt.Errorf("more than %d rows: a golden request is one request", rows.Rows)
	} else if !errors.Is(err, io.EOF) {
		return g, err
	}
	return g, nil
}

// inOrder writes tensors down in the order of the signature.
func inOrder(specs []runtime.TensorSpec, tensors []runtime.Tensor) (all []artifact.TensorData, err error) {
	for _, spec := range specs {
		for i := range tensors {
			if tensors[i].Name != spec.Name {
				continue
			}
			data, err := artifact.NewTensorData(&tensors[i])
			if err != nil {
				return nil, fmt.Errorf("array %w", err)
			}
			all = append(all, data)
		}
	}
	return all, nil
}
