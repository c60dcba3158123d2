package oip

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// requestOf writes tensors as the inputs of a request. An output's form is an
// input's too.
func requestOf(t testing.TB, tensors []runtime.Tensor, binary []bool) (body []byte, headerLength int) {
	t.Helper()
	body = append(body, `{"inputs":[`...)
	var err error
	for i := range tensors {
		if body, err = appendOutput(comma(body, i > 0), &tensors[i], binary[i], NonFiniteLiteral); err != nil {
			t.Fatal(err)
		}
	}
	// Outputs in binary, so that ones without a JSON form are no matter.
	body = append(body, `],"parameters":{"binary_data_output":true}}`...)
	headerLength = -1
	if slices.Contains(binary, true) {
		headerLength = len(body)
	}
	for i := range tensors {
		if binary[i] {
			body = appendBinary(body, &tensors[i])
		}
	}
	return body, headerLength
}

// randomTensor fills a shape with random bits, such as the type can hold.
func randomTensor(rng *rand.Rand, name string, kind runtime.DataType, shape []int64) runtime.Tensor {
	tensor := runtime.Tensor{Name: name, Type: kind, Shape: shape}
	elements, _ := tensor.Elements()
	if kind == runtime.BYTES {
		for range elements {
			element := make([]byte, rng.IntN(20))
			for i := range element {
				element[i] = byte(rng.Uint32())
			}
			tensor.Strings = append(tensor.Strings, element)
		}
		return tensor
	}
	tensor.Data = make([]byte, int(elements)*kind.Size())
	for i := range tensor.Data {
		tensor.Data[i] = byte(rng.Uint32())
		if kind == runtime.BOOL {
			tensor.Data[i] &= 1
		}
	}
	return tensor
}

func sameTensor(t *testing.T, got, want runtime.Tensor) {
	t.Helper()
	if got.Name != want.Name || got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) ||
		!bytes.Equal(got.Data, want.Data) || !slices.EqualFunc(got.Strings, want.Strings, bytes.Equal) {
		t.Errorf("got %s %s %s %x %q\nwant %s %s %s %x %q", got.Name, got.Type, runtime.FormatShape(got.Shape), got.Data, got.Strings,
			want.Name, want.Type, runtime.FormatShape(want.Shape), want.Data, want.Strings)
	}
}

func TestBinaryDataKeepsEveryBitOfEveryType(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, shape := range [][]int64{{}, {0}, {1}, {3, 5}, {2, 0, 4}, {70}} {
		var sig runtime.Signature
		var tensors []runtime.Tensor
		for _, kind := range runtime.DataTypes() {
			tensor := randomTensor(rng, "in_"+kind.String(), kind, shape)
			tensors = append(tensors, tensor)
			sig.Inputs = append(sig.Inputs, runtime.TensorSpec{Name: tensor.Name, Type: kind, Shape: shape})
		}
		// Requests may name inputs in any order, and binary data follows it.
		sent := slices.Clone(tensors)
		rng.Shuffle(len(sent), func(i, k int) { sent[i], sent[k] = sent[k], sent[i] })
		binary := slices.Repeat([]bool{true}, len(sent))
		body, headerLength := requestOf(t, sent, binary)
		var r InferRequest
		if err := DecodeInfer(&r, &sig, body, headerLength, Limits{}, newMemory(t)); err != nil {
			t.Errorf("shape %v: %v", shape, err)
			continue
		}
		for i := range tensors {
			sameTensor(t, r.Inputs[i], tensors[i])
		}
	}
}

func TestJSONAndBinaryInputsMix(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	sig := signature(t, "a INT32 [2]", "b FP64 [1]", "c UINT8 [3]", "d BYTES [2]")
	var tensors []runtime.Tensor
	for _, spec := range sig.Inputs {
		tensors = append(tensors, randomTensor(rng, spec.Name, spec.Type, spec.Shape))
	}
	tensors[1].Data = []byte{0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f} // 0.1
	tensors[3].Strings = [][]byte{[]byte("a\"b"), []byte("ü")}
	for mask := range 16 {
		binary := []bool{mask&1 != 0, mask&2 != 0, mask&4 != 0, mask&8 != 0}
		body, headerLength := requestOf(t, tensors, binary)
		var r InferRequest
		if err := DecodeInfer(&r, sig, body, headerLength, Limits{}, newMemory(t)); err != nil {
			t.Errorf("binary %v: %v", binary, err)
			continue
		}
		for i := range tensors {
			sameTensor(t, r.Inputs[i], tensors[i])
		}
	}
}

func TestBinaryDataIsCopiedOutOfTheBody(t *testing.T) {
	sig := signature(t, "x UINT8 [4]")
	body, headerLength := requestOf(t, []runtime.Tensor{{Name: "x", Type: runtime.UINT8, Shape: []int64{4}, Data: []byte{1, 2, 3, 4}}}, []bool{true})
	var r InferRequest
	if err := DecodeInfer(&r, sig, body, headerLength, Limits{}, newMemory(t)); err != nil {
		t.Fatal(err)
	}
	clear(body)
	if !bytes.Equal(r.Inputs[0].Data, []byte{1, 2, 3, 4}) {
		t.Error("the tensor changed with the body")
	}
}

func TestBadBinaryRequestsDrawTheirComplaint(t *testing.T) {
	header := func(shape string, size int) string {
		return one(fmt.Sprintf(`"name":"x","datatype":"FP32","shape":%s,"parameters":{"binary_data_size":%d}`, shape, size))
	}
	texts := func(shape string, elements ...string) string {
		var data []byte
		for _, element := range elements {
			data = append(binary.LittleEndian.AppendUint32(data, uint32(len(element))), element...)
		}
		return strings.Replace(header(shape, len(data)), "FP32", "BYTES", 1) + "\x00" + string(data)
	}
	for _, c := range []struct {
		name, spec, body string // a NUL parts JSON and binary data
		headerLength     int    // 0: up to the NUL
		want             string
	}{
		{"size other than the shape's", "x FP32 [-1]", header("[2]", 12) + "\x00" + strings.Repeat("a", 12), 0,
			`input "x": binary_data_size 12 does not match shape [2] of FP32, which takes 8 bytes`},
		{"data truncated", "x FP32 [-1]", header("[2]", 8) + "\x00" + "aaaaaaa", 0,
			`input "x": binary_data_size is 8, but only 7 bytes of binary data are left`},
		{"data left over", "x FP32 [-1]", header("[2]", 8) + "\x00" + "aaaaaaaab", 0,
			`1 bytes of binary data are left over behind the last input`},
		{"data left over behind JSON", "x FP32 [-1]", one(`"name":"x","datatype":"FP32","shape":[1],"data":[1]`) + "\x00" + "abc", 0,
			`3 bytes of binary data are left over behind the last input`},
		{"huge shape", "x FP32 [-1]", header("[1000000000000]", 8) + "\x00" + "aaaaaaaa", 0,
			`input "x": binary_data_size 8 does not match shape [1000000000000] of FP32, which takes 4000000000000 bytes`},
		{"huge size and shape", "x FP32 [-1]", header("[1000000000000]", 4000000000000) + "\x00" + "aaaaaaaa", 0,
			`input "x": binary_data_size is 4000000000000, but only 8 bytes of binary data are left`},
		{"header longer than the body", "x FP32 [-1]", "{}\x00", 100, `Inference-Header-Content-Length is 100, but the body has 2 bytes`},
		{"header of a negative length", "x FP32 [-1]", "{}\x00", -2, `Inference-Header-Content-Length is -2, but the body has 2 bytes`},
		{"header ends within the JSON", "x FP32 [-1]", header("[2]", 8) + "\x00", 20, `malformed JSON at byte 20: the text ends, expected the string's closing quote`},
		{"element of more than is left", "x BYTES [-1]", strings.Replace(header("[1]", 5), "FP32", "BYTES", 1) + "\x00" + "\x09\x00\x00\x00a", 0,
			`input "x": element 0 has a length of 9, but only 1 bytes of the input are left`},
		{"element of 4 GiB", "x BYTES [-1]", strings.Replace(header("[1]", 5), "FP32", "BYTES", 1) + "\x00" + "\xff\xff\xff\xffa", 0,
			`input "x": element 0 has a length of 4294967295, but only 1 bytes of the input are left`},
		{"elements too many", "x BYTES [-1]", texts("[1]", "a", "b"), 0, `input "x": 5 bytes are left over behind its 1 elements`},
		{"elements too few", "x BYTES [-1]", texts("[2]", "abcd"), 0, `input "x": the binary data ends within the length of element 1`},
		{"no room for lengths", "x BYTES [-1]", texts("[1000000000000]", "a"), 0,
			`input "x": 5 bytes of binary data are too few for shape [1000000000000], whose 1000000000000 elements take 4 bytes each for their lengths alone`},
		{"boolean of 2", "x BOOL [-1]", strings.Replace(header("[11]", 11), "FP32", "BOOL", 1) + "\x00" + "\x00\x01\x00\x01\x00\x01\x00\x01\x00\x02\x00", 0,
			`input "x": element 9 is 2, want 0 or 1 for BOOL`},
	} {
		t.Run(c.name, func(t *testing.T) {
			head, data, _ := strings.Cut(c.body, "\x00")
			headerLength := c.headerLength
			if headerLength == 0 {
				headerLength = len(head)
			}
			m := newMemory(t)
			err := DecodeInfer(new(InferRequest), signature(t, c.spec), []byte(head+data), headerLength, Limits{}, m)
			wantRefusal(t, err, 400, c.want)
			if m.asked > 64 {
				t.Errorf("%d bytes allocated", m.asked)
			}
		})
	}
	err := DecodeInfer(new(InferRequest), signature(t, "x FP32 [1]"), []byte("abcd"), 0, Limits{}, newMemory(t))
	wantRefusal(t, err, 400, "Inference-Header-Content-Length is 0: a body of binary data alone is not supported")
	err = DecodeInfer(new(InferRequest), signature(t, "x BYTES [-1]"), []byte(strings.Replace(header("[1]", 12), "FP32", "BYTES", 1)+"\x08\x00\x00\x00abcdefgh"), len(header("[1]", 12))+1, Limits{MaxTensorBytes: 11}, newMemory(t))
	wantRefusal(t, err, 413, `input "x" takes 12 bytes, over the limit of 11`)
}
