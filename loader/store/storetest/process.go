package storetest

import (
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a server may take until it answers. The slowest,
// SeaweedFS, takes some four seconds on an idle machine.
const startTimeout = 60 * time.Second

// serve runs a server until the test ends, and returns when ready says so.
func serve(t testing.TB, ready func() bool, command string, arguments ...string) {
	t.Helper()
	logPath := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(logPath)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command, arguments...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(logPath), log, log
	cmd.Env = withoutCredentials(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		defer log.Close()
		// The signal is sent when the thread that started the child ends, not
		// the process. Locked, the thread stays as long as the child.
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the exit status of a killed child tells nothing
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", filepath.Base(command), err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // an error says that it has ended already
		<-done
		if t.Failed() {
			logTail(t, filepath.Base(command), logPath)
		}
	})
	for deadline := time.Now().Add(startTimeout); !ready(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-done:
			t.Fatalf("%s ended before it was ready", filepath.Base(command))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not become ready in %v", filepath.Base(command), startTimeout)
		}
	}
}

// withoutCredentials removes what is meant for the client under test.
func withoutCredentials(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "AWS_") && !strings.HasPrefix(entry, "AZURE_") && !strings.HasPrefix(entry, "REGISTRY_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

func logTail(t testing.TB, name, path string) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return
	}
	const most = 4000
	t.Logf("the end of the log of %s:\n%s", name, raw[max(0, len(raw)-most):])
}

// freePorts picks ports below the range from which the kernel takes those of
// outgoing connections.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	found := make([]string, 0, n)
	for range 1000 {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(15000+rand.IntN(16000))))
		if err != nil {
			continue
		}
		// Held until all are found, so that none is found twice.
		defer listener.Close()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		if found = append(found, port); len(found) == n {
			return found
		}
	}
	t.Fatal("no free ports on the loopback interface")
	return nil
}

// client has a connection of its own for every call.
func client() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
}

// answers reports whether a server gives a status to a GET.
func answers(url string, status int) bool {
	response, err := client().Get(url)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == status
}
