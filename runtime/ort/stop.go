package ort

// #include "api.h"
import "C"

import (
	"context"
	"fmt"
	"unsafe"
)

// youngRuns is how many runs of a session are its first.
const youngRuns = 64

// stoppable makes a run that ends soon after ctx does, with ctx's error: ONNX
// Runtime looks between two nodes of the graph. A context that cannot end costs
// nothing; any other a fraction of a microsecond.
func (s *session) stoppable(ctx context.Context, run func(options unsafe.Pointer) error) error {
	if s.device.cuda {
		// Its libraries load others when a run first needs them: one of the
		// first runs, or later one of another shape. The look takes 15 µs.
		if n := s.runs.Add(1); n <= youngRuns || n%youngRuns == 0 {
			defer s.engine.keepSignals()
		}
	}
	if ctx.Done() == nil {
		return run(nil)
	}
	api := s.engine.api
	var cErr C.segue_error
	options := C.segue_options_new(api, &cErr)
	if options == nil {
		return asError(&cErr)
	}
	defer C.segue_options_free(api, options)
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		C.segue_options_terminate(api, options)
		close(stopped)
	})
	err := run(options)
	if stop() {
		return err
	}
	<-stopped
	if err != nil {
		return fmt.Errorf("run: %w", ctx.Err())
	}
	return nil // it was done first
}
