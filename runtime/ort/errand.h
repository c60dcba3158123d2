// Work of ONNX Runtime's that no request waits for, in threads of their own at
// a lower priority. They are threads of C and not of Go: a thread that the
// kernel lets wait would otherwise hold the Go scheduler's locks, or one of its
// processors, and with it the requests.
#ifndef SEGUE_ORT_ERRAND_H
#define SEGUE_ORT_ERRAND_H

#include <pthread.h>

#include "api.h"

enum segue_errand_kind { SEGUE_OPEN, SEGUE_CLOSE, SEGUE_RUN };

// What is to be done. The caller fills it in and leaves it alone until done.
typedef struct segue_errand {
  int32_t kind;
  int32_t nice;
  int32_t done;  // an eventfd, which gets one added
  const segue_api *api;
  void *session;        // given to SEGUE_CLOSE and SEGUE_RUN, the result of SEGUE_OPEN
  const char *path;     // SEGUE_OPEN
  const void *options;  // SEGUE_OPEN
  segue_frame *frame;   // SEGUE_RUN, which leaves its error there
  const void *how;      // SEGUE_RUN: options of the run, may be NULL
  segue_error err;      // SEGUE_OPEN
  int64_t again_ns;     // SEGUE_RUN: runs are repeated until they took so long together
  int64_t cpu_ns;       // SEGUE_RUN: what the fastest took of a processor's time
  pthread_mutex_t mutex;
  int32_t thread;  // the kernel's id of the thread while it lives; guarded by mutex
} segue_errand;

// segue_errand_start does the errand in a thread of its own. Returns 0, or the
// error of a thread that could not be started.
int segue_errand_start(segue_errand *errand);
// segue_errand_do does it in the calling thread and tells nobody.
void segue_errand_do(segue_errand *errand);
// segue_errand_raise gives the errand's thread, if it still lives, another
// niceness. Returns 0 or the error; a lower one takes a privilege.
int segue_errand_raise(segue_errand *errand, int nice);
// segue_niceness is that of the calling thread, and so of those it starts.
int segue_niceness(void);
// segue_may_raise reports whether a thread of this process may go back from one
// niceness to another.
int segue_may_raise(int from, int to);

#endif
