// Signal handlers of the process. Libraries of CUDA put their own in the place
// of Go's, whose handlers turn a fault into a panic and drive its scheduler.
#ifndef SEGUE_ORT_SIGNALS_H
#define SEGUE_ORT_SIGNALS_H

#include <signal.h>

typedef struct segue_signals {
  struct sigaction of[65];
} segue_signals;

// segue_signals_save notes the handlers as they are.
void segue_signals_save(segue_signals *saved);
// segue_signals_restore puts back those in whose place a function of somebody
// else's stands. What Go itself changed meanwhile (its own handler, or none)
// stays. Returns how many were put back.
int segue_signals_restore(const segue_signals *saved);

#endif
