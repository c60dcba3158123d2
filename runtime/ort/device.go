package ort

// #include "api.h"
import "C"

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	binding "github.com/yalue/onnxruntime_go"
)

// device is where a session runs: the CPU, or a CUDA device by its number.
type device struct {
	cuda    bool
	ordinal int
}

// parseDevice reads "", "cpu", "cuda" and "cuda:<n>".
func parseDevice(name string) (device, error) {
	kind, number, numbered := strings.Cut(name, ":")
	switch {
	case name == "" || name == "cpu":
		return device{}, nil
	case name == "cuda":
		return device{cuda: true}, nil
	case kind == "cuda" && numbered:
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			return device{true, int(n)}, nil
		}
	case kind == "tensorrt":
		// Its provider compiles an engine for each model, shape and device,
		// for minutes: that needs a cache beside the artifact, keyed by digest,
		// device and versions, and an engine that is built before the swap.
		return device{}, fmt.Errorf("device %q: TensorRT is not offered; want cuda or cuda:<n>, which runs on the same device", name)
	}
	return device{}, fmt.Errorf("device %q: want cpu, cuda or cuda:<n>", name)
}

// cudaSettings are the CUDA provider's settings for a session that may take
// limit bytes of the device's memory, 0 for no limit.
// https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html
func cudaSettings(ordinal int, limit int64) map[string]string {
	settings := map[string]string{
		"device_id": strconv.Itoa(ordinal),
		// The other strategy doubles the arena at each step: it overshoots any
		// limit, and two versions side by side in a swap take twice too much.
		"arena_extend_strategy": "kSameAsRequested",
		// The default tries every algorithm at the first run of each shape, and
		// batches have many: seconds, in the middle of the traffic.
		"cudnn_conv_algo_search": "HEURISTIC",
		// Copies in another stream would race with the run where a buffer is
		// used again, as batches do.
		"do_copy_in_default_stream": "1",
	}
	if limit > 0 {
		settings["gpu_mem_limit"] = strconv.FormatInt(limit, 10)
	}
	return settings
}

func (e *Engine) appendCUDA(o *binding.SessionOptions, on device, limit int64) error {
	available, err := e.providers()
	if err != nil {
		return err
	}
	cuda, err := binding.NewCUDAProviderOptions()
	if err != nil {
		return refuseCUDA(on.ordinal, available, err)
	}
	err = cuda.Update(cudaSettings(on.ordinal, limit))
	if err == nil {
		err = o.AppendExecutionProviderCUDA(cuda)
	}
	if err != nil {
		err = refuseCUDA(on.ordinal, available, err)
	}
	return errors.Join(err, cuda.Destroy())
}

const cudaProvider = "CUDAExecutionProvider"

// folders are the places of files on this machine.
var folders = regexp.MustCompile(`/(?:[^/\s]+/)+`)

// refuseCUDA says why there is no session on a CUDA device, and what to mend.
func refuseCUDA(ordinal int, available []string, cause error) error {
	reason := folders.ReplaceAllString(strings.TrimSuffix(tidy(cause.Error()), "."), "")
	mend := "its own libraries are missing or do not fit: install those of CUDA and cuDNN that it was built for"
	lower := strings.ToLower(reason)
	switch {
	case !slices.Contains(available, cudaProvider):
		mend = "this libonnxruntime is built for the CPU alone: install one for CUDA and point " + LibraryEnv + " at it"
	case strings.Contains(lower, "libcuda.so"):
		mend = "there is no CUDA driver here: install it, or give its libraries to the container (the NVIDIA container toolkit does)"
	case strings.Contains(lower, "out of memory") || strings.Contains(lower, "failed to allocate"):
		mend = "the device's memory, or the limit set for the model, is too small"
	case strings.Contains(lower, "cuda failure") || strings.Contains(lower, "cuda error") || strings.Contains(lower, "cudasetdevice"):
		mend = "the driver shows no such device to this process: see what nvidia-smi lists here, and whether the container was given it"
	}
	return fmt.Errorf("device cuda:%d cannot be used (%s); %s, or set the device to cpu", ordinal, reason, mend)
}

// providers are those that the library was built with.
func (e *Engine) providers() ([]string, error) {
	var names **C.char
	var count C.int
	var cErr C.segue_error
	C.segue_providers(e.api, &names, &count, &cErr)
	if err := asError(&cErr); err != nil {
		return nil, fmt.Errorf("execution providers: %w", err)
	}
	defer C.segue_providers_free(e.api, names, count)
	var all []string
	for _, name := range unsafe.Slice(names, count) {
		all = append(all, C.GoString(name))
	}
	return all, nil
}
