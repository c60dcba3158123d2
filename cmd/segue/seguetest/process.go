// Package seguetest starts real gateways for tests: the program as it is
// built, in a process of its own, on free ports. A gateway never outlives its
// test.
//
//	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + dir})
//	answer := gw.Infer(t, "mozart", body, nil)
package seguetest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Config says how a gateway is started.
type Config struct {
	// Source is the value of --config.
	Source string
	// StateDir is the state folder; default a new one.
	StateDir string
	// Args are further arguments, Env further variables as NAME=VALUE.
	Args, Env []string
	// Binary is the program; default segue as it is built.
	Binary string
	// NotReady does not wait until the gateway is ready.
	NotReady bool
}

// Gateway is a running gateway.
type Gateway struct {
	// URL, MetricsURL and AdminURL are the roots of its listeners.
	URL, MetricsURL, AdminURL string
	// GRPC is the address of its gRPC listener.
	GRPC string
	// StateDir is its state folder.
	StateDir string

	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{}
	err  error
}

// logBuffer keeps what the gateway wrote.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "seguetest")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir, "github.com/segue-serving/segue/cmd/...").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// Binary builds the programs once per test binary and returns the path of one:
// segue or seguectl. Cleanup removes them.
func Binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// Cleanup removes what Binary built. TestMain calls it at the end.
func Cleanup() {
	if dir, err := build(); err == nil {
		_ = os.RemoveAll(dir) // a folder left in the temporary folder harms nothing
	}
}

// tried counts the ports that FreePort has tried, so that none is given out
// twice before somebody listens on it. It is the only state of this package
// besides the built programs.
var tried atomic.Int64

// FreePort returns a TCP port of the loopback that nobody listens on. It is
// below the range from which the kernel takes those of outgoing connections,
// and other processes of tests begin elsewhere.
func FreePort(t testing.TB) int {
	t.Helper()
	const first, last = 3000, 14999
	for range last - first {
		port := first + (os.Getpid()*97+int(tried.Add(1)))%(last-first+1)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port on the loopback interface")
	return 0
}

// Start starts a gateway and, unless told otherwise, waits until it is ready.
// It is stopped when the test ends; its log is printed where the test failed.
func Start(t testing.TB, c Config) *Gateway {
	t.Helper()
	if c.StateDir == "" {
		c.StateDir = t.TempDir()
	}
	address := func() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t))) }
	if c.Binary == "" {
		c.Binary = Binary(t, "segue")
	}
	data, rpc, metrics, admin := address(), address(), address(), address()
	args := append([]string{"serve", "--config", c.Source, "--state-dir", c.StateDir, "--http-addr", data, "--grpc-addr", rpc,
		"--metrics-addr", metrics, "--admin-addr", admin, "--shutdown-delay", "0s"}, c.Args...)
	g := &Gateway{
		URL: "http://" + data, MetricsURL: "http://" + metrics, AdminURL: "http://" + admin, GRPC: rpc,
		StateDir: c.StateDir, cmd: exec.Command(c.Binary, args...), log: &logBuffer{}, done: make(chan struct{}),
	}
	g.cmd.Env = append(os.Environ(), c.Env...)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		g.err = g.cmd.Wait()
		close(g.done)
	}()
	t.Cleanup(func() {
		g.Kill()
		if t.Failed() {
			t.Logf("log of the gateway:\n%s", g.log)
		}
	})
	if !c.NotReady {
		g.WaitReady(t, 30*time.Second)
	}
	return g
}

// WaitReady waits until the gateway says that it is ready.
func (g *Gateway) WaitReady(t testing.TB, within time.Duration) {
	t.Helper()
	Eventually(t, within, "the gateway is ready", func() error {
		select {
		case <-g.done:
			t.Fatalf("the gateway ended: %v\n%s", g.err, g.log)
		default:
		}
		resp, err := http.Get(g.URL + "/v2/health/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%d %s", resp.StatusCode, body)
		}
		return nil
	})
}

// Eventually calls f until it returns nil, and fails the test where that takes
// longer than within.
func Eventually(t testing.TB, within time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s: %v", within, what, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Log returns what the gateway has logged.
func (g *Gateway) Log() string { return g.log.String() }

// Pid returns the gateway's process id.
func (g *Gateway) Pid() int { return g.cmd.Process.Pid }

// Signal sends the gateway a signal.
func (g *Gateway) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := g.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// Stop asks the gateway to end and returns its exit code.
func (g *Gateway) Stop(t testing.TB) int {
	t.Helper()
	g.Signal(t, syscall.SIGTERM)
	return g.Wait(t, 40*time.Second)
}

// Wait waits until the gateway has ended and returns its exit code.
func (g *Gateway) Wait(t testing.TB, within time.Duration) int {
	t.Helper()
	select {
	case <-g.done:
	case <-time.After(within):
		t.Fatalf("the gateway did not end within %s", within)
	}
	return g.cmd.ProcessState.ExitCode()
}

// Kill ends the gateway at once, if it still runs.
func (g *Gateway) Kill() {
	_ = g.cmd.Process.Kill() // it may have ended already
	<-g.done
}

// ResidentBytes returns the gateway's resident set.
func (g *Gateway) ResidentBytes(t testing.TB) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmRSS in the process's status")
	return 0
}
