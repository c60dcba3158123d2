#define _GNU_SOURCE
#include "errand.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "thread.h"

static int64_t cpu_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1000000000L + now.tv_nsec;
}

// run_warm runs again and again for as long as the errand says: the thread was
// new, and what it computes with lay in no cache.
static void run_warm(segue_errand *e) {
  int64_t spent = 0;
  for (;;) {
    int64_t began = cpu_now();
    segue_run(e->api, e->session, e->frame, e->how);
    int64_t took = cpu_now() - began;
    if (spent == 0 || took < e->cpu_ns) e->cpu_ns = took;
    spent += took;
    if (e->frame->err.code != 0 || spent >= e->again_ns) return;
    segue_frame_clear(e->api, e->frame);
  }
}

void segue_errand_do(segue_errand *e) {
  switch (e->kind) {
    case SEGUE_OPEN:
      e->session = segue_session_open(e->api, e->path, e->options, &e->err);
      break;
    case SEGUE_CLOSE:
      segue_session_close(e->api, e->session);
      break;
    case SEGUE_RUN:
      run_warm(e);
      break;
  }
}

// lower makes a thread step back: a batch thread interrupts nobody when it
// wakes, and niceness is of one thread here. Neither takes a privilege.
static void lower(int thread, int nice) {
  struct sched_param none = {0};
  sched_setscheduler(thread, SCHED_BATCH, &none);
  setpriority(PRIO_PROCESS, (id_t)thread, nice);
}

static void *run_errand(void *argument) {
  segue_errand *e = argument;
  int thread = (int)syscall(SYS_gettid), done = e->done;
  lower(thread, e->nice);
  pthread_mutex_lock(&e->mutex);
  e->thread = thread;
  pthread_mutex_unlock(&e->mutex);
  segue_errand_do(e);
  pthread_mutex_lock(&e->mutex);
  e->thread = 0;
  pthread_mutex_unlock(&e->mutex);
  // From here on the errand may be freed. An eventfd that nobody else writes
  // to and that is open takes this.
  const uint64_t one = 1;
  ssize_t written = write(done, &one, sizeof one);
  (void)written;
  return NULL;
}

int segue_errand_start(segue_errand *e) {
  pthread_mutex_init(&e->mutex, NULL);
  pthread_t thread;
  return segue_thread_start(&thread, run_errand, e, 1);
}

int segue_errand_raise(segue_errand *e, int nice) {
  pthread_mutex_lock(&e->mutex);
  int failed = e->thread && setpriority(PRIO_PROCESS, (id_t)e->thread, nice) ? errno : 0;
  pthread_mutex_unlock(&e->mutex);
  return failed;
}

int segue_niceness(void) { return getpriority(PRIO_PROCESS, 0); }

static void *try_raise(void *argument) {
  int *levels = argument;
  int thread = (int)syscall(SYS_gettid);
  int may = setpriority(PRIO_PROCESS, (id_t)thread, levels[0]) == 0 && setpriority(PRIO_PROCESS, (id_t)thread, levels[1]) == 0;
  return may ? argument : NULL;
}

int segue_may_raise(int from, int to) {
  int levels[] = {from, to};
  pthread_t thread;
  void *may = NULL;
  if (segue_thread_start(&thread, try_raise, levels, 0) == 0) pthread_join(thread, &may);
  return may != NULL;
}
