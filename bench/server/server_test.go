package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/bench/load"
)

// TestMain serves as the echo server's own program where StartEcho runs this
// test binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == EchoArgument {
		if err := ServeEcho(os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

func TestAnEchoAnswersWhatWasRecorded(t *testing.T) {
	answers := []Recorded{{Path: "/a/0", Header: [][2]string{{"Content-Type", "x/y"}, {"Mark", "m"}}, Body: []byte{0, 1, 255}}, {Path: "/a/1"}}
	for _, c := range []struct {
		network, contentType string
		grpc                 bool
	}{{"tcp", "x/y", false}, {"unix", "x/y", false}, {"tcp", "application/grpc+proto", true}} {
		network := c.network
		e, err := StartEcho(context.Background(), network, filepath.Join(t.TempDir(), "s"), c.grpc, answers)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Stop()
		target := load.Target{Network: network, Addr: e.Addr, GRPC: c.grpc, Timeout: 10 * time.Second,
			Requests: []load.Request{{Path: "/a/0", Body: []byte("request")}, {Path: "/a/1"}, {Path: "/b/0"}}}
		var recorded []Recorded
		var codes []int
		for i, r := range target.Requests {
			if err := load.Once(target, i, func(a load.Answer) error {
				recorded, codes = append(recorded, Record(r.Path, a)), append(codes, a.Code())
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if codes[0] != 200 || codes[1] != 200 || codes[2] != 404 || !bytes.Equal(recorded[0].Body, answers[0].Body) || len(recorded[1].Body) != 0 {
			t.Errorf("%s: %v, %+v", network, codes, recorded)
		}
		// What was recorded of the echo is what it was given.
		headers := map[string]string{}
		for _, h := range recorded[0].Header {
			headers[strings.ToLower(h[0])] = h[1]
		}
		if headers["content-type"] != c.contentType || headers["mark"] != "m" || headers["content-length"] != "" {
			t.Errorf("%s: headers %v", network, recorded[0].Header)
		}
		if cpu, err := load.ProcessCPU(e.PID())(); err != nil || cpu < 0 {
			t.Errorf("%s: CPU %v, %v", network, cpu, err)
		}
		e.Stop()
		if _, err := load.ProcessCPU(e.PID())(); err == nil {
			t.Errorf("%s: the process is there after Stop", network)
		}
	}
}

func TestAnEchoThatCannotListenSaysWhy(t *testing.T) {
	if _, err := StartEcho(context.Background(), "unix", filepath.Join(t.TempDir(), "no", "folder"), false, nil); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v", err)
	}
}

func TestAProgramThatEndsIsNotAwaited(t *testing.T) {
	p, err := start(nil, nil, os.Environ(), "sh", "-c", "echo its last words >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.await(context.Background(), time.Hour, func() error { return io.ErrNoProgress })
	if err == nil || !strings.Contains(err.Error(), "sh has ended: its last words") {
		t.Errorf("got %v", err)
	}
	if err := p.Explain(io.ErrClosedPipe); !errors.Is(err, io.ErrClosedPipe) || !strings.Contains(err.Error(), "its last words") {
		t.Errorf("got %v", err)
	}
	if err := p.Explain(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
	p.Stop()
	if _, err := start(nil, nil, nil, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a program that is not there starts")
	}
}

func TestAwaitingEnds(t *testing.T) {
	p, err := start(nil, strings.NewReader(""), os.Environ(), "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if err := p.Explain(io.ErrClosedPipe); err != io.ErrClosedPipe {
		t.Errorf("a program that runs explains %v", err)
	}
	err = p.await(context.Background(), time.Millisecond, func() error { return io.ErrNoProgress })
	if err == nil || !strings.Contains(err.Error(), "not ready after 1ms: "+io.ErrNoProgress.Error()) {
		t.Errorf("got %v", err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.await(cancelled, time.Hour, func() error { return io.ErrNoProgress }); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestTheEndOfALogIsKept(t *testing.T) {
	var log tail
	for range 1000 {
		if n, err := log.Write([]byte("a line of the log\n")); n != 18 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := log.String(); len(got) != tailLength || !strings.HasSuffix(got, "a line of the log\n") {
		t.Errorf("%d bytes: …%s", len(got), got[len(got)-30:])
	}
}

func TestDocumentsAreAsOperatorsWriteThem(t *testing.T) {
	artifact := t.TempDir()
	if err := os.WriteFile(filepath.Join(artifact, "manifest.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	one, err := NewArtifact(artifact)
	if err != nil {
		t.Fatal(err)
	}
	got := string(Document("m", map[string]Artifact{"1": one, "2": {"file:/b", "sha256:b"}}, map[string]int{"1": 100, "2": 0}))
	want := `{"model":"m","traffic":{"weights":{"1":100,"2":0}},"versions":{"1":{"uri":"file:` + artifact +
		`","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"2":{"uri":"file:/b","digest":"sha256:b"}}}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := NewArtifact(t.TempDir()); err == nil {
		t.Error("a folder without a manifest is an artifact")
	}
	dir := filepath.Join(t.TempDir(), "documents")
	if err := WriteDocuments(dir, map[string][]byte{"m": []byte(got)}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"m.json": want, "_settings.json": settings} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != want {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}

func TestConsulIsLookedForInOrder(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "segue", "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	cached := filepath.Join(dir, "segue", "bin", "consul-1.22.0")
	named := filepath.Join(dir, "named")
	for _, path := range []string{cached, named} {
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f := func(want string, env map[string]string) {
		t.Helper()
		got, err := ConsulBinary(func(name string) string { return env[name] })
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%v: got %q, %v, want %q", env, got, err, want)
		}
	}
	f(named, map[string]string{"CONSUL_BINARY": named, "SEGUE_CACHE": filepath.Join(dir, "segue")})
	f(cached, map[string]string{"SEGUE_CACHE": filepath.Join(dir, "segue"), "HOME": "/nowhere"})
	f(cached, map[string]string{"XDG_CACHE_HOME": dir})
	f("", map[string]string{"CONSUL_BINARY": filepath.Join(dir, "none")})
	f("", map[string]string{"HOME": dir})
}

func TestLabelsAreRead(t *testing.T) {
	const series = `onnxruntime="1.31.1",version="v2"} 1`
	if label(series, "version") != "v2" || label(series, "onnxruntime") != "1.31.1" || label(series, "other") != "" {
		t.Errorf("got %q, %q, %q", label(series, "version"), label(series, "onnxruntime"), label(series, "other"))
	}
}

func TestAPeerIsFoundByItsPins(t *testing.T) {
	folder, cache := t.TempDir(), t.TempDir()
	write := func(text string, path ...string) {
		t.Helper()
		file := filepath.Join(path...)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	getenv := func(name string) string { return map[string]string{"SEGUE_CACHE": cache}[name] }
	if _, err := PeerPython(folder, "p", getenv); err == nil || !strings.Contains(err.Error(), "the pins of the peer p") {
		t.Errorf("got %v", err)
	}
	write("# why\nfast\nother==2\n", folder, "p", "requirements.in")
	write("fast==1.5 \\\n    --hash=sha256:00\nbelow==3 \\\n    --hash=sha256:00\nother==2 \\\n    --hash=sha256:00\n", folder, "p", "requirements.txt")
	if _, err := PeerPython(folder, "p", getenv); err == nil || !strings.Contains(err.Error(), "peers/p installs") {
		t.Errorf("got %v", err)
	}
	// The first twelve digits of sha256sum, as the script names the folder.
	write("", cache, "venv", "peers-p-d5befe0968b4", ".ready")
	if python, err := PeerPython(folder, "p", getenv); err != nil || python != filepath.Join(cache, "venv", "peers-p-d5befe0968b4", "bin", "python") {
		t.Errorf("got %s, %v", python, err)
	}
	if versions, err := PeerVersions(folder, "p"); err != nil || strings.Join(versions, "; ") != "fast 1.5; other 2" {
		t.Errorf("got %v, %v", versions, err)
	}
}

func TestAProgramHasEndedWhateverItLeavesBehind(t *testing.T) {
	p, err := start(nil, nil, nil, "/bin/sh", "-c", "sleep 600 & echo left; exec sleep 600")
	if err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(p.log.String(), "left") {
		time.Sleep(time.Millisecond)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.Stop()
	}()
	select {
	case <-ended:
	case <-time.After(patience - time.Second):
		t.Error("who was left keeps the program from having ended")
	}
}
