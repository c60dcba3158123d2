package payload

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/runtime"
)

// Protocol is how a request is written.
type Protocol string

// JSON writes tensors as JSON both ways, Binary as raw bytes behind a short
// JSON header both ways.
const (
	JSON   Protocol = "json"
	Binary Protocol = "binary"
)

// headerLength is the header that tells where the binary data begins.
const headerLength = "Inference-Header-Content-Length"

// Requests are samples as they are posted to a path.
func Requests(samples []Sample, path string, p Protocol) []load.Request {
	list := make([]load.Request, len(samples))
	for i, s := range samples {
		list[i] = load.Request{Path: path, Body: s.JSON, Header: map[string]string{"Content-Type": "application/json"}}
		if p == Binary {
			list[i].Body = s.Binary
			list[i].Header = map[string]string{"Content-Type": "application/octet-stream", headerLength: strconv.Itoa(s.HeaderLength)}
		}
	}
	return list
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
