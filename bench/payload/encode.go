package payload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/gateway/oip/oippb"
	"github.com/segue-serving/segue/runtime"
)

// Protocol is how a request is written.
type Protocol string

// JSON writes tensors as JSON both ways, with the digits that the manifest has.
// JSON17 writes numbers in single precision as doubles, up to 17 digits long, as
// Python's json.dumps does. Binary sends raw bytes behind a short JSON header
// both ways, GRPC a protocol buffer with raw contents.
const (
	JSON   Protocol = "json"
	JSON17 Protocol = "json-17"
	Binary Protocol = "binary"
	GRPC   Protocol = "grpc"
)

// headerLength is the header that tells where the binary data begins.
const headerLength = "Inference-Header-Content-Length"

// To is who shall answer: a model, and one version of it or, empty, any.
type To struct{ Model, Version string }

// Path is where the Open Inference Protocol has the model.
func (t To) Path() string {
	path := "/v2/models/" + t.Model
	if t.Version != "" {
		path += "/versions/" + t.Version
	}
	return path + "/infer"
}

// Requests writes samples as they are sent.
func Requests(samples []Sample, to To, p Protocol) ([]load.Request, error) {
	list := make([]load.Request, len(samples))
	for i, s := range samples {
		r := &list[i]
		var err error
		switch p {
		case JSON:
			*r = load.Request{Body: s.JSON, Header: map[string]string{"Content-Type": "application/json"}}
		case JSON17:
			*r = load.Request{Header: map[string]string{"Content-Type": "application/json"}}
			r.Body, err = appendDoubles(s.Inputs)
		case Binary:
			var header int
			r.Body, header, err = appendBinary(s.Inputs)
			r.Header = map[string]string{"Content-Type": "application/octet-stream", headerLength: strconv.Itoa(header)}
		case GRPC:
			r.Body, err = message(s.Inputs, to)
		default:
			err = fmt.Errorf("unknown protocol %q", p)
		}
		if err != nil {
			return nil, fmt.Errorf("golden request %q as %s: %w", s.Name, p, err)
		}
		r.Path = to.Path()
		if p == GRPC {
			r.Path = oippb.GRPCInferenceService_ModelInfer_FullMethodName
		}
	}
	return list, nil
}

// message writes inputs as an encoded ModelInferRequest.
func message(inputs []runtime.Tensor, to To) ([]byte, error) {
	m := &oippb.ModelInferRequest{ModelName: to.Model, ModelVersion: to.Version}
	for _, in := range inputs {
		if in.Type == runtime.BYTES {
			return nil, fmt.Errorf("input %s: BYTES are not sent as raw contents here", in.Name)
		}
		m.Inputs = append(m.Inputs, &oippb.ModelInferRequest_InferInputTensor{Name: in.Name, Datatype: in.Type.String(), Shape: in.Shape})
		m.RawInputContents = append(m.RawInputContents, in.Data)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// appendDoubles writes inputs as JSON whose numbers are those of a double that
// was made of the tensor's.
func appendDoubles(inputs []runtime.Tensor) ([]byte, error) {
	type tensor struct {
		Name  string           `json:"name"`
		Shape []int64          `json:"shape"`
		Type  runtime.DataType `json:"datatype"`
		Data  json.RawMessage  `json:"data"`
	}
	var request struct {
		Inputs []tensor `json:"inputs"`
	}
	for _, in := range inputs {
		if in.Type != runtime.FP32 {
			return nil, fmt.Errorf("input %s: %s is not written with 17 digits", in.Name, in.Type)
		}
		values, err := numbers(in.Type, in.Data)
		if err != nil {
			return nil, err
		}
		data := []byte{'['}
		for i, v := range values {
			if i > 0 {
				data = append(data, ',')
			}
			data = appendPython(data, v)
		}
		request.Inputs = append(request.Inputs, tensor{in.Name, in.Shape, in.Type, append(data, ']')})
	}
	return json.Marshal(request)
}

// appendPython writes a number below 10¹⁶ as Python does: the shortest form
// that is read back the same, and never like an integer.
func appendPython(to []byte, v float64) []byte {
	from := len(to)
	to = strconv.AppendFloat(to, v, 'g', -1, 64)
	if !bytes.ContainsAny(to[from:], ".e") {
		to = append(to, ".0"...)
	}
	return to
}

// binaryTensor describes a tensor whose data follows behind the JSON.
type binaryTensor struct {
	Name       string           `json:"name"`
	Shape      []int64          `json:"shape"`
	Type       runtime.DataType `json:"datatype"`
	Parameters struct {
		Size int `json:"binary_data_size"`
	} `json:"parameters"`
}

// appendBinary writes inputs with the binary tensor data extension, asking for
// binary outputs.
func appendBinary(inputs []runtime.Tensor) (body []byte, header int, err error) {
	var request struct {
		Inputs     []binaryTensor `json:"inputs"`
		Parameters struct {
			BinaryOutput bool `json:"binary_data_output"`
		} `json:"parameters"`
	}
	request.Parameters.BinaryOutput = true
	var data []byte
	for _, in := range inputs {
		if in.Type == runtime.BYTES {
			return nil, 0, fmt.Errorf("input %s: BYTES are not sent as binary data here", in.Name)
		}
		t := binaryTensor{Name: in.Name, Shape: in.Shape, Type: in.Type}
		t.Parameters.Size = len(in.Data)
		request.Inputs = append(request.Inputs, t)
		data = append(data, in.Data...)
	}
	body, err = json.Marshal(request)
	if err != nil {
		return nil, 0, err
	}
	return append(body, data...), len(body), nil
}
