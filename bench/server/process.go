package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"syscall"
	"time"
)

// Process is one running program.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  tail
	done chan struct{}
}

const (
	// patience is how long a program may take to end once it was asked to.
	patience = 15 * time.Second
	// outlived is how long what a program has started and left may go on writing
	// to its output.
	outlived = time.Second
)

// start runs a program whose output is kept for errors; out, where it is not
// nil, takes its standard output instead.
func start(out io.Writer, stdin io.Reader, env []string, binary string, arguments ...string) (*Process, error) {
	p := &Process{name: filepath.Base(binary), cmd: exec.Command(binary, arguments...), done: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = stdin, &p.log, &p.log, env
	p.cmd.WaitDelay = outlived
	if out != nil {
		p.cmd.Stdout = out
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		defer close(p.done)
		// The death signal is sent when the thread that started the child
		// ends, not the process: locked, the thread stays as long as the child.
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			// How a child that was told to end has ended says nothing; one
			// that ends by itself is noticed by its silence.
			_ = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Explain adds the end of the program's log to an error that came while it ran,
// where the program has ended by itself.
func (p *Process) Explain(err error) error {
	select {
	case <-p.done:
		if err != nil {
			return fmt.Errorf("%w; %s has ended: %s", err, p.name, p.log.String())
		}
	default:
	}
	return err
}

// Stop asks the program to end, waits until it has, and kills it where that
// takes too long, and with it what it has started and left.
func (p *Process) Stop() {
	// An error says that it has ended already.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	// The group has the id of its first process. An error says that nobody is
	// left in it.
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
}

// await calls ready until it returns nil, the context is cancelled, the program
// ends or time is up.
func (p *Process) await(ctx context.Context, within time.Duration, ready func() error) error {
	for deadline := time.Now().Add(within); ; {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return fmt.Errorf("%s has ended: %s", p.name, p.log.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s: %w: %s", p.name, within, err, p.log.String())
		}
	}
}

// tail keeps the end of what was written.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailLength = 4000

// Write keeps p, and of what came before the end alone.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - tailLength; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

// String returns what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// freeAddresses returns as many different addresses of the loopback that nobody
// listens on now.
func freeAddresses(n int) (all []string, err error) {
	for range n {
		// Held until all are chosen: a port that was given back is free again.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all, nil
}
