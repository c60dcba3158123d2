package payload

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/gateway/oip/oippb"
	"github.com/segue-serving/segue/runtime"
)

// Output is a tensor of numbers in an answer.
type Output struct {
	Name string    `json:"name"`
	Data []float64 `json:"data"`
}

// Decode reads the outputs of an answer. header is the value of
// Inference-Header-Content-Length, empty for an answer that is all JSON.
func Decode(body []byte, header string) ([]Output, error) {
	text, data := body, []byte(nil)
	if header != "" {
		n, err := strconv.Atoi(header)
		if err != nil || n < 0 || n > len(body) {
			return nil, fmt.Errorf("a header length of %q in an answer of %d bytes", header, len(body))
		}
		text, data = body[:n], body[n:]
	}
	var answer struct {
		Outputs []struct {
			Output
			Type       runtime.DataType `json:"datatype"`
			Parameters struct {
				Size *int `json:"binary_data_size"`
			} `json:"parameters"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("an answer that is no JSON: %w", err)
	}
	outputs := make([]Output, len(answer.Outputs))
	for i, o := range answer.Outputs {
		outputs[i] = o.Output
		if o.Parameters.Size == nil {
			continue
		}
		size := *o.Parameters.Size
		if size < 0 || size > len(data) {
			return nil, fmt.Errorf("output %s: %d bytes of data, %d are left", o.Name, size, len(data))
		}
		numbers, err := numbers(o.Type, data[:size])
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Name, err)
		}
		outputs[i].Data, data = numbers, data[size:]
	}
	if len(data) > 0 {
		return nil, fmt.Errorf("%d bytes behind the last output", len(data))
	}
	return outputs, nil
}

// DecodeAnswer reads the outputs of an answer of any protocol.
func DecodeAnswer(a load.Answer) ([]Output, error) {
	if !a.IsMessage() {
		return Decode(a.Body(), string(a.Header(headerLength)))
	}
	var m oippb.ModelInferResponse
	if err := proto.Unmarshal(a.Body(), &m); err != nil {
		return nil, fmt.Errorf("an answer that is no message: %w", err)
	}
	if len(m.RawOutputContents) != len(m.Outputs) {
		return nil, fmt.Errorf("%d raw contents of %d outputs", len(m.RawOutputContents), len(m.Outputs))
	}
	outputs := make([]Output, len(m.Outputs))
	for i, o := range m.Outputs {
		kind, ok := runtime.ParseDataType(o.Datatype)
		if !ok {
			return nil, fmt.Errorf("output %s: unknown data type %q", o.Name, o.Datatype)
		}
		var err error
		if outputs[i], err = OutputOf(runtime.Tensor{Name: o.Name, Type: kind, Data: m.RawOutputContents[i]}); err != nil {
			return nil, fmt.Errorf("output %s: %w", o.Name, err)
		}
	}
	return outputs, nil
}

// OutputOf reads a tensor of numbers.
func OutputOf(t runtime.Tensor) (Output, error) {
	data, err := numbers(t.Type, t.Data)
	return Output{Name: t.Name, Data: data}, err
}

// numbers reads little-endian elements.
func numbers(t runtime.DataType, data []byte) ([]float64, error) {
	var read func([]byte) float64
	le := binary.LittleEndian
	switch t {
	case runtime.FP32:
		read = func(b []byte) float64 { return float64(math.Float32frombits(le.Uint32(b))) }
	case runtime.FP64:
		read = func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) }
	case runtime.INT64:
		read = func(b []byte) float64 { return float64(int64(le.Uint64(b))) }
	case runtime.INT32:
		read = func(b []byte) float64 { return float64(int32(le.Uint32(b))) }
	default:
		return nil, fmt.Errorf("binary %s is not read here", t)
	}
	size := t.Size()
	if len(data)%size != 0 {
		return nil, fmt.Errorf("%d bytes of %s", len(data), t)
	}
	all := make([]float64, 0, len(data)/size)
	for at := 0; at < len(data); at += size {
		all = append(all, read(data[at:]))
	}
	return all, nil
}

// Compare says how outputs differ from the wanted ones by more than the
// tolerance.
func (t Tolerance) Compare(got, want []Output) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d outputs, want %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Name != w.Name || len(g.Data) != len(w.Data) {
			return fmt.Errorf("output %d is %s of %d values, want %s of %d", i, g.Name, len(g.Data), w.Name, len(w.Data))
		}
		for j := range w.Data {
			if !(math.Abs(g.Data[j]-w.Data[j]) <= t.Absolute+t.Relative*math.Abs(w.Data[j])) {
				return fmt.Errorf("output %s[%d] is %v, want %v", w.Name, j, g.Data[j], w.Data[j])
			}
		}
	}
	return nil
}
