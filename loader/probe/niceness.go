package probe

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// The lowest priority takes next to nothing from the requests, and gets
	// next to nothing where every core is kept busy.
	lowest = 19
	// A tenth of a core that one other thread keeps busy, so that a verdict
	// comes within seconds.
	bearable = 10
	// A child that takes longer than this goes from the one to the other.
	patience = time.Second
)

// stepBack lowers the priority of all threads of a child, the head of its
// process group, which was started just now. The lowest is for a child that can
// leave it again, which takes CAP_SYS_NICE: whether that is there shows only
// when it is tried. What fails, fails because the child has ended.
func stepBack(child int) {
	enough := bearableUnder(os.Getpid())
	set := func(to int) error { return unix.Setpriority(unix.PRIO_PGRP, child, to) }
	if set(min(lowest, enough+1)) == nil && set(enough) == nil {
		_ = set(lowest)
	}
}

// helpLater gives this process, the child and head of its process group, a
// better priority once patience is over, until stop is called.
func helpLater() (stop func() bool) {
	return time.AfterFunc(patience, func() { _ = unix.Setpriority(unix.PRIO_PGRP, 0, bearableUnder(os.Getppid())) }).Stop
}

// bearableUnder is the bearable niceness of a child: never better than that of
// its parent.
func bearableUnder(parent int) int {
	// The system call answers 20 less the niceness.
	answer, err := unix.Getpriority(unix.PRIO_PROCESS, parent)
	if err != nil {
		return bearable
	}
	return max(bearable, 20-answer)
}
