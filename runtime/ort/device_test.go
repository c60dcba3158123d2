package ort

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

func TestDevices(t *testing.T) {
	engine := openEngine(t)
	path := runtimetest.Model(t, "mlp")
	f := func(opts runtime.Options, want string) {
		t.Helper()
		session, err := engine.Open(context.Background(), path, opts)
		if err == nil {
			closeSession(t, session)
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", opts, err, want)
		}
	}
	f(runtime.Options{}, "")
	f(runtime.Options{Device: "cpu", Threads: 2, MemoryLimit: 1 << 30}, "")
	f(runtime.Options{Device: "cpu", Threads: -1}, "threads: -1 is negative")
	f(runtime.Options{Device: "cpu", MemoryLimit: -1}, "memory limit: -1 is negative")
	for _, unknown := range []string{"gpu", "cuda:", "cuda:-1", "cuda:1:2", "cuda:x", "cuda0", "0", "CPU", "cpu:0", ":"} {
		f(runtime.Options{Device: unknown}, fmt.Sprintf("device %q: want cpu, cuda or cuda:<n>", unknown))
	}
	f(runtime.Options{Device: "tensorrt"}, `device "tensorrt": TensorRT is not offered; want cuda or cuda:<n>`)
	f(runtime.Options{Device: "tensorrt:1"}, "TensorRT is not offered")
}

func TestADeviceIsReadFromItsName(t *testing.T) {
	f := func(name string, want device) {
		t.Helper()
		if got, err := parseDevice(name); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	f("", device{})
	f("cpu", device{})
	f("cuda", device{cuda: true})
	f("cuda:0", device{cuda: true})
	f("cuda:13", device{cuda: true, ordinal: 13})
}

func TestSettingsOfTheCUDAProvider(t *testing.T) {
	f := func(ordinal int, limit int64, want map[string]string) {
		t.Helper()
		if got := cudaSettings(ordinal, limit); !maps.Equal(got, want) {
			t.Errorf("device %d, limit %d: got %v, want %v", ordinal, limit, got, want)
		}
	}
	f(0, 0, map[string]string{
		"device_id": "0", "arena_extend_strategy": "kSameAsRequested",
		"cudnn_conv_algo_search": "HEURISTIC", "do_copy_in_default_stream": "1",
	})
	f(3, 2<<30, map[string]string{
		"device_id": "3", "arena_extend_strategy": "kSameAsRequested", "gpu_mem_limit": "2147483648",
		"cudnn_conv_algo_search": "HEURISTIC", "do_copy_in_default_stream": "1",
	})
}

// TestCUDAThatCannotBeUsedSaysWhatToMend has the words of ONNX Runtime 1.31 for
// each case; no such machine is needed to hear them.
func TestCUDAThatCannotBeUsedSaysWhatToMend(t *testing.T) {
	both := []string{cudaProvider, "CPUExecutionProvider"}
	f := func(available []string, cause, mend string) {
		t.Helper()
		err := refuseCUDA(1, available, errors.New(cause))
		for _, says := range []string{"device cuda:1 cannot be used (", mend, "or set the device to cpu"} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("got %v, want it to say %q", err, says)
			}
		}
		if strings.Contains(err.Error(), "..") || strings.Contains(err.Error(), ".cc:") {
			t.Errorf("got %v", err)
		}
	}
	f([]string{"CPUExecutionProvider"}, "CUDA execution provider is not enabled in this build. ", "built for the CPU alone")
	f(both, "Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file: No such file or directory",
		"install those of CUDA and cuDNN")
	f(both, "Failed to load library /opt/ort/libonnxruntime_providers_cuda.so with error: libcuda.so.1: cannot open shared object file: No such file or directory",
		"(Failed to load library libonnxruntime_providers_cuda.so with error: libcuda.so.1: cannot open shared object file: No such file or directory); there is no CUDA driver here")
	f(both, "CUDA failure 100: no CUDA-capable device is detected ; GPU=0 ; hostname=a ; file=/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=282 ; expr=cudaSetDevice(info_.device_id);",
		"the driver shows no such device")
	f(both, "CUDA failure 101: invalid device ordinal ; GPU=0", "the driver shows no such device")
	f(both, "CUDA failure 2: out of memory ; GPU=0", "too small")
	f(both, "Failed to allocate memory for requested buffer of size 1073741824 on the CUDA arena", "too small")
}

func TestAFaultOfTheModelIsNotTheDevices(t *testing.T) {
	cause := errors.New("Load model from m.onnx failed:Protobuf parsing failed.")
	for _, on := range []device{{}, {cuda: true}} {
		if err := openError(cause, "m.onnx", on); strings.Contains(err.Error(), "set the device to cpu") {
			t.Errorf("%+v: got %v", on, err)
		}
	}
	cause = errors.New("CUDA failure 100: no CUDA-capable device is detected")
	if err := openError(cause, "m.onnx", device{cuda: true}); !strings.Contains(err.Error(), "nvidia-smi") {
		t.Errorf("got %v, want what to look at", err)
	}
}

// TestCUDAIsRefusedWhereItIsNot runs on a library for the CPU alone, such as
// that which the project pins, and on one for CUDA without a device.
func TestCUDAIsRefusedWhereItIsNot(t *testing.T) {
	engine := openEngine(t)
	available, err := engine.providers()
	if err != nil || !slices.Contains(available, "CPUExecutionProvider") {
		t.Fatalf("providers %v, %v, want that of the CPU among them", available, err)
	}
	// No machine has so many.
	_, err = engine.Open(context.Background(), runtimetest.Model(t, "mlp"), runtime.Options{Device: "cuda:65535", MemoryLimit: 1 << 30})
	if err == nil || !strings.Contains(err.Error(), "device cuda:65535 cannot be used (") {
		t.Errorf("got %v, want it to say that there is no such device", err)
	}
	runtimetest.WantNoPath(t, err)
	t.Log(err)
}
