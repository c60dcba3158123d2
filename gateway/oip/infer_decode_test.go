package oip

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
)

// one wraps the members of a single input into a request.
func one(members string) string { return `{"inputs":[{` + members + `}]}` }

func TestDataReachesTensorMemory(t *testing.T) {
	for _, c := range []struct{ spec, members, want string }{
		{"x FP32 [-1,2]", `"name":"x","datatype":"FP32","shape":[2,2],"data":[1,2,3,4]`, "[2,2] 0000803f000000400000404000008040"},
		{"x FP32 [-1,2]", `"name":"x","datatype":"FP32","shape":[2,2],"data":[[1,2],[3,4]]`, "[2,2] 0000803f000000400000404000008040"},
		{"x FP32 [-1,2]", `"data":[[1,2],[3,4]],"shape":[2,2],"name":"x","datatype":"FP32"`, "[2,2] 0000803f000000400000404000008040"},
		{"x FP32 [2]", ` "name" : "x" , "datatype" : "FP32" , "shape" : [ 2 ] , "data" : [ 1.5 , -2.5e0 ] `, "[2] 0000c03f000020c0"},
		{"x FP32 [3]", `"name":"x","datatype":"FP32","shape":[3],"data":[NaN,Infinity,-Infinity]`, "[3] 0000c07f0000807f000080ff"},
		{"x FP64 [3]", `"name":"x","datatype":"FP64","shape":[3],"data":[NaN, Infinity, -Infinity]`, "[3] 010000000000f87f000000000000f07f000000000000f0ff"},
		{"x FP16 [4]", `"name":"x","datatype":"FP16","shape":[4],"data":[1,NaN,Infinity,-Infinity]`, "[4] 003c007e007c00fc"},
		{"x FP32 [1]", `"name":"x","datatype":"FP32","shape":[1],"data":[0.1]`, "[1] cdcccc3d"},
		// 1 + 2^-24 + 2^-60: rounding to double first would lose the last bit.
		{"x FP32 [1]", `"name":"x","datatype":"FP32","shape":[1],"data":[1.0000000596046447753906250000001]`, "[1] 0100803f"},
		{"x FP64 [1]", `"name":"x","datatype":"FP64","shape":[1],"data":[0.1]`, "[1] 9a9999999999b93f"},
		{"x FP32 []", `"name":"x","datatype":"FP32","shape":[],"data":1`, "[] 0000803f"},
		{"x FP32 []", `"name":"x","datatype":"FP32","shape":[],"data":[1]`, "[] 0000803f"},
		{"x FP32 []", `"name":"x","datatype":"FP32","shape":[1],"data":[1]`, "[] 0000803f"},
		{"x FP32 [-1]", `"name":"x","datatype":"FP32","shape":[0],"data":[]`, "[0] "},
		{"x FP32 [-1,3]", `"name":"x","datatype":"FP32","shape":[0,3],"data":[ ]`, "[0,3] "},
		{"x FP32 [-1,-1]", `"name":"x","datatype":"FP32","shape":[2,0],"data":[[],[]]`, "[2,0] "},
		{"x FP32 [-1,-1]", `"name":"x","datatype":"FP32","shape":[2,0],"data":[]`, "[2,0] "},
		{"x FP32 [-1,-1,-1]", `"name":"x","datatype":"FP32","shape":[2,1,2],"data":[[[1,2]],[[3,4]]]`, "[2,1,2] 0000803f000000400000404000008040"},
		{"x BOOL [4]", `"name":"x","datatype":"BOOL","shape":[4],"data":[true,false,1,0]`, "[4] 01000100"},
		{"x INT8 [3]", `"name":"x","datatype":"INT8","shape":[3],"data":[-128,127,-0]`, "[3] 807f00"},
		{"x UINT8 [2]", `"name":"x","datatype":"UINT8","shape":[2],"data":[0,255]`, "[2] 00ff"},
		{"x INT16 [2]", `"name":"x","datatype":"INT16","shape":[2],"data":[-32768,32767]`, "[2] 0080ff7f"},
		{"x UINT16 [1]", `"name":"x","datatype":"UINT16","shape":[1],"data":[65535]`, "[1] ffff"},
		{"x INT32 [2]", `"name":"x","datatype":"INT32","shape":[2],"data":[-2147483648,2147483647]`, "[2] 00000080ffffff7f"},
		{"x UINT32 [1]", `"name":"x","datatype":"UINT32","shape":[1],"data":[4294967295]`, "[1] ffffffff"},
		{"x INT64 [2]", `"name":"x","datatype":"INT64","shape":[2],"data":[-9223372036854775808,9223372036854775807]`, "[2] 0000000000000080ffffffffffffff7f"},
		{"x UINT64 [1]", `"name":"x","datatype":"UINT64","shape":[1],"data":[18446744073709551615]`, "[1] ffffffffffffffff"},
		{"x BYTES [-1]", `"name":"x","datatype":"BYTES","shape":[4],"data":["","a","Ärger","\u00e4\n\ud83c\udfb5\"\\\/\b\f\r\t"]`,
			`[4] ["" "a" "Ärger" "ä\n🎵\"\\/\b\f\r\t"]`},
		{"x BYTES [-1,2]", `"name":"x","datatype":"BYTES","shape":[1,2],"data":[["a","b"]]`, `[1,2] ["a" "b"]`},
		{"x BYTES []", `"name":"x","datatype":"BYTES","shape":[],"data":"a"`, `[] ["a"]`},
		{"x BYTES [-1]", `"name":"x","datatype":"BYTES","shape":[0],"data":[]`, `[0] []`},
		{"\u00e4 FP32 [1]", `"name":"\u00e4","datatype":"FP32","shape":[1],"data":[1],"note":{"a":[1,{"b":null}],"c":"\"]"},"parameters":{"custom":[1,2]}`, "[1] 0000803f"},
		{"x FP32 [1]", `"name":"x","datatype":"FP32","shape":[1],"data":[1],"parameters":null`, "[1] 0000803f"},
	} {
		var r InferRequest
		if err := DecodeInfer(&r, signature(t, c.spec), []byte(one(c.members)), -1, Limits{}, newMemory(t)); err != nil {
			t.Errorf("%s: %s: %v", c.spec, c.members, err)
			continue
		}
		x := r.Inputs[0]
		got := runtime.FormatShape(x.Shape) + " " + hex.EncodeToString(x.Data)
		if x.Type == runtime.BYTES {
			got = fmt.Sprintf("%s %q", runtime.FormatShape(x.Shape), x.Strings)
		}
		if got != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.spec, c.members, got, c.want)
		}
	}
}

func TestRequestMembers(t *testing.T) {
	sig := signature(t, "a FP32 [1]", "b INT64 [1]", "->", "y FP32 [1]", "z FP32 [1]", "h BF16 [1]")
	inputs := `"inputs":[{"name":"b","shape":[1],"datatype":"INT64","data":[7]},{"name":"a","shape":[1],"datatype":"FP32","data":[1]}]`
	type want struct {
		id      string
		outputs []int
		binary  []bool
		timeout time.Duration
	}
	for body, want := range map[string]want{
		`{` + inputs + `,"outputs":[{"name":"z"},{"name":"y","parameters":{"binary_data":true}}]}`:                                                      {"", []int{1, 0}, []bool{false, true}, 0},
		`{` + inputs + `,"outputs":[{"name":"y","parameters":{"binary_data":false}},{"name":"h"}],"parameters":{"binary_data_output":true},"id":"q\n"}`: {"q\n", []int{0, 2}, []bool{false, true}, 0},
		`{"parameters":{"binary_data_output":true,"timeout":1500,"other":1},"id":null,` + inputs + `}`:                                                  {"", nil, []bool{true, true, true}, 1500 * time.Microsecond},
		`{"model_name":"m","outputs":[],"parameters":{"binary_data_output":true,"timeout":9223372036854775807},` + inputs + `}`:                         {"", nil, []bool{true, true, true}, 9223372036854775 * time.Microsecond},
		`{"outputs":null,"parameters":{"binary_data_output":true},` + inputs + `,"id":""}`:                                                              {"", nil, []bool{true, true, true}, 0},
	} {
		r := InferRequest{ID: "of the request before", lastID: "of the request before"}
		if err := DecodeInfer(&r, sig, []byte(body), -1, Limits{}, newMemory(t)); err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if r.ID != want.id || !slices.Equal(r.Outputs, want.outputs) || (r.Outputs == nil) != (want.outputs == nil) ||
			!slices.Equal(r.BinaryOutputs, want.binary) || r.Timeout != want.timeout {
			t.Errorf("%s:\n got %q %v %v %v\nwant %+v", body, r.ID, r.Outputs, r.BinaryOutputs, r.Timeout, want)
		}
		if r.Inputs[0].Name != "a" || r.Inputs[1].Name != "b" || r.Inputs[1].Data[0] != 7 {
			t.Errorf("%s: inputs not in the signature's order: %v", body, r.Inputs)
		}
	}
}

func TestModelsWithoutInputs(t *testing.T) {
	sig := signature(t, "->", "y FP32 [1]")
	for _, body := range []string{`{}`, `{"inputs":[]}`, `{"inputs":null}`, ` { "id" : "1" } `} {
		var r InferRequest
		if err := DecodeInfer(&r, sig, []byte(body), -1, Limits{}, newMemory(t)); err != nil || len(r.Inputs) != 0 {
			t.Errorf("%s: %v, %d inputs", body, err, len(r.Inputs))
		}
	}
}

func TestLimitsOnShapes(t *testing.T) {
	sig := signature(t, "x FP32 [-1,-1,2]")
	limits := Limits{MaxTensorBytes: 64, MaxDimension: 3, MaxBatch: 4}
	decode := func(shape string, elements int) error {
		body := one(`"name":"x","datatype":"FP32","shape":` + shape + `,"data":[1` + strings.Repeat(",1", max(0, elements-1)) + `]`)
		return DecodeInfer(&InferRequest{}, sig, []byte(body), -1, limits, newMemory(t))
	}
	if err := decode("[4,2,2]", 16); err != nil {
		t.Errorf("at the limits: %v", err)
	}
	wantRefusal(t, decode("[5,1,2]", 10), 400, `input "x": shape [5,1,2] has 5 rows, over the limit of 4`)
	wantRefusal(t, decode("[1,4,2]", 8), 400, `input "x": shape [1,4,2] has size 4 at dimension 1, over the limit of 3`)
	wantRefusal(t, decode("[4,3,2]", 24), 413, `input "x" takes 96 bytes, over the limit of 64`)

	texts := signature(t, "x BYTES [-1]")
	long := strings.Repeat("a", 57)
	err := DecodeInfer(&InferRequest{}, texts, []byte(one(`"name":"x","datatype":"BYTES","shape":[2],"data":["","`+long+`"]`)), -1, limits, newMemory(t))
	limits.MaxBatch = 4
	wantRefusal(t, err, 413, `input "x" takes 65 bytes, over the limit of 64`)
	err = DecodeInfer(&InferRequest{}, texts, []byte(one(`"name":"x","datatype":"BYTES","shape":[2],"data":["","`+long[1:]+`"]`)), -1, limits, newMemory(t))
	if err != nil {
		t.Errorf("64 bytes of BYTES: %v", err)
	}
}

func TestNestingIsLimited(t *testing.T) {
	sig := signature(t, "->", "y FP32 [1]")
	deep := func(n int) []byte {
		return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	if err := DecodeInfer(&InferRequest{}, sig, deep(DefaultMaxDepth-1), -1, Limits{}, newMemory(t)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	err := DecodeInfer(&InferRequest{}, sig, deep(DefaultMaxDepth), -1, Limits{}, newMemory(t))
	wantRefusal(t, err, 400, "JSON nests deeper than 64 at byte 68")
	err = DecodeInfer(&InferRequest{}, sig, deep(1e6), -1, Limits{MaxDepth: 3}, newMemory(t))
	wantRefusal(t, err, 400, "JSON nests deeper than 3 at byte 7")
}

// TestClaimedSizesCostNothing sends short bodies that claim large tensors.
func TestClaimedSizesCostNothing(t *testing.T) {
	for _, c := range []struct{ spec, shape, data string }{
		{"x FP32 [-1,-1]", "[1000000,1000000]", "[1]"},
		{"x FP64 [-1]", "[30]", "[1,2,3,4,5,6,7,8,9]"},
		{"x BYTES [-1]", "[1000000000]", `["a"]`},
		{"x UINT8 [-1]", "[4611686018427387904]", "[1]"},
	} {
		fields := strings.Fields(c.spec)
		body := one(`"name":"x","datatype":"` + fields[1] + `","shape":` + c.shape + `,"data":` + c.data)
		m := newMemory(t)
		var r InferRequest
		err := DecodeInfer(&r, signature(t, c.spec), []byte(body), -1, Limits{}, m)
		var refusal *Error
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Message, "more than the remaining") {
			t.Errorf("%s: %v", body, err)
		}
		if m.asked != 0 || cap(r.strings) != 0 {
			t.Errorf("%s: %d bytes and %d elements allocated", body, m.asked, cap(r.strings))
		}
	}
}

func TestErrorsOfTheAllocatorPass(t *testing.T) {
	full := errors.New("no slot free")
	err := DecodeInfer(&InferRequest{}, signature(t, "x FP32 [1]"), []byte(one(`"name":"x","datatype":"FP32","shape":[1],"data":[1]`)), -1, Limits{}, &memory{t: t, fail: full})
	if err != full {
		t.Errorf("got %v, want the allocator's own error", err)
	}
}

// TestARequestIsReusedAfterARefusal decodes bad requests between good ones
// into the same InferRequest.
func TestARequestIsReusedAfterARefusal(t *testing.T) {
	sig := signature(t, "x UINT8 [-1]", "t BYTES [-1]", "->", "y FP32 [1]", "z FP32 [1]")
	good := `{"id":"7","inputs":[{"name":"x","datatype":"UINT8","shape":[2],"data":[1,2]},{"name":"t","datatype":"BYTES","shape":[1],"data":["a\n"]}]`
	var r InferRequest
	for _, bad := range []string{"", good, good + `,"outputs":[{"name":"z","parameters":{"binary_data":true}}],"parameters":{"timeout":1,"priority":1}}`,
		good + `,"outputs":[{"name":"z"},{"name":"q"}]}`, `{"id":"8","inputs":[{"name":"t"`} {
		if err := DecodeInfer(&r, sig, []byte(bad), -1, Limits{}, newMemory(t)); err == nil {
			t.Errorf("accepted %s", bad)
		}
		if err := DecodeInfer(&r, sig, []byte(good+"}"), -1, Limits{}, newMemory(t)); err != nil {
			t.Fatal(err)
		}
		if got := show(r.Inputs[0]) + show(r.Inputs[1]); got != `x [2] 0102t [1] ["a\n"]` || r.ID != "7" || r.Outputs != nil || len(r.BinaryOutputs) != 2 || r.Timeout != 0 {
			t.Errorf("after %s: %s, %+v", bad, got, r)
		}
	}
	r.Reset()
	if r.ID != "" || len(r.Inputs) != 0 || len(r.BinaryOutputs) != 0 {
		t.Errorf("after Reset: %+v", r)
	}
}
