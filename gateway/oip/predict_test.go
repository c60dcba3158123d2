package oip

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/segue-serving/segue/runtime"
)

// show prints a tensor's shape and elements for comparison.
func show(tensor runtime.Tensor) string {
	if tensor.Type == runtime.BYTES {
		return fmt.Sprintf("%s %s %q", tensor.Name, runtime.FormatShape(tensor.Shape), tensor.Strings)
	}
	return fmt.Sprintf("%s %s %s", tensor.Name, runtime.FormatShape(tensor.Shape), hex.EncodeToString(tensor.Data))
}

func TestPredictRequests(t *testing.T) {
	one := []string{"x UINT8 [-1,2]"}
	two := []string{"a UINT8 [-1,2]", "t BYTES [-1]"}
	for _, c := range []struct {
		specs    []string
		body     string
		columnar bool
		want     []string
	}{
		{one, `{"instances":[[1,2],[3,4]]}`, false, []string{"x [2,2] 01020304"}},
		{one, `{"signature_name":"serving_default","instances":[{"x":[1,2]},{"x":[3,4]}],"other":[{}]}`, false, []string{"x [2,2] 01020304"}},
		{one, ` { "instances" : [ [ 1 , 2 ] , [ 3 , 4 ] ] } `, false, []string{"x [2,2] 01020304"}},
		{one, `{"inputs":[[1,2],[3,4]]}`, true, []string{"x [2,2] 01020304"}},
		{one, `{"inputs":{"x":[[1,2],[3,4]]}}`, true, []string{"x [2,2] 01020304"}},
		{one, `{"inputs":[]}`, true, []string{"x [0,2] "}},
		{[]string{"x UINT8 [-1,-1,3]"}, `{"inputs":[[],[]]}`, true, []string{"x [2,0,3] "}},
		{two, `{"instances":[{"a":[1,2],"t":"p"},{"t":{"b64":"/w=="},"a":[3,4]}]}`, false, []string{"a [2,2] 01020304", `t [2] ["p" "\xff"]`}},
		{two, `{"inputs":{"t":["p","\u00fc"],"a":[[1,2],[3,4]]}}`, true, []string{"a [2,2] 01020304", `t [2] ["p" "ü"]`}},
		{[]string{"t BYTES [-1]"}, `{"instances":["p",{"b64":"\/w=="}]}`, false, []string{`t [2] ["p" "\xff"]`}},
		{[]string{"t BYTES [-1]"}, `{"instances":[{"b64":"/w=="},"p"]}`, false, []string{`t [2] ["\xff" "p"]`}},
		{[]string{"t BYTES [-1]"}, `{"instances":[{"t":{"b64":"/w=="}},{"t":"p"}]}`, false, []string{`t [2] ["\xff" "p"]`}},
		{[]string{"b64 BYTES [-1]"}, `{"instances":[{"b64":"p"}]}`, false, []string{`b64 [1] ["p"]`}},
		{[]string{"t BYTES []"}, `{"inputs":{"b64":"/w=="}}`, true, []string{`t [] ["\xff"]`}},
		{[]string{"t BYTES [-1,1]"}, `{"instances":[["p"],["q"]]}`, false, []string{`t [2,1] ["p" "q"]`}},
		{[]string{"s UINT8 []"}, `{"inputs":5}`, true, []string{"s [] 05"}},
		{[]string{"s UINT8 []"}, `{"inputs":[5]}`, true, []string{"s [] 05"}},
		{[]string{"s UINT8 []"}, `{"inputs":{"s":5}}`, true, []string{"s [] 05"}},
		{[]string{"s UINT8 []"}, `{"instances":[5]}`, false, []string{"s [] 05"}},
		{[]string{"s UINT8 []", "v UINT8 [1]"}, `{"instances":[{"s":5,"v":6}]}`, false, []string{"s [] 05", "v [1] 06"}},
		{[]string{"v UINT8 [-1]"}, `{"instances":[1,2,3]}`, false, []string{"v [3] 010203"}},
		{[]string{"v UINT8 [-1,2,2]", "w UINT8 [-1,-1]"}, `{"instances":[{"v":[[1,2],[3,4]],"w":[9]},{"w":[8],"v":[[5,6],[7,8]]}]}`, false,
			[]string{"v [2,2,2] 0102030405060708", "w [2,1] 0908"}},
		{[]string{"v UINT8 [-1,-1]", "w UINT8 [-1]"}, `{"instances":[{"v":[],"w":9},{"w":8,"v":[]}]}`, false, []string{"v [2,0] ", "w [2] 0908"}},
		{nil, `{"instances":[{}]}`, false, nil},
		{nil, `{"inputs":{}}`, true, nil},
	} {
		r := PredictRequest{Columnar: true}
		sig := signature(t, append(c.specs, "->", "y FP32 [-1]")...)
		for range 2 { // reuse must not show
			if err := DecodePredict(&r, sig, []byte(c.body), Limits{}, newMemory(t)); err != nil {
				t.Errorf("%v: %s: %v", c.specs, c.body, err)
				break
			}
			if r.Columnar != c.columnar || r.Outputs != nil || len(r.BinaryOutputs) != 1 || r.BinaryOutputs[0] {
				t.Errorf("%s: columnar %v, outputs %v, binary %v", c.body, r.Columnar, r.Outputs, r.BinaryOutputs)
			}
			for i, want := range c.want {
				if got := show(r.Inputs[i]); got != want {
					t.Errorf("%v: %s\n got %s\nwant %s", c.specs, c.body, got, want)
				}
			}
		}
	}
}

func TestPredictResponses(t *testing.T) {
	y := tensorOf("y", runtime.FP32, []int64{2, 2}, floats32(1, 2.5, 3, 4)...)
	n := tensorOf("n", runtime.UINT8, []int64{2}, 7, 8)
	s := tensorOf("s", runtime.UINT8, nil, 9)
	text := runtime.Tensor{Name: "t", Type: runtime.BYTES, Shape: []int64{2}, Strings: [][]byte{[]byte("a"), []byte("\"")}}
	raw := runtime.Tensor{Name: "t_bytes", Type: runtime.BYTES, Shape: []int64{2}, Strings: [][]byte{[]byte("\xff"), nil}}
	for want, resp := range map[string]PredictResponse{
		`{"predictions":[[1.0,2.5],[3.0,4.0]]}`:                         {Outputs: []runtime.Tensor{y}},
		`{"model_version":"3","outputs":[[1.0,2.5],[3.0,4.0]]}`:         {Version: "3", Outputs: []runtime.Tensor{y}, Columnar: true},
		`{"predictions":[{"y":[1.0,2.5],"n":7},{"y":[3.0,4.0],"n":8}]}`: {Outputs: []runtime.Tensor{y, n}},
		`{"outputs":{"y":[[1.0,2.5],[3.0,4.0]],"s":9}}`:                 {Outputs: []runtime.Tensor{y, s}, Columnar: true},
		`{"outputs":9}`:              {Outputs: []runtime.Tensor{s}, Columnar: true},
		`{"predictions":["a","\""]}`: {Outputs: []runtime.Tensor{text}},
		`{"predictions":[{"t":"a","t_bytes":{"b64":"/w=="}},{"t":"\"","t_bytes":{"b64":""}}]}`: {Outputs: []runtime.Tensor{text, raw}},
		`{"predictions":[null]}`: {NonFinite: NonFiniteNull, Outputs: []runtime.Tensor{tensorOf("h", runtime.FP16, []int64{1}, 0, 0x7c)}},
		`{"predictions":[]}`:     {},
		`{"outputs":{}}`:         {Columnar: true},
		`{"outputs":[[],[]]}`:    {Columnar: true, Outputs: []runtime.Tensor{tensorOf("e", runtime.FP32, []int64{2, 0})}},
	} {
		out, err := AppendPredictResponse([]byte("before"), &resp)
		if err != nil || string(out) != "before"+want {
			t.Errorf("got %s (%v)\nwant %s", out, err, want)
		}
	}
}

func TestRefusedPredictResponses(t *testing.T) {
	y := tensorOf("y", runtime.FP32, []int64{1}, 0, 0, 0x80, 0x7f)
	n := tensorOf("n", runtime.UINT8, []int64{2}, 7, 8)
	s := tensorOf("s", runtime.UINT8, nil, 9)
	for _, c := range []struct {
		resp    PredictResponse
		status  int
		message string
	}{
		{PredictResponse{Outputs: []runtime.Tensor{y}}, 500, `output "y": element 0 is Infinity, which JSON cannot hold: ask for it through the inference protocol (/v2) as binary data`},
		{PredictResponse{Outputs: []runtime.Tensor{n, y}}, 400, `output "y" of shape [1] cannot be answered row by row: send "inputs" instead of "instances"`},
		{PredictResponse{Outputs: []runtime.Tensor{s}}, 400, `output "s" of shape [] cannot be answered row by row: send "inputs" instead of "instances"`},
		{PredictResponse{Columnar: true, Outputs: []runtime.Tensor{tensorOf("z", runtime.FP32, []int64{-1})}}, 500, `output "z": shape [-1]: size -1 at dimension 0 is negative`},
	} {
		out, err := AppendPredictResponse([]byte("before"), &c.resp)
		wantRefusal(t, err, c.status, c.message)
		if string(out) != "before" {
			t.Errorf("left %q", out)
		}
	}
}
