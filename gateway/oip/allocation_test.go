package oip

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// floatRequest is a request for one FP32 input of n elements, written with six
// digits or, as Python writes a float32, with 17.
func floatRequest(n, digits int) []byte {
	rng := rand.New(rand.NewPCG(11, 12))
	body := []byte(`{"id":"42","inputs":[{"name":"x","shape":[1,` + strconv.Itoa(n) + `],"datatype":"FP32","data":[`)
	for i := range n {
		body = comma(body, i > 0)
		if digits == 6 {
			body = strconv.AppendFloat(body, rng.Float64(), 'f', 6, 64)
		} else {
			body = strconv.AppendFloat(body, float64(rng.Float32()), 'g', 17, 64)
		}
	}
	return append(body, `]}],"outputs":[{"name":"y","parameters":{"binary_data":false}}]}`...)
}

func binaryRequest(t testing.TB, n int) (body []byte, headerLength int) {
	tensor := tensorOf("x", runtime.FP32, []int64{1, int64(n)}, make([]byte, 4*n)...)
	return requestOf(t, []runtime.Tensor{tensor}, []bool{true})
}

func textRequest(n int) []byte {
	return []byte(`{"inputs":[{"name":"t","shape":[` + strconv.Itoa(n) + `],"datatype":"BYTES","data":["a\n"` + strings.Repeat(`,"some text"`, n-1) + `]}]}`)
}

func TestDecodingAllocatesNothingOnceWarm(t *testing.T) {
	floats := signature(t, "x FP32 [-1,-1]", "->", "y FP32 [-1]")
	texts := signature(t, "t BYTES [-1]", "->", "y FP32 [-1]")
	halves := signature(t, "h FP16 [-1]", "n INT64 [-1]", "b BOOL [-1]", "->", "y FP32 [-1]")
	binary, headerLength := binaryRequest(t, 1000)
	rows := []byte(`{"instances":[{"h":0.1,"n":-7,"b":true},{"h":0.25,"n":8,"b":false}]}`)
	for name, c := range map[string]struct {
		sig    *runtime.Signature
		body   []byte
		header int
	}{
		"JSON, 6 digits":  {floats, floatRequest(1000, 6), -1},
		"JSON, 17 digits": {floats, floatRequest(1000, 17), -1},
		"JSON, strings":   {texts, textRequest(100), -1},
		"JSON, others": {halves, []byte(`{"inputs":[{"name":"b","shape":[2],"datatype":"BOOL","data":[true,0]},{"data":[0.1],"name":"h","shape":[1],"datatype":"FP16"},` +
			`{"name":"n","shape":[1],"datatype":"INT64","data":[-7]}],"parameters":{"timeout":5,"x":{"y":[1]}}}`), -1},
		"binary": {floats, binary, headerLength},
	} {
		var r InferRequest
		m := &memory{t: t}
		decode := func() {
			if err := DecodeInfer(&r, c.sig, c.body, c.header, Limits{MaxTensorBytes: 1 << 20, MaxBatch: 100}, m); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if n := testing.AllocsPerRun(100, decode); n != 0 {
			t.Errorf("%s: %v allocations for each request", name, n)
		}
	}
	var r PredictRequest
	m := &memory{t: t}
	if n := testing.AllocsPerRun(100, func() {
		if err := DecodePredict(&r, halves, rows, Limits{}, m); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("predict: %v allocations for each request", n)
	}
}

func TestEncodingAllocatesNothingIntoAReusedBuffer(t *testing.T) {
	y := tensorOf("y", runtime.FP32, []int64{2, 50}, floats32(make([]float32, 100)...)...)
	for i := range y.Data {
		y.Data[i] = byte(i) & 0x3f
	}
	text := runtime.Tensor{Name: "t_bytes", Type: runtime.BYTES, Shape: []int64{2}, Strings: [][]byte{[]byte("some text"), []byte("ü\n")}}
	var buf []byte
	resp := InferResponse{Model: "m", Version: "1", ID: "42", Outputs: []runtime.Tensor{y, text, y}, Binary: []bool{false, false, true}}
	if n := testing.AllocsPerRun(100, func() {
		out, _, err := AppendInferResponse(buf[:0], &resp)
		if err != nil {
			t.Fatal(err)
		}
		buf = out
	}); n != 0 {
		t.Errorf("infer: %v allocations for each response", n)
	}
	predict := PredictResponse{Version: "1", Outputs: []runtime.Tensor{y, text}}
	if n := testing.AllocsPerRun(100, func() {
		out, err := AppendPredictResponse(buf[:0], &predict)
		if err != nil {
			t.Fatal(err)
		}
		buf = out
	}); n != 0 {
		t.Errorf("predict: %v allocations for each response", n)
	}
}

// TestLargeRequestsAreNotKept checks that one request of unusual size does not
// hold its memory through the small ones after it.
func TestLargeRequestsAreNotKept(t *testing.T) {
	sig := signature(t, "t BYTES [-1]")
	var r InferRequest
	large := []byte(`{"inputs":[{"name":"t","shape":[100000],"datatype":"BYTES","data":["` + strings.Repeat(`\n`, 2<<20) + `"` + strings.Repeat(`,""`, 99999) + `]}]}`)
	for _, body := range [][]byte{large, textRequest(2)} {
		if err := DecodeInfer(&r, sig, body, -1, Limits{}, newMemory(t)); err != nil {
			t.Fatal(err)
		}
	}
	if cap(r.strings) > mostStringsKept || cap(r.text) > mostTextKept {
		t.Errorf("%d elements and %d bytes of text are kept", cap(r.strings), cap(r.text))
	}
}
