package oip_test

import (
	"fmt"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/runtime"
)

// heap is the simplest Allocator; a gateway hands out slots of a batch.
type heap struct{}

func (heap) Input(_ int, _ []int64, size int) ([]byte, error) { return make([]byte, size), nil }

func Example() {
	sig := &runtime.Signature{
		Inputs:  []runtime.TensorSpec{{Name: "x", Type: runtime.UINT8, Shape: []int64{runtime.Dynamic}}},
		Outputs: []runtime.TensorSpec{{Name: "y", Type: runtime.UINT8, Shape: []int64{runtime.Dynamic}}},
	}
	var req oip.InferRequest
	body := []byte(`{"id":"7","inputs":[{"name":"x","datatype":"UINT8","shape":[2],"data":[1,2]}]}`)
	if err := oip.DecodeInfer(&req, sig, body, -1, oip.Limits{}, heap{}); err != nil {
		fmt.Println(err)
		return
	}
	output := req.Inputs[0] // a model that answers what it is asked
	output.Name = "y"
	out, headerLength, err := oip.AppendInferResponse(nil, &oip.InferResponse{
		Model: "echo", Version: "1", ID: req.ID, Outputs: []runtime.Tensor{output}, Binary: req.BinaryOutputs,
	})
	fmt.Println(string(out), headerLength, err)

	err = oip.DecodeInfer(&req, sig, []byte(`{"inputs":[{"name":"x","datatype":"UINT8","shape":[2],"data":[1,256]}]}`), -1, oip.Limits{}, heap{})
	fmt.Println(err)
	// Output:
	// {"id":"7","model_name":"echo","model_version":"1","outputs":[{"name":"y","datatype":"UINT8","shape":[2],"data":[1,2]}]} -1 <nil>
	// input "x": element 1 at byte 64 is out of the range of UINT8
}
