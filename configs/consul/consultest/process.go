package consultest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	goruntime "runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// process is one run of the binary.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// startProcess runs the binary until it is killed or the test's process ends.
func startProcess(binary string, arguments []string, logPath string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(binary, arguments...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = withoutConsul(os.Environ())
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		defer close(p.done)
		defer log.Close()
		// The signal is sent when the thread that started the child ends, not
		// the process. Locked, the thread stays as long as the child.
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			// The exit status of a killed child tells nothing.
			_ = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// withoutConsul removes CONSUL_ variables: those of the test are meant for the
// client under test.
func withoutConsul(environ []string) []string {
	kept := make([]string, 0, len(environ))
	for _, entry := range environ {
		if len(entry) < 7 || entry[:7] != "CONSUL_" {
			kept = append(kept, entry)
		}
	}
	return kept
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *process) kill() {
	// An error says that the child has ended already.
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *process) interrupt(patience time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("still there %v after SIGTERM", patience)
	}
}

// ports are those of one agent.
type ports struct{ http, serf, server int }

// freePorts picks three ports below the range from which the kernel takes
// those of outgoing connections, so that none is taken while the agent is
// down.
func freePorts(t testing.TB) ports {
	t.Helper()
	found := make([]int, 0, 3)
	for range 1000 {
		port := 15000 + rand.IntN(16000)
		if !free(port) || (len(found) > 0 && found[0] == port) || (len(found) > 1 && found[1] == port) {
			continue
		}
		if found = append(found, port); len(found) == 3 {
			return ports{http: found[0], serf: found[1], server: found[2]}
		}
	}
	t.Fatal("no free ports on the loopback interface")
	return ports{}
}

func free(port int) bool {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	tcp, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	return udp.Close() == nil
}
