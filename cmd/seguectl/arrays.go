package main

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sbinet/npyio/npy"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// arrayTypes are NumPy's types of the tensors that arrays can hold, as they
// name them on machines with the low byte first.
var arrayTypes = map[string]runtime.DataType{
	"|b1": runtime.BOOL, "?": runtime.BOOL,
	"|u1": runtime.UINT8, "<u2": runtime.UINT16, "<u4": runtime.UINT32, "<u8": runtime.UINT64,
	"|i1": runtime.INT8, "<i2": runtime.INT16, "<i4": runtime.INT32, "<i8": runtime.INT64,
	"<f2": runtime.FP16, "<f4": runtime.FP32, "<f8": runtime.FP64,
}

// readArrays reads a golden request from NumPy's .npz: an array for each input,
// and for outputs where they are given, by name.
func readArrays(file string, signature *runtime.Signature) (artifact.Golden, error) {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return artifact.Golden{}, err
	}
	defer archive.Close()
	arrays := make(map[string]*artifact.TensorData, len(archive.File))
	left := int64(maxGolden)
	for _, entry := range archive.File {
		name := strings.TrimSuffix(entry.Name, ".npy")
		isInput, isOutput := signature.Input(name) >= 0, signature.Output(name) >= 0
		if !isInput && !isOutput {
			return artifact.Golden{}, fmt.Errorf("array %q is neither an input nor an output of the model", name)
		}
		if arrays[name] != nil {
			return artifact.Golden{}, fmt.Errorf("array %q is there twice", name)
		}
		tensor, err := readArray(entry, &left)
		if err != nil {
			return artifact.Golden{}, fmt.Errorf("array %q: %w", name, err)
		}
		tensor.Name = name
		data, err := artifact.NewTensorData(&tensor)
		if err != nil {
			return artifact.Golden{}, fmt.Errorf("array %w", err)
		}
		arrays[name] = &data
	}
	var g artifact.Golden
	for _, side := range []struct {
		specs []runtime.TensorSpec
		to    *[]artifact.TensorData
	}{{signature.Inputs, &g.Inputs}, {signature.Outputs, &g.Outputs}} {
		for _, spec := range side.specs {
			if data := arrays[spec.Name]; data != nil {
				*side.to = append(*side.to, *data)
			}
		}
	}
	return g, nil
}

// readArray reads one array, and takes its bytes from what is left to read.
func readArray(entry *zip.File, left *int64) (runtime.Tensor, error) {
	file, err := entry.Open()
	if err != nil {
		return runtime.Tensor{}, err
	}
	defer file.Close()
	r := bufio.NewReader(io.LimitReader(file, *left))
	array, err := npy.NewReader(r)
	if err != nil {
		return runtime.Tensor{}, fmt.Errorf("not a NumPy array: %w", err)
	}
	kind, known := arrayTypes[array.Header.Descr.Type]
	switch {
	case !known:
		return runtime.Tensor{}, fmt.Errorf("type %q is not read: give a JSON file, or numbers of the input's own type", array.Header.Descr.Type)
	case array.Header.Descr.Fortran && len(array.Header.Descr.Shape) > 1:
		return runtime.Tensor{}, errors.New("its columns lie together: save numpy.ascontiguousarray of it")
	}
	t := runtime.Tensor{Type: kind, Shape: make([]int64, len(array.Header.Descr.Shape))}
	for i, size := range array.Header.Descr.Shape {
		t.Shape[i] = int64(size)
	}
	elements, err := t.Elements()
	if err != nil {
		return runtime.Tensor{}, err
	}
	if elements > *left/int64(kind.Size()) {
		return runtime.Tensor{}, fmt.Errorf("the arrays take more than the %d bytes allowed", maxGolden)
	}
	t.Data = make([]byte, elements*int64(kind.Size()))
	if _, err := io.ReadFull(r, t.Data); err != nil {
		return runtime.Tensor{}, fmt.Errorf("its data: %w", err)
	}
	*left -= int64(len(t.Data))
	return t, nil
}
