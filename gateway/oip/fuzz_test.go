package oip

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// fuzzSignatures are chosen from by the first argument of the targets.
func fuzzSignatures(t testing.TB) []*runtime.Signature {
	return []*runtime.Signature{
		signature(t, "x FP32 [-1,3]", "->", "y FP32 [-1]", "g BF16 [-1]"),
		signature(t, "a FP64 [-1,-1]", "t BYTES [-1]", "->", "y FP32 [-1]"),
		signature(t, "s FP16 []", "b BOOL [-1]", "n INT8 [2]", "->", "y FP32 [-1]"),
		signature(t, "u UINT64 [-1]", "i INT64 [-1]", "->", "y FP32 [-1]"),
		signature(t, "t BYTES [-1,-1]", "->", "y FP32 []"),
		signature(t, "g BF16 [-1]", "f FP16 [-1,-1,2]", "->", "y BYTES [-1]"),
		signature(t, "->", "y FP32 [-1]"),
	}
}

// checkRefusal fails on errors that a client must not see.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Status != 400 && refusal.Status != 413 || refusal.Message == "" || len(refusal.Message) > 1000 {
		t.Fatalf("refused with %#v", err)
	}
}

func checkMemory(t testing.TB, m *memory, r *InferRequest, body []byte) {
	t.Helper()
	if elements := 24 * len(r.strings); m.asked > 4*len(body)+8 || elements > 8*len(body)+24 {
		t.Fatalf("%d bytes and %d of elements for a body of %d", m.asked, elements, len(body))
	}
}

// checkRoundTrip encodes what was accepted and decodes it again, as JSON
// where the types allow and as binary data.
func checkRoundTrip(t *testing.T, sig *runtime.Signature, inputs []runtime.Tensor, jsonToo bool) {
	t.Helper()
	for _, asBinary := range []bool{true, false} {
		if !asBinary && !jsonToo {
			continue
		}
		choices := make([]bool, len(inputs))
		for i := range choices {
			choices[i] = asBinary
		}
		again, headerLength := requestOf(t, inputs, choices)
		var r InferRequest
		if err := DecodeInfer(&r, sig, again, headerLength, Limits{}, newMemory(t)); err != nil {
			t.Fatalf("what was accepted is refused when encoded again: %v: %q", err, again)
		}
		for i := range inputs {
			sameTensor(t, r.Inputs[i], inputs[i])
		}
	}
}

func FuzzDecodeInferJSON(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/infer/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(0), body)
	}
	for i, body := range []string{
		`{"id":"1","inputs":[{"name":"x","datatype":"FP32","shape":[2,3],"data":[[1,-2.5e-3,NaN],[0.333333333333333331,Infinity,16777217]]}],"parameters":{"binary_data_output":true}}`,
		`{"inputs":[{"name":"t","datatype":"BYTES","shape":[2],"data":["a\u00e4\ud83c\udfb5",""]},{"data":[0.1],"shape":[1,1],"name":"a","datatype":"FP64"}]}`,
		`{"inputs":[{"name":"s","datatype":"FP16","shape":[],"data":2049},{"name":"b","datatype":"BOOL","shape":[2],"data":[true,0]},{"name":"n","datatype":"INT8","shape":[2],"data":[-128,7]}]}`,
		`{"inputs":[{"name":"u","datatype":"UINT64","shape":[1],"data":[18446744073709551615]},{"name":"i","datatype":"INT64","shape":[0],"data":[]}]}`,
		`{"inputs":[{"name":"t","datatype":"BYTES","shape":[1,2],"data":[["p","q"]]}],"outputs":[{"name":"y"}]}`,
	} {
		f.Add(uint8(i), []byte(body))
	}
	f.Fuzz(func(t *testing.T, model uint8, body []byte) {
		signatures := fuzzSignatures(t)
		sig := signatures[int(model)%len(signatures)]
		var r InferRequest
		m := newMemory(t)
		err := DecodeInfer(&r, sig, body, -1, Limits{}, m)
		checkMemory(t, m, &r, body)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		checkRoundTrip(t, sig, r.Inputs, true)
	})
}

func FuzzDecodeInferBinary(f *testing.F) {
	tensors := []runtime.Tensor{
		tensorOf("x", runtime.FP32, []int64{1, 3}, floats32(1, 2, 3)...),
		tensorOf("a", runtime.FP64, []int64{1, 1}, 1, 2, 3, 4, 5, 6, 7, 8),
		{Name: "t", Type: runtime.BYTES, Shape: []int64{2}, Strings: [][]byte{[]byte("ab"), nil}},
		tensorOf("g", runtime.BF16, []int64{1}, 1, 2), tensorOf("f", runtime.FP16, []int64{1, 1, 2}, 1, 2, 3, 4),
		tensorOf("s", runtime.FP16, nil, 1, 2), tensorOf("b", runtime.BOOL, []int64{2}, 0, 1), tensorOf("n", runtime.INT8, []int64{2}, 3, 4),
	}
	for model, used := range map[uint8][]runtime.Tensor{0: tensors[:1], 1: tensors[1:3], 5: tensors[3:5], 2: tensors[5:8]} {
		for _, second := range []bool{false, true} {
			choices := make([]bool, len(used))
			choices[0], choices[len(choices)-1] = true, second || len(used) == 1
			body, headerLength := requestOf(f, used, choices)
			f.Add(model, headerLength, body)
		}
	}
	f.Fuzz(func(t *testing.T, model uint8, headerLength int, body []byte) {
		signatures := fuzzSignatures(t)
		sig := signatures[int(model)%len(signatures)]
		var r InferRequest
		m := newMemory(t)
		err := DecodeInfer(&r, sig, body, headerLength, Limits{MaxTensorBytes: 1 << 20}, m)
		checkMemory(t, m, &r, body)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		checkRoundTrip(t, sig, r.Inputs, false)
	})
}

func FuzzDecodePredict(f *testing.F) {
	files, err := filepath.Glob("testdata/bad/predict/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(0), body)
	}
	for i, body := range []string{
		`{"signature_name":"serving_default","instances":[[1,2,3],[NaN,5,6]]}`,
		`{"instances":[{"a":[1,2],"t":"p"},{"t":{"b64":"/w=="},"a":[3,4]}]}`,
		`{"inputs":{"s":1,"b":[true],"n":[1,2]}}`,
		`{"instances":[{"u":1,"i":-1},{"u":2,"i":0}]}`,
		`{"inputs":[["a",{"b64":"YQ=="}]]}`,
		`{"inputs":[["a"],[{"b64":"YQ=="}],["c"]]}`,
	} {
		f.Add(uint8(i), []byte(body))
	}
	f.Fuzz(func(t *testing.T, model uint8, body []byte) {
		signatures := fuzzSignatures(t)
		sig := signatures[int(model)%len(signatures)]
		var r PredictRequest
		m := newMemory(t)
		err := DecodePredict(&r, sig, body, Limits{}, m)
		checkMemory(t, m, &r.InferRequest, body)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		again := []byte(`{"inputs":{`)
		for i := range r.Inputs {
			input := &r.Inputs[i]
			w := writer{tensor: input, nonFinite: NonFiniteLiteral, base64: true}
			again = append(appendText(comma(again, i > 0), input.Name), ':')
			if again, err = w.nested(again, input.Shape, 0); err != nil {
				t.Fatal(err)
			}
		}
		again = append(again, "}}"...)
		var second PredictRequest
		if err := DecodePredict(&second, sig, again, Limits{}, newMemory(t)); err != nil {
			t.Fatalf("what was accepted is refused when encoded again: %v: %q", err, again)
		}
		for i := range r.Inputs {
			sameTensor(t, second.Inputs[i], r.Inputs[i])
		}
	})
}
