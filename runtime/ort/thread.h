// Threads of C's beside those of Go.
#ifndef SEGUE_ORT_THREAD_H
#define SEGUE_ORT_THREAD_H

#include <pthread.h>

// segue_thread_start starts a thread that takes no signals but its own faults:
// what is sent to the process is for the threads that Go knows. Returns 0 or
// the error.
int segue_thread_start(pthread_t *thread, void *(*body)(void *), void *argument, int detached);

#endif
