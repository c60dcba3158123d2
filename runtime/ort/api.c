#define _GNU_SOURCE
#include "api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { KIND_TENSOR = 1, TYPE_STRING = 8, LOG_FATAL = 4 };

struct segue_api {
  void *const *table;
  void *allocator;
  void *memory;
  void *env;
  const char *version;
};

struct api_base {
  void *const *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
};

// Every call but the releases answers a status, NULL for success.
#define CALL(api, slot, ...) ((void *(*)(__VA_ARGS__))(api)->table[SLOT_##slot])
#define RELEASE(api, slot, what) (((void (*)(void *))(api)->table[SLOT_##slot])(what))

static void fail(segue_error *err, const char *format, const char *detail) {
  err->code = -1;
  snprintf(err->message, sizeof err->message, format, detail ? detail : "");
}

// failed reports whether status is an error, and if so moves it into err.
static int failed(const segue_api *api, void *status, segue_error *err) {
  if (!status) return 0;
  int (*code)(const void *) = (int (*)(const void *))api->table[SLOT_GetErrorCode];
  const char *(*message)(const void *) = (const char *(*)(const void *))api->table[SLOT_GetErrorMessage];
  fail(err, "%s", message(status));
  err->code = code(status);
  if (err->code == 0) err->code = -1;
  RELEASE(api, ReleaseStatus, status);
  return 1;
}

segue_api *segue_api_open(const char *path, segue_error *err) {
  memset(err, 0, sizeof *err);
  // Never unmapped: threads and static destructors of the library may outlive
  // its last user.
  void *handle = dlopen(path, RTLD_LAZY | RTLD_NODELETE);
  if (!handle) {
    fail(err, "cannot be loaded: %s", dlerror());
    return NULL;
  }
  struct api_base *(*base)(void) = (struct api_base * (*)(void)) dlsym(handle, "OrtGetApiBase");
  if (!base) {
    fail(err, "is not ONNX Runtime: %s", dlerror());
    dlclose(handle);
    return NULL;
  }
  segue_api *api = calloc(1, sizeof *api);
  api->version = base()->get_version();
  api->table = base()->get_api(SEGUE_ORT_API_VERSION);
  if (!api->table) {
    fail(err, "is ONNX Runtime %s, which is too old: 1.29 or later is needed", api->version);
    goto refuse;
  }
  if (failed(api, CALL(api, GetAllocatorWithDefaultOptions, void **)(&api->allocator), err)) goto refuse;
  if (failed(api, CALL(api, CreateCpuMemoryInfo, int, int, void **)(0, 0, &api->memory), err)) goto refuse;
  dlclose(handle);
  return api;

refuse:
  free(api);
  dlclose(handle);
  return NULL;
}

void segue_api_share(segue_api *api, segue_error *err) {
  err->code = 0;
  failed(api, CALL(api, CreateEnv, int, const char *, void **)(LOG_FATAL, "segue", &api->env), err);
}

const char *segue_api_version(const segue_api *api) { return api->version; }

void segue_api_close(segue_api *api) {
  RELEASE(api, ReleaseMemoryInfo, api->memory);
  if (api->env) RELEASE(api, ReleaseEnv, api->env);
  free(api);
}

void segue_providers(const segue_api *api, char ***names, int *count, segue_error *err) {
  err->code = 0;
  failed(api, CALL(api, GetAvailableProviders, char ***, int *)(names, count), err);
}

void segue_providers_free(const segue_api *api, char **names, int count) {
  // It fails only without names.
  void *status = CALL(api, ReleaseAvailableProviders, char **, int)(names, count);
  if (status) RELEASE(api, ReleaseStatus, status);
}

void *segue_session_open(const segue_api *api, const char *path, const void *options, segue_error *err) {
  void *session = NULL;
  err->code = 0;
  failed(api,
         CALL(api, CreateSession, const void *, const char *, const void *, void **)(api->env, path, options, &session),
         err);
  return session;
}

void segue_session_close(const segue_api *api, void *session) { RELEASE(api, ReleaseSession, session); }

void segue_count(const segue_api *api, void *session, size_t *inputs, size_t *outputs, segue_error *err) {
  err->code = 0;
  if (failed(api, CALL(api, SessionGetInputCount, void *, size_t *)(session, inputs), err)) return;
  failed(api, CALL(api, SessionGetOutputCount, void *, size_t *)(session, outputs), err);
}

static void describe_tensor(const segue_api *api, const void *info, segue_spec *spec, segue_error *err) {
  int type = 0;
  if (failed(api, CALL(api, GetTensorElementType, const void *, int *)(info, &type), err)) return;
  spec->type = type;
  spec->has_shape = ((_Bool(*)(const void *))api->table[SLOT_TensorTypeAndShape_HasShape])(info);
  if (!spec->has_shape) return;
  if (failed(api, CALL(api, GetDimensionsCount, const void *, size_t *)(info, &spec->rank), err)) return;
  spec->shape = calloc(spec->rank + 1, sizeof *spec->shape);
  spec->symbols = calloc(spec->rank + 1, sizeof *spec->symbols);
  if (failed(api, CALL(api, GetDimensions, const void *, int64_t *, size_t)(info, spec->shape, spec->rank), err)) return;
  // The strings are the model's, and live no longer than info.
  if (failed(api, CALL(api, GetSymbolicDimensions, const void *, const char **, size_t)(
                      info, (const char **)spec->symbols, spec->rank), err)) {
    memset(spec->symbols, 0, spec->rank * sizeof *spec->symbols);
    return;
  }
  for (size_t i = 0; i < spec->rank; i++) spec->symbols[i] = strdup(spec->symbols[i] ? spec->symbols[i] : "");
}

void segue_spec_clear(segue_spec *spec) {
  for (size_t i = 0; spec->symbols && i < spec->rank; i++) free(spec->symbols[i]);
  free(spec->symbols);
  free(spec->shape);
  free(spec->name);
  memset(spec, 0, sizeof *spec);
}

void segue_describe(const segue_api *api, void *session, int output, size_t index, segue_spec *spec, segue_error *err) {
  memset(spec, 0, sizeof *spec);
  err->code = 0;
  char *name = NULL;
  int name_slot = output ? SLOT_SessionGetOutputName : SLOT_SessionGetInputName;
  int type_slot = output ? SLOT_SessionGetOutputTypeInfo : SLOT_SessionGetInputTypeInfo;
  void *(*get_name)(void *, size_t, void *, char **) = (void *(*)(void *, size_t, void *, char **))api->table[name_slot];
  void *(*get_type)(void *, size_t, void **) = (void *(*)(void *, size_t, void **))api->table[type_slot];
  if (failed(api, get_name(session, index, api->allocator, &name), err)) return;
  spec->name = strdup(name);
  if (failed(api, CALL(api, AllocatorFree, void *, void *)(api->allocator, name), err)) return;

  void *info = NULL;
  int kind = 0;
  const void *tensor = NULL;
  if (failed(api, get_type(session, index, &info), err)) return;
  if (!failed(api, CALL(api, GetOnnxTypeFromTypeInfo, const void *, int *)(info, &kind), err) &&
      !failed(api, CALL(api, CastTypeInfoToTensorInfo, const void *, const void **)(info, &tensor), err)) {
    spec->kind = kind;
    if (kind == KIND_TENSOR && tensor) describe_tensor(api, tensor, spec, err);
  }
  RELEASE(api, ReleaseTypeInfo, info);
}

segue_frame *segue_frame_new(size_t n_in, size_t n_out) {
  segue_frame *f = calloc(1, sizeof *f);
  f->n_in = n_in;
  f->n_out = n_out;
  // One more each, so that a model without inputs has arrays too.
  f->in = calloc(n_in + 1, sizeof *f->in);
  f->out = calloc(n_out + 1, sizeof *f->out);
  f->in_names = calloc(n_in + 1, sizeof *f->in_names);
  f->out_names = calloc(n_out + 1, sizeof *f->out_names);
  f->in_values = calloc(n_in + 1, sizeof *f->in_values);
  f->out_values = calloc(n_out + 1, sizeof *f->out_values);
  return f;
}

void segue_frame_free(segue_frame *f) {
  free(f->in);
  free(f->out);
  free(f->in_names);
  free(f->out_names);
  free(f->in_values);
  free(f->out_values);
  free(f);
}

static void release_values(const segue_api *api, void **values, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (values[i]) RELEASE(api, ReleaseValue, values[i]);
    values[i] = NULL;
  }
}

void segue_frame_clear(const segue_api *api, segue_frame *f) {
  for (size_t i = 0; i < f->asked; i++) {
    free(f->out[i].lengths);
    memset(&f->out[i], 0, sizeof f->out[i]);
  }
  release_values(api, f->out_values, f->asked);
}

// Strings may hold any byte, NUL too, which rules out FillStringTensor.
static int make_strings(const segue_api *api, const segue_value *v, void **value, segue_error *err) {
  if (failed(api,
             CALL(api, CreateTensorAsOrtValue, void *, const int64_t *, size_t, int, void **)(api->allocator, v->shape,
                                                                                           v->rank, v->type, value),
             err))
    return 0;
  const char *from = v->data;
  for (size_t i = 0; i < v->count; i++) {
    char *to = NULL;
    if (failed(api,
               CALL(api, GetResizedStringTensorElementBuffer, void *, size_t, size_t, char **)(*value, i, v->lengths[i],
                                                                                            &to),
               err))
      return 0;
    memcpy(to, from, v->lengths[i]);
    from += v->lengths[i];
  }
  return 1;
}

static int make_value(const segue_api *api, const segue_value *v, void **value, segue_error *err) {
  static _Alignas(64) char nothing[64];
  if (v->type == TYPE_STRING) return make_strings(api, v, value, err);
  return !failed(api,
                 CALL(api, CreateTensorWithDataAsOrtValue, const void *, void *, size_t, const int64_t *, size_t, int,
                      void **)(api->memory, v->bytes ? v->data : nothing, v->bytes, v->shape, v->rank, v->type, value),
                 err);
}

static int read_strings(const segue_api *api, void *value, segue_value *v, segue_error *err) {
  if (failed(api, CALL(api, GetStringTensorDataLength, const void *, size_t *)(value, &v->bytes), err)) return 0;
  // The positions and then the bytes, in one block that lengths owns.
  v->lengths = malloc((v->count + 1) * sizeof *v->lengths + v->bytes);
  if (!v->lengths) {
    fail(err, "%s", "no memory left for an output of strings");
    return 0;
  }
  v->data = v->lengths + v->count + 1;
  return !failed(api,
                 CALL(api, GetStringTensorContent, const void *, void *, size_t, size_t *, size_t)(
                     value, v->data, v->bytes, v->lengths, v->count),
                 err);
}

static int read_output(const segue_api *api, void *value, segue_value *v, segue_error *err) {
  int type = 0;
  const int64_t *shape = NULL;
  if (failed(api,
             CALL(api, GetTensorElementTypeAndShapeDataReference, const void *, int *, const int64_t **, size_t *)(
                 value, &type, &shape, &v->rank),
             err))
    return 0;
  v->type = type;
  v->shape = (int64_t *)shape;
  v->count = 1;
  for (size_t i = 0; i < v->rank; i++) v->count *= (size_t)shape[i];
  if (type == TYPE_STRING) return v->count == 0 || read_strings(api, value, v, err);
  return !failed(api, CALL(api, GetTensorMutableData, void *, void **)(value, &v->data), err);
}

void segue_run(const segue_api *api, void *session, segue_frame *f, const void *options) {
  f->err.code = 0;
  int ok = 1;
  for (size_t i = 0; ok && i < f->n_in; i++) ok = make_value(api, &f->in[i], &f->in_values[i], &f->err);
  if (ok)
    ok = !failed(api,
                 CALL(api, Run, void *, const void *, const char *const *, void *const *, size_t, const char *const *,
                      size_t, void **)(session, options, f->in_names, f->in_values, f->n_in, f->out_names, f->asked,
                                       f->out_values),
                 &f->err);
  release_values(api, f->in_values, f->n_in);
  for (size_t i = 0; ok && i < f->asked; i++) ok = read_output(api, f->out_values[i], &f->out[i], &f->err);
  if (!ok) segue_frame_clear(api, f);
}

void segue_bind(const segue_api *api, void *session, segue_frame *f) {
  f->err.code = 0;
  if (failed(api, CALL(api, CreateIoBinding, void *, void **)(session, &f->binding), &f->err)) return;
  for (size_t i = 0; i < f->n_in; i++) {
    if (!make_value(api, &f->in[i], &f->in_values[i], &f->err)) return;
    if (failed(api, CALL(api, BindInput, void *, const char *, const void *)(f->binding, f->in_names[i], f->in_values[i]), &f->err))
      return;
  }
  for (size_t i = 0; i < f->n_out; i++) {
    if (!make_value(api, &f->out[i], &f->out_values[i], &f->err)) return;
    if (failed(api, CALL(api, BindOutput, void *, const char *, const void *)(f->binding, f->out_names[i], f->out_values[i]),
               &f->err))
      return;
  }
}

void segue_unbind(const segue_api *api, segue_frame *f) {
  if (f->binding) RELEASE(api, ReleaseIoBinding, f->binding);
  f->binding = NULL;
  release_values(api, f->in_values, f->n_in);
  release_values(api, f->out_values, f->n_out);
}

void segue_run_bound(const segue_api *api, void *session, segue_frame *f, const void *options) {
  f->err.code = 0;
  failed(api, CALL(api, RunWithBinding, void *, const void *, const void *)(session, options, f->binding), &f->err);
}

void *segue_options_new(const segue_api *api, segue_error *err) {
  void *options = NULL;
  err->code = 0;
  if (failed(api, CALL(api, CreateRunOptions, void **)(&options), err)) return NULL;
  return options;
}

void segue_options_set(const segue_api *api, void *options, const char *name, const char *value, segue_error *err) {
  err->code = 0;
  failed(api, CALL(api, AddRunConfigEntry, void *, const char *, const char *)(options, name, value), err);
}

void segue_options_terminate(const segue_api *api, void *options) {
  segue_error err;
  failed(api, CALL(api, RunOptionsSetTerminate, void *)(options), &err);
}

void segue_options_free(const segue_api *api, void *options) { RELEASE(api, ReleaseRunOptions, options); }

void segue_malloc_tune(void) {
#ifdef __GLIBC__
  mallopt(M_TRIM_THRESHOLD, 128 * 1024);
#endif
}

void segue_malloc_trim(void) {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}
