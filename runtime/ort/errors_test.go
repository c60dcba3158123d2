package ort

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

func TestMessagesLosePlacesAndNamesOfNodes(t *testing.T) {
	f := func(message, want string) {
		t.Helper()
		if got := tidy(message); got != want {
			t.Errorf("tidy(%q)\n got %q\nwant %q", message, got, want)
		}
	}
	f("Non-zero status code returned while running Gather node. Name:'/secret/emb' Status Message: indices element out of data bounds, idx=9 must be within the inclusive range [-4,3]",
		"Gather: indices element out of data bounds, idx=9 must be within the inclusive range [-4,3]")
	f("Non-zero status code returned while running Add node. Name:'' Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:563 void onnxruntime::BroadcastIterator::Init(ptrdiff_t, ptrdiff_t) axis == 1 || axis == largest was false. Attempting to broadcast",
		"Add: axis == 1 || axis == largest was false. Attempting to broadcast")
	f("Exception during initialization: /onnxruntime_src/onnxruntime/core/optimizer/initializer.cc:79 onnxruntime::Initializer::Initializer(const onnxruntime::Graph&, const onnx::TensorProto&, const std::filesystem::__cxx11::path&, bool) [ONNXRuntimeError] : 1 : FAIL : tensorprotoutils.cc:1609 ValidateEmbeddedTensorProtoDataSizeAndShape Initializer 'w1_s': data field count",
		"Exception during initialization: Initializer 'w1_s': data field count")
	f("/src/a.cc:1 const onnx::TensorProto* onnxruntime::InferenceContextImpl::getInputData(size_t) const Initializer 'w (1)' is bad",
		"Initializer 'w (1)' is bad")
	f("tensorprotoutils.cc:1534 ValidateSize size (48 bytes) is wrong", "size (48 bytes) is wrong")
	f("one\n  two", "one two")
	f("ratio 1:2 of x.y (z)", "ratio 1:2 of x.y (z)")
}

func TestInputsThatDisagreeOnANamedSizeAreTheCallersFault(t *testing.T) {
	engine := openEngine(t)
	session := runtimetest.OpenFixture(t, engine, "two_in_two_out")
	inputs := runtimetest.Place(t,
		runtimetest.FP32("x", []int64{3, 2}, 1, 2, 3, 4, 5, 6), runtimetest.INT64("k", []int64{2}, 1, 2))
	_, err := session.Run(context.Background(), inputs, nil)
	if !errors.Is(err, runtime.ErrInvalidArgument) || !strings.Contains(err.Error(), `size "batch" is 3 in input "x" and 2 in input "k"`) {
		t.Errorf("got %v, want it to name the size and both inputs", err)
	}
	runtimetest.WantNoPath(t, err)
}

func TestAFaultOfTheModelIsNotTheCallers(t *testing.T) {
	engine := openEngine(t)
	// Sizes with different names, so that nothing says that they must agree.
	session := runtimetest.OpenFixture(t, engine, "add")
	inputs := runtimetest.Place(t, runtimetest.FP32("a", []int64{3}, 1, 2, 3), runtimetest.FP32("b", []int64{2}, 1, 2))
	_, err := session.Run(context.Background(), inputs, nil)
	if err == nil || errors.Is(err, runtime.ErrInvalidArgument) {
		t.Errorf("got %v, want an error of the model", err)
	}
	runtimetest.WantNoPath(t, err)
}
