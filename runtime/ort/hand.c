#define _GNU_SOURCE
#include "hand.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "thread.h"

struct segue_hand {
  const segue_api *api;
  int32_t nice;
  int32_t done;
  pthread_t thread;
  // No lock: a thread that the kernel lets wait must not hold one that the
  // requests need.
  sem_t given;
  void *session;  // NULL ends the thread
  segue_frame *frame;
  const void *options;
};

static void await(sem_t *s) {
  while (sem_wait(s) != 0 && errno == EINTR) {
  }
}

// The kernel's struct sched_attr in its first form.
struct attributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};

// step_back lets all others go first. Niceness says how a core is shared that
// several want; it is of one thread here. The slice says how soon a thread that
// wakes gets it: since Linux 6.12 one with a shorter slice, and all others have
// the default of a few milliseconds at most, need not wait for the end of the
// running one's. Neither takes a privilege. Refused, the thread is as important
// as everybody else.
static void step_back(int nice) {
  const uint64_t longest_slice = 100 * 1000 * 1000;  // the kernel takes no longer one
  struct attributes a = {.size = sizeof a, .policy = SCHED_OTHER, .nice = nice, .runtime = longest_slice};
  if (syscall(SYS_sched_setattr, 0, &a, 0) != 0)
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice);
}

static void *serve(void *argument) {
  segue_hand *h = argument;
  step_back(h->nice);
  for (;;) {
    await(&h->given);
    if (!h->session) return NULL;
    if (h->frame->binding)
      segue_run_bound(h->api, h->session, h->frame, h->options);
    else
      segue_run(h->api, h->session, h->frame, h->options);
    // From here on the hand may be given the next.
    const uint64_t one = 1;
    ssize_t written = write(h->done, &one, sizeof one);
    (void)written;
  }
}

segue_hand *segue_hand_start(const segue_api *api, int nice, int done) {
  segue_hand *h = calloc(1, sizeof *h);
  h->api = api;
  h->nice = nice;
  h->done = done;
  sem_init(&h->given, 0, 0);
  if (segue_thread_start(&h->thread, serve, h, 0) == 0) return h;
  sem_destroy(&h->given);
  free(h);
  return NULL;
}

void segue_hand_give(segue_hand *h, void *session, segue_frame *frame, const void *options) {
  h->session = session;
  h->frame = frame;
  h->options = options;
  sem_post(&h->given);
}

void segue_hand_stop(segue_hand *h) {
  segue_hand_give(h, NULL, NULL, NULL);
  pthread_join(h->thread, NULL);
  sem_destroy(&h->given);
  free(h);
}
