package oip

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/segue-serving/segue/gateway/oip/oippb"
	"github.com/segue-serving/segue/runtime"
)

// contentsOf are a tensor's elements as typed contents, made by the generated
// code.
func contentsOf(t testing.TB, tensor *runtime.Tensor) *oippb.InferTensorContents {
	t.Helper()
	c := &oippb.InferTensorContents{}
	d := tensor.Data
	for i := range len(d) / max(1, tensor.Type.Size()) {
		switch tensor.Type {
		case runtime.BOOL:
			c.BoolContents = append(c.BoolContents, d[i] != 0)
		case runtime.INT8:
			c.IntContents = append(c.IntContents, int32(int8(d[i])))
		case runtime.INT16:
			c.IntContents = append(c.IntContents, int32(int16(binary.LittleEndian.Uint16(d[2*i:]))))
		case runtime.INT32:
			c.IntContents = append(c.IntContents, int32(binary.LittleEndian.Uint32(d[4*i:])))
		case runtime.INT64:
			c.Int64Contents = append(c.Int64Contents, int64(binary.LittleEndian.Uint64(d[8*i:])))
		case runtime.UINT8:
			c.UintContents = append(c.UintContents, uint32(d[i]))
		case runtime.UINT16:
			c.UintContents = append(c.UintContents, uint32(binary.LittleEndian.Uint16(d[2*i:])))
		case runtime.UINT32:
			c.UintContents = append(c.UintContents, binary.LittleEndian.Uint32(d[4*i:]))
		case runtime.UINT64:
			c.Uint64Contents = append(c.Uint64Contents, binary.LittleEndian.Uint64(d[8*i:]))
		case runtime.FP32:
			c.Fp32Contents = append(c.Fp32Contents, math.Float32frombits(binary.LittleEndian.Uint32(d[4*i:])))
		case runtime.FP64:
			c.Fp64Contents = append(c.Fp64Contents, math.Float64frombits(binary.LittleEndian.Uint64(d[8*i:])))
		default:
			t.Fatalf("%s has no typed contents", tensor.Type)
		}
	}
	c.BytesContents = tensor.Strings
	return c
}

// messageOf writes tensors as a request.
func messageOf(t testing.TB, tensors []runtime.Tensor, raw bool) *oippb.ModelInferRequest {
	t.Helper()
	m := &oippb.ModelInferRequest{ModelName: "mozart", ModelVersion: "2", Id: "a"}
	for i := range tensors {
		tensor := &tensors[i]
		input := &oippb.ModelInferRequest_InferInputTensor{Name: tensor.Name, Datatype: tensor.Type.String(), Shape: tensor.Shape}
		if raw {
			m.RawInputContents = append(m.RawInputContents, appendBinary([]byte{}, tensor))
		} else {
			input.Contents = contentsOf(t, tensor)
		}
		m.Inputs = append(m.Inputs, input)
	}
	return m
}

func decodeMessage(t testing.TB, r *InferRequest, sig *runtime.Signature, message proto.Message, limits Limits) error {
	t.Helper()
	encoded, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	var m InferMessage
	if err := m.Read(encoded); err != nil {
		return err
	}
	memory := newMemory(t)
	err = DecodeInferMessage(r, sig, &m, limits, memory)
	checkMemory(t, memory, r, encoded)
	return err
}

// typed are the types that have typed contents.
func typed() []runtime.DataType {
	return slices.DeleteFunc(runtime.DataTypes(), func(k runtime.DataType) bool { return contentsField(k) == 0 })
}

func TestMessagesKeepEveryBitOfEveryType(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var r InferRequest
	for _, shape := range [][]int64{{}, {0}, {1}, {3, 5}, {2, 0, 4}, {70}} {
		for _, raw := range []bool{true, false} {
			kinds := typed()
			if raw {
				kinds = runtime.DataTypes()
			}
			var sig runtime.Signature
			var tensors []runtime.Tensor
			for _, kind := range kinds {
				tensors = append(tensors, randomTensor(rng, "t_"+kind.String(), kind, shape))
				sig.Inputs = append(sig.Inputs, runtime.TensorSpec{Name: "t_" + kind.String(), Type: kind, Shape: shape})
			}
			sig.Outputs = sig.Inputs
			if err := decodeMessage(t, &r, &sig, messageOf(t, tensors, raw), Limits{}); err != nil {
				t.Fatalf("%v, raw %v: %v", shape, raw, err)
			}
			for i := range tensors {
				sameTensor(t, r.Inputs[i], tensors[i])
			}
			if r.ID != "a" || r.Outputs != nil || len(r.BinaryOutputs) != len(kinds) || r.BinaryOutputs[0] != raw {
				t.Errorf("id %q, outputs %v, raw %v", r.ID, r.Outputs, r.BinaryOutputs)
			}
			// The answer, read by the generated code.
			resp := &InferResponse{Model: "mozart", Version: "2", ID: "a", Outputs: tensors, Binary: r.BinaryOutputs}
			size, err := InferMessageSize(resp)
			if err != nil {
				t.Fatal(err)
			}
			encoded := AppendInferMessage([]byte("before"), resp)[len("before"):]
			if int64(len(encoded)) != size {
				t.Errorf("%v, raw %v: %d bytes, announced as %d", shape, raw, len(encoded), size)
			}
			var got, want oippb.ModelInferResponse
			if err := proto.Unmarshal(encoded, &got); err != nil {
				t.Fatal(err)
			}
			request := messageOf(t, tensors, raw)
			want.ModelName, want.ModelVersion, want.Id, want.RawOutputContents = "mozart", "2", "a", request.RawInputContents
			for _, in := range request.Inputs {
				want.Outputs = append(want.Outputs, &oippb.ModelInferResponse_InferOutputTensor{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape, Contents: in.Contents})
			}
			canonical, err := proto.Marshal(&want)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(encoded, canonical) {
				t.Errorf("%v, raw %v: got %x\nwant %x", shape, raw, encoded, canonical)
			}
		}
	}
}

func TestUnpackedContentsAndShapesAreTaken(t *testing.T) {
	var contents, input, message []byte
	for _, v := range []float32{1, 2} {
		contents = protowire.AppendFixed32(protowire.AppendTag(contents, 6, protowire.Fixed32Type), math.Float32bits(v))
	}
	contents = protowire.AppendVarint(protowire.AppendTag(contents, 99, protowire.VarintType), 7) // unknown
	input = protowire.AppendString(protowire.AppendTag(input, 1, protowire.BytesType), "x")
	input = protowire.AppendString(protowire.AppendTag(input, 2, protowire.BytesType), "FP32")
	for _, v := range []uint64{1, 2} {
		input = protowire.AppendVarint(protowire.AppendTag(input, 3, protowire.VarintType), v)
	}
	input = protowire.AppendBytes(protowire.AppendTag(input, 5, protowire.BytesType), contents)
	message = protowire.AppendBytes(protowire.AppendTag(message, 5, protowire.BytesType), input)
	var m InferMessage
	var r InferRequest
	if err := m.Read(message); err != nil {
		t.Fatal(err)
	}
	if err := DecodeInferMessage(&r, signature(t, "x FP32 [-1,2]", "->", "y FP32 [-1]"), &m, Limits{}, newMemory(t)); err != nil {
		t.Fatal(err)
	}
	sameTensor(t, r.Inputs[0], tensorOf("x", runtime.FP32, []int64{1, 2}, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40))
}

func TestTheFormOfTheAnswerIsChosen(t *testing.T) {
	sig := signature(t, "x FP32 [1]", "->", "y FP32 [1]", "z FP32 [1]", "h FP16 [1]")
	x := []runtime.Tensor{tensorOf("x", runtime.FP32, []int64{1}, 0, 0, 0, 0)}
	flag := func(name string, value bool) map[string]*oippb.InferParameter {
		return map[string]*oippb.InferParameter{name: {ParameterChoice: &oippb.InferParameter_BoolParam{BoolParam: value}}}
	}
	for name, c := range map[string]struct {
		raw        bool
		parameters map[string]*oippb.InferParameter
		outputs    []string
		asked      map[string]*oippb.InferParameter
		want       []bool
	}{
		"raw in":                     {true, nil, []string{"z", "y"}, nil, []bool{true, true}},
		"typed in":                   {false, nil, []string{"z", "y"}, nil, []bool{false, false}},
		"typed in, raw asked":        {false, flag("binary_data_output", true), []string{"y"}, nil, []bool{true}},
		"raw in, typed asked":        {true, flag("binary_data_output", false), []string{"y"}, nil, []bool{false}},
		"typed in, raw for one":      {false, nil, []string{"y", "z"}, flag("binary_data", true), []bool{true, true}},
		"typed in, no typed form":    {false, nil, []string{"y", "h"}, nil, []bool{true, true}},
		"typed in, all, one without": {false, nil, nil, nil, []bool{true, true, true}},
	} {
		m := messageOf(t, x, c.raw)
		m.Parameters = c.parameters
		for _, output := range c.outputs {
			m.Outputs = append(m.Outputs, &oippb.ModelInferRequest_InferRequestedOutputTensor{Name: output, Parameters: c.asked})
		}
		var r InferRequest
		if err := decodeMessage(t, &r, sig, m, Limits{}); err != nil || !slices.Equal(r.BinaryOutputs, c.want) {
			t.Errorf("%s: %v, %v", name, r.BinaryOutputs, err)
		}
	}
	none := &oippb.ModelInferRequest{}
	var r InferRequest
	if err := decodeMessage(t, &r, signature(t, "->", "y FP32 [1]"), none, Limits{}); err != nil || !r.BinaryOutputs[0] {
		t.Errorf("without inputs: %v, %v", r.BinaryOutputs, err)
	}
}

func TestParametersOfMessagesMeanWhatTheyMeanOverREST(t *testing.T) {
	sig := signature(t, "x FP32 [1]", "->", "y FP32 [1]")
	x := []runtime.Tensor{tensorOf("x", runtime.FP32, []int64{1}, 0, 0, 0, 0)}
	number := func(n int64) *oippb.InferParameter {
		return &oippb.InferParameter{ParameterChoice: &oippb.InferParameter_Int64Param{Int64Param: n}}
	}
	unsigned := &oippb.InferParameter{ParameterChoice: &oippb.InferParameter_Uint64Param{Uint64Param: math.MaxUint64}}
	text := &oippb.InferParameter{ParameterChoice: &oippb.InferParameter_StringParam{StringParam: "1"}}
	for _, c := range []struct {
		key     string
		value   *oippb.InferParameter
		timeout time.Duration
		refusal string
	}{
		{"timeout", number(1500), 1500 * time.Microsecond, ""},
		{"timeout", unsigned, math.MaxInt64 / 1000 * time.Microsecond, ""},
		{"timeout", number(-1), 0, "parameter timeout (in microseconds) must be an int64_param that is not negative, or a uint64_param"},
		{"timeout", text, 0, "parameter timeout (in microseconds) must be an int64_param that is not negative, or a uint64_param"},
		{"binary_data_output", text, 0, "parameter binary_data_output must be a bool_param"},
		{"mood", text, 0, ""},
		{"sequence_id", number(1), 0, `parameter "sequence_id" is not supported`},
		{"priority", number(1), 0, `parameter "priority" is not supported`},
		{"shared_memory_region", text, 0, `parameter "shared_memory_region" is not supported`},
		{"classification", number(1), 0, `parameter "classification" is not supported`},
	} {
		for where := range 3 {
			m := messageOf(t, x, true)
			m.Outputs = []*oippb.ModelInferRequest_InferRequestedOutputTensor{{Name: "y"}}
			parameters := map[string]*oippb.InferParameter{c.key: c.value}
			switch where {
			case 0:
				m.Parameters = parameters
			case 1:
				m.Inputs[0].Parameters = parameters
			case 2:
				m.Outputs[0].Parameters = parameters
			}
			var r InferRequest
			err := decodeMessage(t, &r, sig, m, Limits{})
			if c.refusal != "" {
				wantRefusal(t, err, 400, c.refusal)
			} else if err != nil || where == 0 && r.Timeout != c.timeout {
				t.Errorf("%s %v: timeout %v, %v", c.key, c.value, r.Timeout, err)
			}
		}
	}
}

func TestBadMessagesDrawTheirComplaint(t *testing.T) {
	type tensor = oippb.ModelInferRequest_InferInputTensor
	sig := signature(t, "x INT8 [-1]", "t BYTES [-1]", "h FP16 [-1]", "->", "y FP32 [-1]")
	good := func() *oippb.ModelInferRequest {
		return &oippb.ModelInferRequest{
			Inputs:           []*tensor{{Name: "x", Datatype: "INT8", Shape: []int64{2}}, {Name: "t", Datatype: "BYTES", Shape: []int64{1}}, {Name: "h", Datatype: "FP16", Shape: []int64{1}}},
			RawInputContents: [][]byte{{1, 2}, {1, 0, 0, 0, 'a'}, {0, 0}},
		}
	}
	typed := func(c *oippb.InferTensorContents) func(*oippb.ModelInferRequest) {
		return func(m *oippb.ModelInferRequest) { m.RawInputContents, m.Inputs[0].Contents = nil, c }
	}
	for _, c := range []struct {
		name   string
		spoil  func(*oippb.ModelInferRequest)
		status int
		want   string
	}{
		{"raw short", func(m *oippb.ModelInferRequest) { m.RawInputContents[0] = []byte{1} }, 400, `input "x": raw_input_contents[0] has 1 bytes, but shape [2] of INT8 takes 2`},
		{"raw missing", func(m *oippb.ModelInferRequest) { m.RawInputContents = m.RawInputContents[:2] }, 400, "raw_input_contents has 2 members for 3 inputs"},
		{"raw and typed", func(m *oippb.ModelInferRequest) { m.Inputs[0].Contents = &oippb.InferTensorContents{} }, 400, `input "x" has contents beside raw_input_contents`},
		{"raw text short", func(m *oippb.ModelInferRequest) { m.RawInputContents[1] = []byte{2, 0, 0, 0, 'a'} }, 400, `input "t": element 0 has a length of 2, but only 1 bytes of the input are left`},
		{"wrong field", typed(&oippb.InferTensorContents{Fp32Contents: []float32{1, 2}}), 400, `input "x": INT8 goes into int_contents, not fp32_contents`},
		{"wrong count", typed(&oippb.InferTensorContents{IntContents: []int32{1}}), 400, `input "x": 1 elements in int_contents, but shape [2] has 2`},
		{"no contents", typed(nil), 400, `input "x": 0 elements in int_contents, but shape [2] has 2`},
		{"out of range", typed(&oippb.InferTensorContents{IntContents: []int32{1, 128}}), 400, `input "x": element 1 is 128, out of the range of INT8`},
		{"FP16 typed", func(m *oippb.ModelInferRequest) {
			m.RawInputContents, m.Inputs = nil, m.Inputs[2:]
		}, 400, `input "h": FP16 has no typed contents: send it in raw_input_contents`},
		{"huge shape", func(m *oippb.ModelInferRequest) { m.Inputs[0].Shape[0] = 1 << 40 }, 413, `input "x" takes 1099511627776 bytes, over the limit of 1048576`},
		{"negative", func(m *oippb.ModelInferRequest) { m.Inputs[0].Shape[0] = -1 }, 400, `input "x": shape [-1] has a negative size`},
		{"rank", func(m *oippb.ModelInferRequest) { m.Inputs[0].Shape = make([]int64, 65) }, 400, "a shape has more than 64 dimensions"},
		{"type", func(m *oippb.ModelInferRequest) { m.Inputs[0].Datatype = "FP32" }, 400, `input "x": datatype FP32 does not match the model's INT8`},
		{"unknown input", func(m *oippb.ModelInferRequest) { m.Inputs[0].Name = "z" }, 400, `unknown input "z": the model takes "x", "t", "h"`},
		{"nameless input", func(m *oippb.ModelInferRequest) { m.Inputs[0].Name = "" }, 400, "inputs[0] has no name"},
		{"twice", func(m *oippb.ModelInferRequest) { m.Inputs[1] = m.Inputs[0] }, 400, `input "x" is given twice`},
		{"missing", func(m *oippb.ModelInferRequest) {
			m.Inputs, m.RawInputContents = m.Inputs[:2], m.RawInputContents[:2]
		}, 400, `input "h" is missing`},
		{"unknown output", func(m *oippb.ModelInferRequest) {
			m.Outputs = []*oippb.ModelInferRequest_InferRequestedOutputTensor{{Name: "z"}}
		}, 400, `unknown output "z": the model gives "y"`},
		{"nameless output", func(m *oippb.ModelInferRequest) {
			m.Outputs = []*oippb.ModelInferRequest_InferRequestedOutputTensor{{}}
		}, 400, "outputs[0] has no name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := good()
			c.spoil(m)
			var r InferRequest
			wantRefusal(t, decodeMessage(t, &r, sig, m, Limits{MaxTensorBytes: 1 << 20}), c.status, c.want)
		})
	}
	var r InferRequest
	if err := decodeMessage(t, &r, sig, good(), Limits{}); err != nil {
		t.Errorf("what is not spoilt: %v", err)
	}
	for name, message := range map[string]string{"cut off": "\x2a\x05ab", "no tag": "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "end of a group": "\x0c", "tag alone": "\x2a"} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, new(InferMessage).Read([]byte(message)), 400, "malformed message: the request is cut off or damaged")
		})
	}
	m := InferMessage{id: []byte("\xff")}
	wantRefusal(t, DecodeInferMessage(&r, sig, &m, Limits{}, newMemory(t)), 400, "id is not valid UTF-8")
}

func TestDecodingAMessageAllocatesNothingOnceWarm(t *testing.T) {
	sig := signature(t, "x FP32 [-1,-1]", "t BYTES [-1]", "n INT16 [-1]", "->", "y FP32 [-1]")
	tensors := []runtime.Tensor{tensorOf("x", runtime.FP32, []int64{1, 100}, make([]byte, 400)...),
		{Name: "t", Type: runtime.BYTES, Shape: []int64{2}, Strings: [][]byte{[]byte("a"), []byte(strings.Repeat("b", 100))}},
		tensorOf("n", runtime.INT16, []int64{2}, 1, 2, 3, 0xff)}
	for _, raw := range []bool{true, false} {
		encoded, err := proto.Marshal(messageOf(t, tensors, raw))
		if err != nil {
			t.Fatal(err)
		}
		var m InferMessage
		var r InferRequest
		memory := &memory{t: t}
		decode := func() {
			if err := m.Read(encoded); err != nil {
				t.Fatal(err)
			}
			if err := DecodeInferMessage(&r, sig, &m, Limits{}, memory); err != nil {
				t.Fatal(err)
			}
		}
		decode()
		if n := testing.AllocsPerRun(100, decode); n != 0 {
			t.Errorf("raw %v: %v allocations", raw, n)
		}
	}
}

func FuzzDecodeInferMessage(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 8))
	signatures := fuzzSignatures(f)
	for i, sig := range signatures {
		for _, raw := range []bool{true, false} {
			var tensors []runtime.Tensor
			for _, spec := range sig.Inputs {
				shape := slices.Clone(spec.Shape)
				for k := range shape {
					if shape[k] == runtime.Dynamic {
						shape[k] = 2
					}
				}
				raw = raw || contentsField(spec.Type) == 0
				tensors = append(tensors, randomTensor(rng, spec.Name, spec.Type, shape))
			}
			encoded, err := proto.Marshal(messageOf(f, tensors, raw))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), encoded)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, message []byte) {
		sig := signatures[int(which)%len(signatures)]
		before := bytes.Clone(message)
		var m InferMessage
		var r InferRequest
		memory := newMemory(t)
		err := m.Read(message)
		if err == nil {
			err = DecodeInferMessage(&r, sig, &m, Limits{MaxTensorBytes: 1 << 20}, memory)
		}
		if !bytes.Equal(before, message) {
			t.Fatal("the message was changed")
		}
		checkMemory(t, memory, &r, message)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		for i := range r.Inputs {
			in := &r.Inputs[i]
			if size, err := runtime.ByteSize(in.Type, in.Shape); in.Type != runtime.BYTES && (err != nil || int(size) != len(in.Data)) {
				t.Fatalf("input %d: shape %v and %d bytes", i, in.Shape, len(in.Data))
			}
		}
		again := messageOf(t, r.Inputs, true)
		var second InferRequest
		if err := decodeMessage(t, &second, sig, again, Limits{}); err != nil {
			t.Fatalf("what was accepted is refused when encoded again: %v", err)
		}
		for i := range r.Inputs {
			sameTensor(t, second.Inputs[i], r.Inputs[i])
		}
	})
}
