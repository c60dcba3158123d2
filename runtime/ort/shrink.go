package ort

// #include <stdlib.h>
// #include "errand.h"
import "C"

import (
	"context"
	goruntime "runtime"
	"unsafe"

	"github.com/segue-serving/segue/runtime"
)

// shrink names the setting of a run behind which ONNX Runtime frees the regions
// of a session's arena that nothing lies in, and its value for the CPU's.
var shrink = [2]string{"memory.enable_memory_arena_shrinkage", "cpu:0"}

// Trim frees what the session's arena of the CPU holds for runs. An arena only
// grows by itself: after one run of 32 rows it holds what that took for good. On
// a device, where sizes are few and the arena has a limit, it does nothing.
func (s *session) Trim(ctx context.Context, inputs []runtime.Tensor) error {
	if s.device.cuda {
		return nil
	}
	api := s.engine.api
	var cErr C.segue_error
	options := C.segue_options_new(api, &cErr)
	if options == nil {
		return asError(&cErr)
	}
	defer C.segue_options_free(api, options)
	name, value := C.CString(shrink[0]), C.CString(shrink[1])
	defer C.free(unsafe.Pointer(name))
	defer C.free(unsafe.Pointer(value))
	if C.segue_options_set(api, options, name, value, &cErr); cErr.code != 0 {
		return asError(&cErr)
	}
	f, err := s.prepare(ctx, inputs, nil)
	if err != nil {
		return err
	}
	s.engine.errand(func(errand *C.segue_errand) {
		errand.kind, errand.session, errand.frame, errand.how = C.SEGUE_RUN, s.pointer, f.c, options
	}, func(*C.segue_errand) {})
	goruntime.KeepAlive(inputs)
	res, err := s.finish(f, inputs, s.runError(&f.c.err, inputs))
	if err == nil {
		res.Release()
	}
	s.engine.trimmer.request()
	return err
}
