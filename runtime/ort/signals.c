#define _GNU_SOURCE
#include "signals.h"

#include <string.h>

enum { LAST = 64 };

void segue_signals_save(segue_signals *saved) {
  memset(saved, 0, sizeof *saved);
  // The C library keeps two to itself and refuses them, here and below.
  for (int s = 1; s <= LAST; s++) sigaction(s, NULL, &saved->of[s]);
}

int segue_signals_restore(const segue_signals *saved) {
  // Go has one function for all signals, and always one for this.
  void (*go)(int) = saved->of[SIGSEGV].sa_handler;
  int restored = 0;
  for (int s = 1; s <= LAST; s++) {
    struct sigaction now;
    if (sigaction(s, NULL, &now) != 0) continue;
    void (*handler)(int) = now.sa_handler;
    if (handler == saved->of[s].sa_handler || handler == go || handler == SIG_DFL || handler == SIG_IGN) continue;
    if (sigaction(s, &saved->of[s], NULL) == 0) restored++;
  }
  return restored;
}
