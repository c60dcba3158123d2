package ort

import (
	"errors"
	"fmt"

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
func (e *Engine) sessionOptions(on device, opts runtime.Options) (*binding.SessionOptions, error) {
	if opts.Threads < 0 {
		return nil, fmt.Errorf("threads: %d is negative", opts.Threads)
	}
	if opts.MemoryLimit < 0 {
		return nil, fmt.Errorf("memory limit: %d is negative", opts.MemoryLimit)
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
	if err == nil && on.cuda {
		err = e.appendCUDA(o, on, opts.MemoryLimit)
	}
	if err != nil {
		return nil, errors.Join(err, o.Destroy())
	}
	return o, nil
}
