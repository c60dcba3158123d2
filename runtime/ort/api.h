// The calls of ONNX Runtime's C API that the Go binding does not offer, made
// through the function table that the library itself gives out. The table is
// stable: members are only ever appended. Nothing here needs the library's own
// header; TestSlotsMatchTheHeader compares the numbers below with it.
#ifndef SEGUE_ORT_API_H
#define SEGUE_ORT_API_H

#include <stddef.h>
#include <stdint.h>

// The version of the table asked for, that of the Go binding.
#define SEGUE_ORT_API_VERSION 29

// Positions in the table.
enum segue_slot {
  SLOT_GetErrorCode = 1,
  SLOT_GetErrorMessage = 2,
  SLOT_CreateEnv = 3,
  SLOT_CreateSession = 7,
  SLOT_Run = 9,
  SLOT_SessionGetInputCount = 30,
  SLOT_SessionGetOutputCount = 31,
  SLOT_SessionGetInputTypeInfo = 33,
  SLOT_SessionGetOutputTypeInfo = 34,
  SLOT_SessionGetInputName = 36,
  SLOT_SessionGetOutputName = 37,
  SLOT_CreateRunOptions = 39,
  SLOT_RunOptionsSetTerminate = 46,
  SLOT_CreateTensorAsOrtValue = 48,
  SLOT_CreateTensorWithDataAsOrtValue = 49,
  SLOT_GetTensorMutableData = 51,
  SLOT_GetStringTensorDataLength = 53,
  SLOT_GetStringTensorContent = 54,
  SLOT_CastTypeInfoToTensorInfo = 55,
  SLOT_GetOnnxTypeFromTypeInfo = 56,
  SLOT_GetTensorElementType = 60,
  SLOT_GetDimensionsCount = 61,
  SLOT_GetDimensions = 62,
  SLOT_GetSymbolicDimensions = 63,
  SLOT_CreateCpuMemoryInfo = 69,
  SLOT_AllocatorFree = 76,
  SLOT_GetAllocatorWithDefaultOptions = 78,
  SLOT_ReleaseEnv = 92,
  SLOT_ReleaseStatus = 93,
  SLOT_ReleaseMemoryInfo = 94,
  SLOT_ReleaseSession = 95,
  SLOT_ReleaseValue = 96,
  SLOT_ReleaseRunOptions = 97,
  SLOT_ReleaseTypeInfo = 98,
  SLOT_GetAvailableProviders = 125,
  SLOT_ReleaseAvailableProviders = 126,
  SLOT_RunWithBinding = 133,
  SLOT_CreateIoBinding = 134,
  SLOT_ReleaseIoBinding = 135,
  SLOT_BindInput = 136,
  SLOT_BindOutput = 137,
  SLOT_AddRunConfigEntry = 165,
  SLOT_GetResizedStringTensorElementBuffer = 252,
  SLOT_TensorTypeAndShape_HasShape = 390,
  SLOT_GetTensorElementTypeAndShapeDataReference = 414,
};

// What went wrong: code is ONNX Runtime's, 0 for success; message is cut to fit.
typedef struct segue_error {
  int32_t code;
  char message[2044];
} segue_error;

typedef struct segue_api segue_api;

// segue_api_open finds the function table of the library at path, which stays
// mapped for the life of the process. Returns NULL and fills err on failure.
segue_api *segue_api_open(const char *path, segue_error *err);
// segue_api_share takes a share in the process's environment, which somebody
// has created before and which lives until its last share is given back, this
// one by segue_api_close.
void segue_api_share(segue_api *api, segue_error *err);
// segue_api_version is the library's version, such as "1.31.1".
const char *segue_api_version(const segue_api *api);
void segue_api_close(segue_api *api);

// segue_providers lists the execution providers that the library was built
// with, to be given to segue_providers_free.
void segue_providers(const segue_api *api, char ***names, int *count, segue_error *err);
void segue_providers_free(const segue_api *api, char **names, int count);

// segue_session_open opens the model at path with options of the library's own
// type. The session is the caller's to close; it is NULL after a failure.
void *segue_session_open(const segue_api *api, const char *path, const void *options, segue_error *err);
void segue_session_close(const segue_api *api, void *session);

// One declared input or output of a session. shape holds rank sizes, negative
// where dynamic, symbols the name of each, empty where it has none. All is to
// be given to segue_spec_clear.
typedef struct segue_spec {
  char *name;
  int32_t kind;  // ONNXType: 1 is a tensor
  int32_t type;  // ONNXTensorElementDataType, 0 unless a tensor
  int32_t has_shape;
  size_t rank;
  int64_t *shape;
  char **symbols;
} segue_spec;

void segue_count(const segue_api *api, void *session, size_t *inputs, size_t *outputs, segue_error *err);
void segue_describe(const segue_api *api, void *session, int output, size_t index, segue_spec *spec, segue_error *err);
void segue_spec_clear(segue_spec *spec);

// One tensor of a run. Inputs: all is the caller's. Outputs: all is valid until
// segue_frame_clear. lengths is of strings alone: for inputs the length of each
// of count elements, which lie end to end in data; for outputs where each
// begins in data.
typedef struct segue_value {
  void *data;
  size_t bytes;
  int64_t *shape;
  size_t rank;
  size_t count;
  size_t *lengths;
  int32_t type;
} segue_value;

// All that one run needs, made once and used again. in, in_names, out_names and
// asked are filled by the caller.
typedef struct segue_frame {
  size_t n_in;
  size_t n_out;
  size_t asked;  // how many outputs this run wants, at most n_out
  segue_value *in;
  segue_value *out;
  const char **in_names;
  const char **out_names;
  void **in_values;
  void **out_values;
  void *binding;  // of a frame that was bound
  segue_error err;
} segue_frame;

segue_frame *segue_frame_new(size_t n_in, size_t n_out);
void segue_frame_free(segue_frame *frame);
// segue_frame_clear gives back the outputs of a run.
void segue_frame_clear(const segue_api *api, segue_frame *frame);

// segue_run runs the session; frame->err.code is 0 when frame->out is filled.
// After a failure nothing is left to clear. options may be NULL.
void segue_run(const segue_api *api, void *session, segue_frame *frame, const void *options);

// segue_bind makes frame->in and frame->out, whose memory is the caller's,
// known to the session once and for all runs until segue_unbind, which is
// called after a failure too. segue_run_bound runs on them.
void segue_bind(const segue_api *api, void *session, segue_frame *frame);
void segue_unbind(const segue_api *api, segue_frame *frame);
void segue_run_bound(const segue_api *api, void *session, segue_frame *frame, const void *options);

// segue_options_new returns options by which one run can be ended from another
// thread, NULL after a failure. They are the caller's to free.
void *segue_options_new(const segue_api *api, segue_error *err);
// segue_options_set sets a named setting of the run.
void segue_options_set(const segue_api *api, void *options, const char *name, const char *value, segue_error *err);
void segue_options_terminate(const segue_api *api, void *options);
void segue_options_free(const segue_api *api, void *options);

// segue_malloc_tune fixes the threshold above which freed memory goes back to
// the system; segue_malloc_trim gives back all that can be. Both do nothing
// where the C library is not glibc.
void segue_malloc_tune(void);
void segue_malloc_trim(void);

#endif
