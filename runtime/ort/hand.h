// Threads of C that make the runs which take long, one after the other, and
// stand back behind all others. They are not threads of Go for the reason that
// errand.h gives, and because Go's monitor looks after every call that stays in
// C for long: some thousand times a second while models run.
#ifndef SEGUE_ORT_HAND_H
#define SEGUE_ORT_HAND_H

#include "api.h"

typedef struct segue_hand segue_hand;

// segue_hand_start starts a thread of the given niceness that adds one to the
// eventfd done after each run. Returns NULL where there can be no thread.
segue_hand *segue_hand_start(const segue_api *api, int nice, int done);
// segue_hand_give has the hand make a run, of a frame that was bound or was
// not, and returns at once. All that is given is left alone until done says so,
// and the hand is given nothing else.
void segue_hand_give(segue_hand *hand, void *session, segue_frame *frame, const void *options);
// segue_hand_stop ends the thread of a hand that has nothing to do, and frees
// it.
void segue_hand_stop(segue_hand *hand);

#endif
