package oip

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

func floats32(values ...float32) []byte {
	var data []byte
	for _, value := range values {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(value))
	}
	return data
}

func tensorOf(name string, kind runtime.DataType, shape []int64, data ...byte) runtime.Tensor {
	return runtime.Tensor{Name: name, Type: kind, Shape: shape, Data: data}
}

func TestResponses(t *testing.T) {
	inf := float32(math.Inf(1))
	for name, c := range map[string]struct {
		resp InferResponse
		want string
		data string // binary data behind the JSON
	}{
		"json": {InferResponse{Model: "m", Version: "2", ID: "a\"b", Outputs: []runtime.Tensor{
			tensorOf("y", runtime.FP32, []int64{2, 2}, floats32(0.1, -0, 1e-7, 3)...),
			tensorOf("n", runtime.INT64, []int64{1}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		}}, `{"id":"a\"b","model_name":"m","model_version":"2","outputs":[{"name":"y","datatype":"FP32","shape":[2,2],"data":[0.1,0.0,1e-07,3.0]},` +
			`{"name":"n","datatype":"INT64","shape":[1],"data":[-1]}]}`, ""},
		"every integer": {InferResponse{Outputs: []runtime.Tensor{
			tensorOf("a", runtime.BOOL, []int64{2}, 0, 1), tensorOf("b", runtime.UINT8, []int64{1}, 255), tensorOf("c", runtime.UINT16, []int64{1}, 255, 255),
			tensorOf("d", runtime.UINT32, []int64{1}, 255, 255, 255, 255), tensorOf("e", runtime.UINT64, []int64{1}, 255, 255, 255, 255, 255, 255, 255, 255),
			tensorOf("f", runtime.INT8, []int64{1}, 255), tensorOf("g", runtime.INT16, []int64{1}, 255, 255), tensorOf("h", runtime.INT32, []int64{1}, 255, 255, 255, 255),
		}}, `{"model_name":"","model_version":"","outputs":[{"name":"a","datatype":"BOOL","shape":[2],"data":[false,true]},{"name":"b","datatype":"UINT8","shape":[1],"data":[255]},` +
			`{"name":"c","datatype":"UINT16","shape":[1],"data":[65535]},{"name":"d","datatype":"UINT32","shape":[1],"data":[4294967295]},` +
			`{"name":"e","datatype":"UINT64","shape":[1],"data":[18446744073709551615]},{"name":"f","datatype":"INT8","shape":[1],"data":[-1]},` +
			`{"name":"g","datatype":"INT16","shape":[1],"data":[-1]},{"name":"h","datatype":"INT32","shape":[1],"data":[-1]}]}`, ""},
		"scalar and empty": {InferResponse{Outputs: []runtime.Tensor{
			tensorOf("s", runtime.FP16, nil, 0x00, 0x3e), tensorOf("e", runtime.FP32, []int64{0, 3}),
		}}, `{"model_name":"","model_version":"","outputs":[{"name":"s","datatype":"FP16","shape":[],"data":[1.5]},{"name":"e","datatype":"FP32","shape":[0,3],"data":[]}]}`, ""},
		"binary and json": {InferResponse{Outputs: []runtime.Tensor{
			tensorOf("y", runtime.BF16, []int64{1}, 'a', 'b'), tensorOf("n", runtime.UINT8, []int64{1}, 7),
			{Name: "t", Type: runtime.BYTES, Shape: []int64{2}, Strings: [][]byte{[]byte("\xff"), nil}},
		}, Binary: []bool{true, false, true}}, `{"model_name":"","model_version":"","outputs":[{"name":"y","datatype":"BF16","shape":[1],"parameters":{"binary_data_size":2}},` +
			`{"name":"n","datatype":"UINT8","shape":[1],"data":[7]},{"name":"t","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":9}}]}`, "ab\x01\x00\x00\x00\xff\x00\x00\x00\x00"},
		"text": {InferResponse{Outputs: []runtime.Tensor{{Name: "t", Type: runtime.BYTES, Shape: []int64{3}, Strings: [][]byte{[]byte("a\n\x01\\"), nil, []byte("ü🎵")}}}},
			`{"model_name":"","model_version":"","outputs":[{"name":"t","datatype":"BYTES","shape":[3],"data":["a\n\u0001\\","","ü🎵"]}]}`, ""},
		"null": {InferResponse{NonFinite: NonFiniteNull, Outputs: []runtime.Tensor{tensorOf("y", runtime.FP32, []int64{2}, floats32(inf, 1)...)}},
			`{"model_name":"","model_version":"","outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[null,1.0]}]}`, ""},
		"literal": {InferResponse{NonFinite: NonFiniteLiteral, Outputs: []runtime.Tensor{tensorOf("y", runtime.FP32, []int64{3}, floats32(inf, -inf, inf-inf)...),
			tensorOf("z", runtime.FP64, []int64{1}, 0, 0, 0, 0, 0, 0, 0xf0, 0xff), tensorOf("h", runtime.FP16, []int64{1}, 0, 0x7c)}},
			`{"model_name":"","model_version":"","outputs":[{"name":"y","datatype":"FP32","shape":[3],"data":[Infinity,-Infinity,NaN]},` +
				`{"name":"z","datatype":"FP64","shape":[1],"data":[-Infinity]},{"name":"h","datatype":"FP16","shape":[1],"data":[Infinity]}]}`, ""},
		"not finite in binary": {InferResponse{Binary: []bool{true}, Outputs: []runtime.Tensor{tensorOf("y", runtime.FP32, []int64{1}, floats32(inf)...)}},
			`{"model_name":"","model_version":"","outputs":[{"name":"y","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}}]}`, "\x00\x00\x80\x7f"},
	} {
		t.Run(name, func(t *testing.T) {
			out, header, err := AppendInferResponse([]byte("before"), &c.resp)
			if err != nil || string(out) != "before"+c.want+c.data {
				t.Errorf("got %s (%v)\nwant %s%q", out, err, c.want, c.data)
			}
			wantHeader := -1
			if c.data != "" {
				wantHeader = len(c.want)
			}
			if header != wantHeader {
				t.Errorf("header length %d, want %d", header, wantHeader)
			}
		})
	}
}

func TestRefusedResponses(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		output  runtime.Tensor
		status  int
		message string
	}{
		{tensorOf("y", runtime.FP32, []int64{3}, floats32(1, 2, nan)...), 500, `output "y": element 2 is NaN, which JSON cannot hold: ask for it as binary data (parameter binary_data)`},
		{tensorOf("y", runtime.FP64, []int64{1}, 0, 0, 0, 0, 0, 0, 0xf0, 0xff), 500, `output "y": element 0 is -Infinity, which JSON cannot hold: ask for it as binary data (parameter binary_data)`},
		{tensorOf("y", runtime.FP16, []int64{1}, 0, 0x7c), 500, `output "y": element 0 is Infinity, which JSON cannot hold: ask for it as binary data (parameter binary_data)`},
		{tensorOf("y", runtime.BF16, []int64{1}, 0, 0), 400, `output "y": BF16 has no JSON form: ask for it as binary data (parameter binary_data)`},
		{runtime.Tensor{Name: "t", Type: runtime.BYTES, Shape: []int64{2}, Strings: [][]byte{[]byte("a"), []byte("\xff")}}, 500,
			`output "t": element 1 is not valid UTF-8, which JSON cannot hold: ask for it as binary data (parameter binary_data)`},
		{tensorOf("y", runtime.FP32, []int64{-1}), 500, `output "y": shape [-1]: size -1 at dimension 0 is negative`},
	} {
		good := tensorOf("x", runtime.UINT8, []int64{1}, 1)
		out, header, err := AppendInferResponse([]byte("before"), &InferResponse{Outputs: []runtime.Tensor{good, c.output}})
		wantRefusal(t, err, c.status, c.message)
		if string(out) != "before" || header != -1 {
			t.Errorf("%s: left %q, header length %d", c.message, out, header)
		}
	}
}

// TestFloatsAreWrittenShortestAndExact reads back what encoding/json would
// accept, with strconv.
func TestFloatsAreWrittenShortestAndExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	check := func(value float64, size int) {
		t.Helper()
		text := appendFloat(nil, value, size)
		back, err := strconv.ParseFloat(string(text), size)
		if err != nil || math.Float64bits(back) != math.Float64bits(value) || !json.Valid(text) {
			t.Fatalf("%v of %d bits written as %s", value, size, text)
		}
		if shortest := strconv.FormatFloat(value, 'e', -1, size); countDigits(text) > max(countDigits([]byte(shortest)), 24) {
			t.Fatalf("%v written as %s, though %s is enough", value, text, shortest)
		}
	}
	for _, value := range []float64{0, math.Copysign(0, -1), 1, -1, 1 << 24, 1<<24 + 1, 1<<24 - 1, 1e20, 1e21, 1e-6, 9.99e-7, 123456.5, math.MaxFloat64, 5e-324} {
		check(value, 64)
	}
	for range 100_000 {
		if value := math.Float32frombits(rng.Uint32()); value-value == 0 {
			check(float64(value), 32)
		}
		if value := math.Float64frombits(rng.Uint64()); value-value == 0 {
			check(value, 64)
		}
		check(float64(rng.IntN(1<<26))/4, 64)
	}
}

func countDigits(number []byte) (n int) {
	for _, c := range number {
		if c == 'e' {
			break
		}
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

func TestFirstNonFiniteFindsTheFirst(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	patterns := map[runtime.DataType][]uint64{
		runtime.FP16: {0x7c00, 0xfc00, 0x7e00, 0xffff, 0x7c01},
		runtime.BF16: {0x7f80, 0xff80, 0x7fc0, 0xffff, 0x7f81},
		runtime.FP32: {0x7f800000, 0xff800000, 0x7fc00000, 0xffffffff, 0x7f800001},
		runtime.FP64: {0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000, 0xffffffffffffffff, 0x7ff0000000000001},
	}
	largest := map[runtime.DataType]uint64{runtime.FP16: 0x7bff, runtime.BF16: 0x7f7f, runtime.FP32: 0x7f7fffff, runtime.FP64: 0x7fefffffffffffff}
	for kind, bad := range patterns {
		size := kind.Size()
		put := func(data []byte, i int, bits uint64) {
			for k := range size {
				data[i*size+k] = byte(bits >> (8 * k))
			}
		}
		for n := range 70 {
			data := make([]byte, n*size)
			sign := uint64(1) << (8*size - 1)
			for i := range n { // the largest finite values of both signs, and zeros
				put(data, i, []uint64{largest[kind], largest[kind] | sign, 0, sign}[rng.IntN(4)])
			}
			tensor := tensorOf("y", kind, []int64{int64(n)}, data...)
			if at := FirstNonFinite(&tensor); at != -1 {
				t.Fatalf("%s: element %d of %d finite ones found", kind, at, n)
			}
			for i := n - 1; i >= 0; i-- { // later ones stay, so the first must be found
				put(data, i, bad[rng.IntN(len(bad))])
				if at := FirstNonFinite(&tensor); at != i {
					t.Fatalf("%s: found %d of %d, want %d", kind, at, n, i)
				}
			}
		}
	}
	ints := tensorOf("n", runtime.INT32, []int64{1}, 0xff, 0xff, 0xff, 0xff)
	if at := FirstNonFinite(&ints); at != -1 {
		t.Errorf("an integer tensor: %d", at)
	}
}

func TestNonFinitePolicyNames(t *testing.T) {
	for _, p := range []NonFinite{NonFiniteError, NonFiniteNull, NonFiniteLiteral} {
		if got, ok := ParseNonFinite(p.String()); !ok || got != p {
			t.Errorf("%s parses as %s, %v", p, got, ok)
		}
	}
	if p, ok := ParseNonFinite(""); !ok || p != NonFiniteError {
		t.Errorf("the empty name is %s, %v", p, ok)
	}
	if _, ok := ParseNonFinite("Error"); ok {
		t.Error("Error is taken")
	}
}

func TestErrorDocument(t *testing.T) {
	got := AppendError([]byte("x"), "a \"b\"\n\xff")
	if want := `x{"error":"a \"b\"\n` + "\ufffd" + `"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
