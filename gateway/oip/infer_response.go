package oip

import (
	"net/http"
	"strconv"

	"github.com/segue-serving/segue/runtime"
)

// InferResponse is what one inference answers.
type InferResponse struct {
	// Model and Version name what answered.
	Model, Version string
	// ID is the request's, empty without one.
	ID string
	// Outputs are written in this order.
	Outputs []runtime.Tensor
	// Binary says of each output whether it is written as binary data; nil
	// stands for none. An InferRequest's BinaryOutputs fit.
	Binary []bool
	// NonFinite is the model's policy for JSON outputs.
	NonFinite NonFinite
}

// AppendInferResponse appends the body of an answer to dst: JSON and, where
// outputs are binary, their data behind it. headerLength is the length of the
// JSON, for the header Inference-Header-Content-Length, and -1 where there is
// no binary data. On an *Error the result is dst as it was.
func AppendInferResponse(dst []byte, resp *InferResponse) (out []byte, headerLength int, err error) {
	out = append(dst, '{')
	if resp.ID != "" {
		out = append(out, `"id":`...)
		out = append(appendText(out, resp.ID), ',')
	}
	out = append(out, `"model_name":`...)
	out = appendText(out, resp.Model)
	out = append(out, `,"model_version":`...)
	out = appendText(out, resp.Version)
	out = append(out, `,"outputs":[`...)
	anyBinary := false
	for i := range resp.Outputs {
		binary := i < len(resp.Binary) && resp.Binary[i]
		anyBinary = anyBinary || binary
		if out, err = appendOutput(comma(out, i > 0), &resp.Outputs[i], binary, resp.NonFinite); err != nil {
			return dst, -1, err
		}
	}
	out = append(out, "]}"...)
	if !anyBinary {
		return out, -1, nil
	}
	headerLength = len(out) - len(dst)
	for i := range resp.Outputs {
		if resp.Binary[i] {
			out = appendBinary(out, &resp.Outputs[i])
		}
	}
	return out, headerLength, nil
}

func appendOutput(dst []byte, t *runtime.Tensor, binary bool, nonFinite NonFinite) ([]byte, error) {
	dst = append(dst, `{"name":`...)
	dst = appendText(dst, t.Name)
	dst = append(dst, `,"datatype":"`...)
	dst = append(dst, t.Type.String()...)
	dst = append(dst, `","shape":[`...)
	for i, size := range t.Shape {
		dst = strconv.AppendInt(comma(dst, i > 0), size, 10)
	}
	if binary {
		size, ok := binarySize(t)
		if !ok {
			return dst, refuseStatus(http.StatusInternalServerError, "output %s has an element longer than 4 GiB", quote(t.Name))
		}
		dst = append(dst, `],"parameters":{"binary_data_size":`...)
		dst = strconv.AppendInt(dst, size, 10)
		return append(dst, "}}"...), nil
	}
	dst = append(dst, `],"data":[`...)
	elements, err := t.Elements()
	if err != nil {
		return dst, refuseStatus(http.StatusInternalServerError, "output %s: %s", quote(t.Name), err)
	}
	w := writer{tensor: t, nonFinite: nonFinite, remedy: askBinary}
	if dst, err = w.flat(dst, 0, int(elements)); err != nil {
		return dst, err
	}
	return append(dst, "]}"...), nil
}
