// Package mlflowtest runs a real MLflow server for tests.
//
// It promises that the server answers when Start returns, that its address
// stays the same over Kill and Restart, and that no server outlives the test,
// even one whose process is killed. A test that needs it fails where `make
// parts` did not install it; it is never skipped. Starting takes some five
// seconds of a core, so that a package's tests share one.
//
//	server := mlflowtest.Start(t, mlflowtest.Options{})
//	version := server.Register("mozart", map[string][]byte{"model.onnx": model})
//	server.SetAlias("mozart", "champion", version)
package mlflowtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segue-serving/segue/deploy/parts"
)

// Options say how a server runs.
type Options struct {
	// Artifacts is where it keeps artifacts, s3://… say; empty is a folder. It
	// hands them out itself in either case.
	Artifacts string
	// Environment has more variables for it, NAME=value.
	Environment []string
}

// Server is a running MLflow server with an empty registry. Its methods fail the
// test where the server refuses.
type Server struct {
	// URL is its address.
	URL string

	t         testing.TB
	dir       string
	arguments []string
	environ   []string
	process   *exec.Cmd
	ended     chan struct{}
}

// Start runs a server until the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	bin := filepath.Dir(parts.Python(t, "mlflow"))
	dir := t.TempDir()
	artifacts := o.Artifacts
	if artifacts == "" {
		artifacts = filepath.Join(dir, "artifacts")
	}
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{URL: "http://" + address, t: t, dir: dir}
	// gunicorn runs the server's own application without what it has beside
	// models (an assistant, scoring jobs), which takes most of its start.
	s.arguments = []string{
		filepath.Join(bin, "mlflow"), "server", "--host", "127.0.0.1", "--port", port, "--workers", "1",
		"--gunicorn-opts", "--worker-class gthread --threads 8 --timeout 60 --graceful-timeout 1",
		"--backend-store-uri", "sqlite:///" + filepath.Join(dir, "registry.sqlite"), "--artifacts-destination", artifacts,
	}
	s.environ = append([]string{
		"HOME=" + dir, "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "TMPDIR=" + dir,
		"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "MLFLOW_DISABLE_TELEMETRY=true", "PYTHONDONTWRITEBYTECODE=1",
	}, o.Environment...)
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Restart runs the killed server again with what it had.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(s.arguments[0], s.arguments[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = s.environ, log, log, s.dir
	// A group of its own, so that its workers end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		// The signal is sent when the thread that started the child ends.
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the status of a killed child tells nothing
		}
	}()
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
	s.process, s.ended = cmd, ended
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if response, err := http.Get(s.URL + "/health"); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ended:
		default:
			if time.Now().Before(deadline) {
				continue
			}
		}
		s.t.Fatalf("the MLflow server does not answer:\n%s", s.log())
	}
}

// Kill ends the server and its workers as a crash would. Killing one that does
// not run does nothing.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = syscall.Kill(-s.process.Process.Pid, syscall.SIGKILL) // an error: it has ended
	<-s.ended
	s.process = nil
}

// log is the end of what the server said.
func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// freeAddress is one below the range from which the kernel takes ports of
// outgoing connections, so that none takes it while the server is down.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(16000))
		if listener, err := net.Listen("tcp", address); err == nil {
			_ = listener.Close()
			return address
		}
	}
	t.Fatal("no free port on the loopback interface")
	return ""
}
