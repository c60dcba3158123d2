package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	goruntime "runtime"
	"slices"
	"syscall"
	"time"
)

const (
	// Largest report that is read.
	maxReportBytes = 4 << 20
	// How long the parent waits, after the child ended, for pipes that a
	// grandchild may hold open.
	pipeGrace = time.Second
)

// errWallLimit is why a child's context ends at its wall limit.
var errWallLimit = errors.New("the wall limit was reached")

// Child makes each try in a process of its own. It is safe for concurrent use.
type Child struct {
	// Command is the program and its arguments; it must call Main with its
	// standard input and file descriptor ReportFD.
	Command []string
	// Limits bound each child.
	Limits Limits
	// Room, where it is not nil, is what the machine has left when a try begins,
	// in bytes; 0 is no limit. A child that takes more gets no verdict and a
	// NoRoom error.
	Room func() int64
	// Reads are the folders that the child may read besides the artifact's and
	// the system's libraries, such as that of the engine.
	Reads []string
	// Env is the child's environment; nil means Environment(os.Environ()).
	Env []string
}

// Probe makes one try. The child is gone when it returns, with everything that
// it started in its process group where a limit or the context ended it. The
// error is the context's where that ended the try.
func (c *Child) Probe(ctx context.Context, req Request) (Report, error) {
	limits, bounded := c.Limits, false
	if c.Room != nil {
		if room := c.Room(); room > 0 && (limits.Resident <= 0 || room < limits.Resident) {
			limits.Resident, bounded = room, true
		}
	}
	input, err := json.Marshal(task{Request: req, Limits: limits, Reads: c.Reads})
	if err != nil {
		return Report{}, fmt.Errorf("write the request: %w", err)
	}
	// The kernel sends the death signal when the thread that started the child
	// ends, not the process, so that thread must outlive the child.
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()

	limited, end := context.WithCancelCause(ctx)
	defer end(nil)
	if limits.Wall > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(limited, limits.Wall, errWallLimit)
		defer cancel()
	}
	cmd := exec.CommandContext(limited, c.Command[0], c.Command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = pipeGrace
	cmd.Stdin = bytes.NewReader(input)
	if cmd.Env = c.Env; cmd.Env == nil {
		cmd.Env = Environment(os.Environ())
	}
	// One thread of Go's is enough, and more of them step on more cores.
	cmd.Env = append(slices.Clip(cmd.Env), "GOMAXPROCS=1")
	var stderr ends
	cmd.Stderr = &stderr
	output, err := start(cmd)
	if err != nil {
		return Report{}, fmt.Errorf("start the child process: %w", err)
	}
	stepBack(cmd.Process.Pid)
	unwatch := watchResident(cmd.Process.Pid, limits.Resident, end)
	waited := cmd.Wait()
	unwatch()
	body, complete := output()
	switch cause := context.Cause(limited); {
	case cause == errWallLimit && waited != nil:
		return Report{
			Verdict: LimitReached,
			Reason:  fmt.Sprintf("the try took longer than the %s allowed", limits.Wall) + lastWords(&stderr),
		}, nil
	case errors.Is(cause, errResidentLimit) && waited != nil && bounded:
		return Report{}, &NoRoom{Left: limits.Resident}
	case errors.Is(cause, errResidentLimit) && waited != nil:
		return Report{Verdict: LimitReached, Reason: cause.Error(), PeakRSS: limits.Resident}, nil
	case ctx.Err() != nil:
		return Report{}, ctx.Err()
	case cmd.ProcessState == nil:
		return Report{}, fmt.Errorf("wait for the child process: %w", waited)
	}
	return c.judge(cmd.ProcessState, body, complete, &stderr)
}

// start starts the child with a pipe for its report. Output returns what was
// written, once the child has ended, and whether that was all.
func start(cmd *exec.Cmd) (output func() (body []byte, complete bool), err error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{write} // becomes ReportFD
	err = cmd.Start()
	write.Close()
	if err != nil {
		read.Close()
		return nil, err
	}
	var body []byte
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		body, failed = io.ReadAll(io.LimitReader(read, maxReportBytes))
		// A child that writes on must not hang until its wall limit.
		_, _ = io.Copy(io.Discard, read)
	}()
	return func() ([]byte, bool) {
		deadline := read.SetReadDeadline(time.Now().Add(pipeGrace))
		<-done
		read.Close()
		return body, failed == nil && deadline == nil
	}, nil
}

// judge turns a child's end and report into a verdict.
func (c *Child) judge(state *os.ProcessState, body []byte, complete bool, stderr *ends) (Report, error) {
	var result answer
	reported := complete && json.Unmarshal(body, &result) == nil
	if reported && result.Error != "" {
		return Report{}, fmt.Errorf("%w: %s", errNoVerdict, result.Error)
	}
	if !state.Success() {
		verdict, reason := c.cause(state, stderr)
		return Report{Verdict: verdict, Reason: reason, PeakRSS: result.Report.PeakRSS}, nil
	}
	report := result.Report
	report.clip()
	if !reported || !report.Verdict.known() {
		return Report{}, fmt.Errorf("%w: the child process ended without a report%s", errNoVerdict, lastWords(stderr))
	}
	if report.Refused() && c.Limits.Memory > 0 && outOfMemory(report.Reason) {
		report.Verdict = LimitReached
		report.Reason = fmt.Sprintf("the memory limit of %d MiB was reached: %s", c.Limits.Memory>>20, report.Reason)
	}
	return report, nil
}
