package probe_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/probe"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// childMode is the first argument with which a test starts this binary as a
// child; the second names the behaviour.
const childMode = "probe-child"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childMode {
		behave(os.Args[2])
		os.Exit(probe.Main(func() (runtime.Engine, error) { return engine(os.Args[2]) }, os.Stdin, os.NewFile(probe.ReportFD, "report")))
	}
	goleak.VerifyTestMain(m)
}

// behave does what a child must not: it never comes to its report.
func behave(behaviour string) {
	report := os.NewFile(probe.ReportFD, "report")
	switch behaviour {
	case "no report":
		os.Exit(0)
	case "bad report":
		_, _ = report.WriteString(`{"report":{"verdict":"splendid"}}`)
		os.Exit(0)
	case "endless report":
		for {
			if _, err := report.Write(make([]byte, 1<<16)); err != nil {
				os.Exit(0)
			}
			if time.Since(started) > 300*time.Millisecond {
				os.Exit(0)
			}
		}
	case "chatterbox":
		long := strings.Repeat("x", 1<<16)
		_ = json.NewEncoder(report).Encode(map[string]any{"report": probe.Report{
			Verdict: probe.Passed, Engine: long, Reason: long, Answers: long, Warnings: slices.Repeat([]string{long}, 30), Runs: make([]probe.Run, 100),
			Confinement: probe.Confinement{InPlace: slices.Repeat([]string{long}, 20), Missing: slices.Repeat([]string{"é" + long}, 5)},
		}})
		os.Exit(0)
	case "bad_alloc":
		_, _ = os.Stderr.WriteString("terminate called after throwing an instance of 'std::bad_alloc'\n")
		os.Exit(134)
	case "status":
		_, _ = os.Stderr.WriteString("\nterminate called after throwing an instance of 'Ort::Exception'\nmore\n")
		os.Exit(134)
	}
}

var started = time.Now()

func engine(behaviour string) (runtime.Engine, error) {
	if behaviour == "no engine" {
		return nil, errors.New("libonnxruntime is not there")
	}
	model := doubler()
	model.Before = func(ctx context.Context) error {
		switch behaviour {
		case "segfault":
			// One byte of a page that may not be touched: what native code
			// does to an address that is wrong.
			page, err := unix.Mmap(-1, 0, 4096, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				return err
			}
			*(*byte)(unsafe.Pointer(&page[0])) = 1
		case "abort":
			return errors.Join(syscall.Kill(os.Getpid(), syscall.SIGABRT), wait())
		case "killed":
			return errors.Join(syscall.Kill(os.Getpid(), syscall.SIGKILL), wait())
		case "hang":
			return wait()
		case "spin":
			for n := 0; ; n++ {
				if n < 0 {
					return nil
				}
			}
		case "spin until told":
			for ctx.Err() == nil {
			}
			return ctx.Err()
		case "hog":
			for {
				if _, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err != nil {
					return err
				}
			}
		case "niceness":
			return errors.New("niceness: " + nicesOfThreads())
		case "niceness later":
			// Without the privilege it stays where it is.
			for end := time.Now().Add(20 * time.Second); nicesOfThreads() == "[19]" && time.Now().Before(end); {
				time.Sleep(50 * time.Millisecond)
			}
			return errors.New("niceness: " + nicesOfThreads())
		case "resident":
			memory := make([]byte, 1<<30)
			for i := range memory {
				memory[i] = byte(i)
			}
			return wait()
		case "shut in":
			return errors.New(strings.Join(escapes(), "; "))
		case "secrets":
			return errors.New("environment: " + strings.Join(os.Environ(), " "))
		}
		return nil
	}
	switch behaviour {
	case "signature":
		model.Signature.Inputs[0].Name = "z"
	case "golden":
		model.Func = func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
			return []runtime.Tensor{{Name: "y", Type: runtime.FP32, Shape: in[0].Shape, Data: in[0].Data}}, nil
		}
	case "refused":
		model.OpenErr = errors.New("unsupported operator Quux")
	}
	return runtimetest.NewEngine(runtimetest.Always(model)), nil
}

// escapes tries what a child has no business with, and returns what came of it.
func escapes() (all []string) {
	says := func(what string, err error) { all = append(all, fmt.Sprintf("%s: %v", what, err)) }
	for _, family := range []int{unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET, unix.AF_VSOCK, unix.AF_UNIX} {
		fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		says(fmt.Sprint("socket ", family), err)
	}
	says("exec", unix.Exec("/bin/true", []string{"true"}, nil))
	_, err := syscall.ForkExec("/bin/true", []string{"true"}, nil)
	says("start", err)
	says("ptrace", unix.PtraceAttach(os.Getppid()))
	says("kill", unix.Kill(os.Getppid(), unix.SIGCONT))
	says("mount", unix.Mount("none", "/tmp", "tmpfs", 0, ""))
	says("unshare", unix.Unshare(unix.CLONE_NEWUSER))
	says("chroot", unix.Chroot("/"))
	_, err = unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_SESSION_KEYRING, 0, 0, 0)
	says("keyctl", err)
	for name, number := range map[string]uintptr{
		"bpf": unix.SYS_BPF, "userfaultfd": unix.SYS_USERFAULTFD, "io_uring": unix.SYS_IO_URING_SETUP, "perf": unix.SYS_PERF_EVENT_OPEN,
		"setuid": unix.SYS_SETUID, "a call of the future": 1000,
	} {
		_, _, number := unix.Syscall(number, 0, 0, 0)
		says(name, number)
	}
	_, err = os.ReadFile("/etc/passwd")
	says("passwd", err)
	_, err = os.ReadDir("/root")
	says("root", err)
	says("write", os.WriteFile(filepath.Join(os.TempDir(), "segue-probe-was-here"), nil, 0o600))
	_, err = os.ReadFile("/usr/lib/os-release")
	says("library", err)
	entries, err := os.ReadDir("/proc/self/fd")
	inherited := 0
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && strings.HasSuffix(to, "/not-for-children") {
			inherited++
		}
	}
	says(fmt.Sprint("inherited ", inherited), err)
	return all
}

func wait() error {
	time.Sleep(time.Minute)
	return errors.New("nobody ended the wait")
}

// doubler doubles, as the goldens of artifacttest.Doubler say.
func doubler() *runtimetest.Fake {
	m := artifacttest.DoublerManifest()
	return &runtimetest.Fake{
		Signature: *m.Signature,
		Func: func(_ context.Context, in []runtime.Tensor) ([]runtime.Tensor, error) {
			data := make([]byte, len(in[0].Data))
			for i := 0; i < len(data); i += 4 {
				v := math.Float32frombits(binary.LittleEndian.Uint32(in[0].Data[i:]))
				binary.LittleEndian.PutUint32(data[i:], math.Float32bits(2*v))
			}
			return []runtime.Tensor{{Name: "y", Type: runtime.FP32, Shape: in[0].Shape, Data: data}}, nil
		},
	}
}

func request() probe.Request {
	return probe.Request{ModelPath: "/models/doubler/model.onnx", Manifest: artifacttest.DoublerManifest(), Digest: "sha256:1", MaxBatch: 5}
}

func child(behaviour string, limits probe.Limits) *probe.Child {
	if limits.Wall == 0 {
		limits.Wall = 2 * time.Minute
	}
	return &probe.Child{Command: []string{os.Args[0], childMode, behaviour}, Limits: limits}
}

func TestAChildReportsWhatItFound(t *testing.T) {
	c := child("well", probe.Limits{Memory: 1 << 30, CPU: 20 * time.Second})
	report, err := c.Probe(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	if report.Verdict != probe.Passed || report.Refused() || report.Reason != "" || len(report.Warnings) > 0 {
		t.Fatalf("got %+v, want a pass", report)
	}
	if report.Goldens != 1 || report.Engine != "0" || !report.Signature.Equal(request().Manifest.Signature) {
		t.Errorf("got %+v", report)
	}
	batches := []int{}
	for _, r := range report.Runs {
		batches = append(batches, r.Batch)
	}
	if got, _ := json.Marshal(batches); string(got) != "[1,2,4,5]" {
		t.Errorf("ran batches %s, want [1,2,4,5]", got)
	}
	if report.PeakRSS < 1<<20 || report.PeakRSS > 4<<30 {
		t.Errorf("peak of %d bytes is not plausible", report.PeakRSS)
	}
}

func TestAChildIsRefusedForItsOwnFaults(t *testing.T) {
	for _, c := range []struct {
		behaviour string
		limits    probe.Limits
		verdict   probe.Verdict
		reason    string
	}{
		{"segfault", probe.Limits{}, probe.Crashed, "the try crashed: SIGSEGV (segmentation violation"},
		{"abort", probe.Limits{}, probe.Crashed, "the try crashed: SIGABRT (abort)"},
		{"status", probe.Limits{}, probe.Crashed, "the try ended with status 134: terminate called after throwing"},
		{"killed", probe.Limits{}, probe.LimitReached, "killed from outside (SIGKILL)"},
		{"hang", probe.Limits{Wall: 500 * time.Millisecond}, probe.LimitReached, "the try took longer than the 500ms allowed"},
		{"spin", probe.Limits{CPU: time.Second}, probe.LimitReached, "the limit of 1s of processor time was reached"},
		{"hog", probe.Limits{Memory: 512 << 20}, probe.LimitReached, "the memory limit of 512 MiB was reached"},
		{"bad_alloc", probe.Limits{Memory: 512 << 20}, probe.LimitReached, "the memory limit of 512 MiB was reached: terminate called"},
		{"resident", probe.Limits{Resident: 256 << 20}, probe.LimitReached, "MiB of memory, and may take 256 MiB: the limit of memory was reached"},
		{"signature", probe.Limits{}, probe.SignatureDiffers, `the signature differs: input 0 of the model is "z", the manifest says "x"`},
		{"golden", probe.Limits{}, probe.GoldenDiffers, `golden request "one and two": output "y" at [0,0] (element 0): got 1, want 2`},
		{"refused", probe.Limits{}, probe.NotOpened, "fake 0 refused the model: open model: unsupported operator Quux"},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			t.Parallel()
			report, err := child(c.behaviour, c.limits).Probe(t.Context(), request())
			if err != nil {
				t.Fatal(err)
			}
			if report.Verdict != c.verdict || !report.Refused() || !strings.Contains(report.Reason, c.reason) {
				t.Errorf("got %s: %s\nwant %s: …%s…", report.Verdict, report.Reason, c.verdict, c.reason)
			}
		})
	}
}

func TestATryThatCouldNotBeMadeIsNoVerdict(t *testing.T) {
	for _, c := range []struct{ behaviour, want string }{
		{"no engine", "the try gave no verdict: start the engine: libonnxruntime is not there"},
		{"no report", "the try gave no verdict: the child process ended without a report"},
		{"bad report", "the try gave no verdict: the child process ended without a report"},
		{"endless report", "the try gave no verdict: the child process ended without a report"},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			report, err := child(c.behaviour, probe.Limits{}).Probe(t.Context(), request())
			if err == nil || err.Error() != c.want || report.Verdict != probe.Undecided {
				t.Errorf("got %+v and %v, want %s", report, err, c.want)
			}
		})
	}
	missing := &probe.Child{Command: []string{"/no/such/program"}}
	if _, err := missing.Probe(t.Context(), request()); err == nil || !strings.HasPrefix(err.Error(), "start the child process: ") {
		t.Errorf("got %v, want a failed start", err)
	}
}

func TestACancelledTryEndsItsChild(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := child("hang", probe.Limits{}).Probe(ctx, request())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's end", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the child went on for %v", took)
	}
}

func TestSecretsStayWithTheParent(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN", "hush")
	t.Setenv("HOME", "hush")
	t.Setenv("ONNXRUNTIME_LIB", "lib.so")
	report, err := child("secrets", probe.Limits{}).Probe(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(report.Reason, "ONNXRUNTIME_LIB=lib.so") || strings.Contains(report.Reason, "hush") {
		t.Errorf("the child saw %s", report.Reason)
	}
}

func TestAChildIsShutIn(t *testing.T) {
	// Native code opens files without the mark that keeps them from children.
	path := filepath.Join(t.TempDir(), "not-for-children")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	report, err := child("shut in", probe.Limits{}).Probe(t.Context(), request())
	if err != nil {
		t.Fatal(err)
	}
	c := report.Confinement
	t.Logf("in place: %q, missing: %q", c.InPlace, c.Missing)
	calls, files := "operation not permitted", "permission denied"
	for _, m := range c.Missing {
		// A kernel without a filter still has the limits; the rest is not to be held.
		if strings.HasPrefix(m, "system calls") {
			calls = ""
		}
		if strings.HasPrefix(m, "files") {
			files = ""
		}
	}
	for what, want := range map[string]string{
		"socket 2": calls, "socket 10": calls, "socket 16": calls, "socket 17": calls, "socket 40": calls, "socket 1": "<nil>",
		"exec": calls, "start": calls, "ptrace": calls, "kill": calls, "mount": calls, "unshare": calls, "chroot": calls, "keyctl": calls,
		"bpf": calls, "userfaultfd": calls, "io_uring": calls, "perf": calls, "setuid": calls, "a call of the future": calls,
		"passwd": files, "root": files, "write": files, "library": "<nil>", "inherited 0": "<nil>",
	} {
		_, after, found := strings.Cut(report.Reason, "; "+what+": ")
		if !found {
			_, after, found = strings.Cut(report.Reason, "run: "+what+": ")
		}
		if got, _, _ := strings.Cut(after, "; "); !found || !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	if t.Failed() {
		t.Log(report.Reason)
	}
	for _, want := range []string{"no core dumps", "no new privileges"} {
		if !slices.Contains(c.InPlace, want) {
			t.Errorf("%q is not in place: %q", want, c.InPlace)
		}
	}
}

// Whatever took a child over can write any report; it is kept and shown.
func TestAReportIsNoLongerThanSomebodyReads(t *testing.T) {
	report, err := child("chatterbox", probe.Limits{}).Probe(t.Context(), request())
	if err != nil || report.Verdict != probe.Passed {
		t.Fatal(report.Verdict, err)
	}
	if text, err := json.Marshal(report); err != nil || len(text) > 40<<10 || len(report.Warnings) == 0 || len(report.Runs) == 0 {
		t.Errorf("a report of %d bytes, %v", len(text), err)
	}
}

// A run that would not end is stopped, or the child with it.
func TestARunHasALimit(t *testing.T) {
	req := request()
	req.RunLimit = 200 * time.Millisecond
	for _, behaviour := range []string{"spin", "spin until told"} {
		began := time.Now()
		report, err := child(behaviour, probe.Limits{}).Probe(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		want := `golden request "one and two": a run was not done after 200ms of processor time: it may never end (a longer limits.timeout allows more)`
		if behaviour == "spin" {
			want = strings.TrimPrefix(want, `golden request "one and two": `)
		}
		if report.Verdict != probe.LimitReached || report.Reason != want || report.Engine != "0" {
			t.Errorf("%s: got %s: %s, want %s", behaviour, report.Verdict, report.Reason, want)
		}
		t.Logf("%s: refused after %v", behaviour, time.Since(began).Round(time.Millisecond))
	}
}

// nicesOfThreads lists the nicenesses that this process's threads have.
func nicesOfThreads() string {
	files, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		// The name, in brackets, may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if !slices.Contains(all, fields[16]) {
			all = append(all, fields[16])
		}
	}
	return fmt.Sprint(all)
}

// TestAChildStepsBackAndIsHelped holds that all threads of a child have a low
// priority, and a better one once it takes long.
func TestAChildStepsBackAndIsHelped(t *testing.T) {
	before := nicesOfThreads()
	own := 0
	if _, err := fmt.Sscanf(before, "[%d]", &own); err != nil {
		t.Fatal(before, err)
	}
	enough := max(10, own)
	says := func(behaviour string, nices ...int) {
		t.Helper()
		report, err := child(behaviour, probe.Limits{}).Probe(t.Context(), request())
		if err != nil || !slices.ContainsFunc(nices, func(n int) bool { return strings.HasSuffix(report.Reason, fmt.Sprintf("niceness: [%d]", n)) }) {
			t.Errorf("%s: got %q, %v, want one of %v", behaviour, report.Reason, err, nices)
		}
	}
	// The second of each is for who may not help it.
	says("niceness", 19, min(19, enough+1))
	says("niceness later", enough, min(19, enough+1))
	if after := nicesOfThreads(); after != before {
		t.Errorf("threads of this process had the nicenesses %s before, and have %s", before, after)
	}
}
