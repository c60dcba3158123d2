package ort

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	binding "github.com/yalue/onnxruntime_go"

	"github.com/segue-serving/segue/runtime"
)

// sessionOptions builds ONNX Runtime's options; they are the caller's to
// destroy.
//
// Spinning is off because idle threads would burn three CPU seconds a second.
// The CPU arena and memory patterns stay on, as ONNX Runtime has them: patterns
// off cost a quarter of the throughput of a shared session, and without the
// arena a large activation would be mapped and unmapped by every run, now that
// the trim threshold is fixed.
func sessionOptions(opts runtime.Options) (*binding.SessionOptions, error) {
	ordinal, cuda, err := parseDevice(opts.Device)
	if err != nil {
		return nil, err
	}
	if opts.Threads < 0 {
		return nil, fmt.Errorf("threads: %d is negative", opts.Threads)
	}
	o, err := binding.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		o.SetIntraOpNumThreads(max(1, opts.Threads)),
		o.SetInterOpNumThreads(1),
		o.SetExecutionMode(binding.ExecutionModeSequential),
		o.SetCpuMemArena(true),
		o.SetMemPattern(true),
		o.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		o.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"),
	)
	if err == nil && cuda {
		err = appendCUDA(o, ordinal, opts.MemoryLimit)
	}
	if err != nil {
		return nil, errors.Join(err, o.Destroy())
	}
	return o, nil
}

// parseDevice reads "", "cpu", "cuda" and "cuda:<n>".
func parseDevice(device string) (ordinal int, cuda bool, err error) {
	switch {
	case device == "" || device == "cpu":
		return 0, false, nil
	case device == "cuda":
		return 0, true, nil
	}
	number, found := strings.CutPrefix(device, "cuda:")
	if n, err := strconv.ParseUint(number, 10, 16); found && err == nil {
		return int(n), true, nil
	}
	return 0, false, fmt.Errorf("device %q: want cpu, cuda or cuda:<n>", device)
}

func isCUDA(device string) bool {
	_, cuda, _ := parseDevice(device)
	return cuda
}

func appendCUDA(o *binding.SessionOptions, ordinal int, limit int64) error {
	cuda, err := binding.NewCUDAProviderOptions()
	if err != nil {
		return noCUDA(ordinal, err)
	}
	settings := map[string]string{"device_id": strconv.Itoa(ordinal)}
	if limit > 0 {
		// The default strategy doubles the arena and so overshoots any limit.
		settings["gpu_mem_limit"] = strconv.FormatInt(limit, 10)
		settings["arena_extend_strategy"] = "kSameAsRequested"
	}
	err = cuda.Update(settings)
	if err == nil {
		err = o.AppendExecutionProviderCUDA(cuda)
	}
	if err != nil {
		err = noCUDA(ordinal, err)
	}
	return errors.Join(err, cuda.Destroy())
}

func noCUDA(ordinal int, cause error) error {
	return fmt.Errorf("device cuda:%d asked for, but this libonnxruntime has no CUDA provider that works (%s); "+
		"install onnxruntime-gpu with its CUDA libraries and point %s at it, or set the device to cpu",
		ordinal, strings.TrimSuffix(tidy(cause.Error()), "."), LibraryEnv)
}
