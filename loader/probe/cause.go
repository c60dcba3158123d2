package probe

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// signalLine is how the Go runtime reports a signal that it dies of. It exits
// with status 2 then, so that the signal is told nowhere else.
var signalLine = regexp.MustCompile(`(?m)^(?:\[signal )?(SIG[A-Z0-9]+): ([a-z /]+)`)

// cause says what ended a child that did not exit by itself, or not well.
func (c *Child) cause(state *os.ProcessState, stderr *ends) (Verdict, string) {
	words := lastWords(stderr)
	text := stderr.String()
	status, _ := state.Sys().(syscall.WaitStatus)
	// The kernel's count for the limit runs a little ahead of what it reports.
	used := state.UserTime() + state.SystemTime() + 250*time.Millisecond
	switch {
	case status.Signaled() && c.Limits.CPU > 0 && used >= c.Limits.CPU &&
		(status.Signal() == syscall.SIGKILL || status.Signal() == syscall.SIGXCPU):
		return LimitReached, fmt.Sprintf("the limit of %s of processor time was reached", c.Limits.CPU) + words
	case c.Limits.Memory > 0 && outOfMemory(text):
		return LimitReached, fmt.Sprintf("the memory limit of %d MiB was reached", c.Limits.Memory>>20) + words
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		return LimitReached, "the try was killed from outside (SIGKILL), as it is when the machine or its container runs out of memory" + words
	case status.Signaled():
		return Crashed, fmt.Sprintf("the try crashed: %s (%s)", unix.SignalName(status.Signal()), status.Signal()) + words
	}
	if m := signalLine.FindStringSubmatch(text); m != nil {
		return Crashed, fmt.Sprintf("the try crashed: %s (%s)", m[1], strings.TrimSpace(m[2])) + words
	}
	return Crashed, fmt.Sprintf("the try ended with status %d", state.ExitCode()) + words
}

// outOfMemory recognises what C++, Go and the C library say when the address
// space ends. There is no signal or status for it.
func outOfMemory(text string) bool {
	return slices.ContainsFunc([]string{
		"bad_alloc", "bad allocation", "out of memory", "cannot allocate", "Cannot allocate memory", "ailed to allocate",
		"failed to create new OS thread", "pthread_create failed",
	}, func(words string) bool { return strings.Contains(text, words) })
}

// lastWords quotes the first line that the child wrote on its standard error,
// which names the fault; what follows is a trace.
func lastWords(stderr *ends) string {
	const longest = 300
	for line := range strings.Lines(stderr.String()) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if len(line) > longest {
			line = line[:longest] + "…"
		}
		return ": " + line
	}
	return ""
}

// ends keeps the first and the last bytes that are written to it.
type ends struct {
	first, last []byte
	dropped     bool
}

const keptAtEachEnd = 4 << 10

// Write never fails.
func (e *ends) Write(b []byte) (int, error) {
	n := len(b)
	room := min(n, keptAtEachEnd-len(e.first))
	e.first = append(e.first, b[:room]...)
	e.last = append(e.last, b[room:]...)
	if over := len(e.last) - keptAtEachEnd; over > 0 {
		e.last, e.dropped = append(e.last[:0], e.last[over:]...), true
	}
	return n, nil
}

// String returns what was kept.
func (e *ends) String() string {
	gap := []byte(nil)
	if e.dropped {
		gap = []byte("\n…\n")
	}
	return string(bytes.Join([][]byte{e.first, e.last}, gap))
}
