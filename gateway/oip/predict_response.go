package oip

import (
	"net/http"
	"strings"

	"github.com/segue-serving/segue/runtime"
)

// PredictResponse is what one V1 prediction answers.
type PredictResponse struct {
	// Version names what answered; left out of the answer where empty.
	Version string
	// Outputs are all outputs of the model.
	Outputs []runtime.Tensor
	// Columnar is the request's: "outputs" instead of "predictions".
	Columnar bool
	// NonFinite is the model's policy for JSON outputs.
	NonFinite NonFinite
}

// AppendPredictResponse appends the body of an answer to dst. One output is
// written bare and several as objects of named values, by rows or by columns
// as the request was; BYTES outputs with a name that ends in _bytes are
// written as {"b64": "…"} objects, others as strings. On an *Error the result
// is dst as it was.
func AppendPredictResponse(dst []byte, resp *PredictResponse) ([]byte, error) {
	out := append(dst, '{')
	if resp.Version != "" {
		out = append(out, `"model_version":`...)
		out = append(appendText(out, resp.Version), ',')
	}
	for i := range resp.Outputs {
		if _, err := resp.Outputs[i].Elements(); err != nil {
			return dst, refuseStatus(http.StatusInternalServerError, "output %s: %s", quote(resp.Outputs[i].Name), err)
		}
	}
	var err error
	if resp.Columnar {
		out, err = resp.appendColumns(append(out, `"outputs":`...))
	} else {
		out, err = resp.appendRows(append(out, `"predictions":`...))
	}
	if err != nil {
		return dst, err
	}
	return append(out, '}'), nil
}

func (resp *PredictResponse) writer(i int) writer {
	t := &resp.Outputs[i]
	return writer{tensor: t, nonFinite: resp.NonFinite, base64: strings.HasSuffix(t.Name, "_bytes"), remedy: askInference}
}

func (resp *PredictResponse) appendColumns(dst []byte) (out []byte, err error) {
	if len(resp.Outputs) == 1 {
		w := resp.writer(0)
		return w.nested(dst, resp.Outputs[0].Shape, 0)
	}
	dst = append(dst, '{')
	for i := range resp.Outputs {
		dst = append(appendText(comma(dst, i > 0), resp.Outputs[i].Name), ':')
		w := resp.writer(i)
		if dst, err = w.nested(dst, resp.Outputs[i].Shape, 0); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

func (resp *PredictResponse) appendRows(dst []byte) (out []byte, err error) {
	rows := int64(0)
	for i := range resp.Outputs {
		t := &resp.Outputs[i]
		if len(t.Shape) == 0 || i > 0 && t.Shape[0] != rows {
			return dst, refuse("output %s of shape %s cannot be answered row by row: send \"inputs\" instead of \"instances\"",
				quote(t.Name), runtime.FormatShape(t.Shape))
		}
		rows = t.Shape[0]
	}
	if len(resp.Outputs) == 1 {
		w := resp.writer(0)
		return w.nested(dst, resp.Outputs[0].Shape, 0)
	}
	dst = append(dst, '[')
	for row := range int(rows) {
		dst = append(comma(dst, row > 0), '{')
		for i := range resp.Outputs {
			t := &resp.Outputs[i]
			stride := 1
			for _, size := range t.Shape[1:] {
				stride *= int(size)
			}
			dst = append(appendText(comma(dst, i > 0), t.Name), ':')
			w := resp.writer(i)
			if dst, err = w.nested(dst, t.Shape[1:], row*stride); err != nil {
				return dst, err
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}
