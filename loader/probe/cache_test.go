package probe_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/artifact/artifacttest"
	"github.com/segue-serving/segue/loader/probe"
)

// bench is a Cache with what it asks, and a clock of its own.
type bench struct {
	t      *testing.T
	cache  *probe.Cache
	folder string
	log    bytes.Buffer
	now    time.Time
	tries  int
	next   probe.Report
	fails  error
}

func newBench(t *testing.T, folder string) *bench {
	b := &bench{t: t, folder: folder, now: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
	b.restart("1.31")
	return b
}

// restart reads what is kept, as the next process does.
func (b *bench) restart(engine string) {
	b.cache = probe.NewCache(probe.CacheOptions{
		Engine: engine, Folder: b.folder, Log: slog.New(slog.NewTextHandler(&b.log, nil)), Now: func() time.Time { return b.now },
		Probe: func(context.Context, probe.Request) (probe.Report, error) { b.tries++; return b.next, b.fails },
	})
}

// ask holds a request to a verdict, and to whether it took a try.
func (b *bench) ask(req probe.Request, tried bool, want probe.Verdict) probe.Report {
	b.t.Helper()
	before := b.tries
	req.Manifest = artifacttest.DoublerManifest()
	report, err := b.cache.Probe(b.t.Context(), req)
	if !errors.Is(err, b.fails) || report.Verdict != want || (b.tries > before) != tried {
		b.t.Errorf("%s on %s: got %s, %v after %d tries, want %s, tried: %v", req.Digest, req.Device, report.Verdict, err, b.tries-before, want, tried)
	}
	return report
}

func passed(engine string) probe.Report { return probe.Report{Verdict: probe.Passed, Engine: engine} }

func TestVerdictsAreKeptByDigestDeviceAndEngine(t *testing.T) {
	b := newBench(t, t.TempDir())
	on := func(digest, device string) probe.Request { return probe.Request{Digest: digest, Device: device} }
	b.next = passed("1.31")
	b.ask(on("a", "cpu"), true, probe.Passed)
	b.ask(on("a", "cpu"), false, probe.Passed)
	b.next = probe.Report{Verdict: probe.Crashed}
	b.ask(on("a", "cuda"), true, probe.Crashed)
	b.ask(on("b", "cpu"), true, probe.Crashed)
	b.next = passed("1.31")
	b.ask(on("b", "cpu"), false, probe.Crashed) // in quarantine
	b.restart("1.31")
	b.ask(on("b", "cpu"), false, probe.Crashed)
	b.ask(on("a", "cpu"), false, probe.Passed)
	b.ask(probe.Request{Digest: "a", Device: "cpu", MaxBatch: 8}, true, probe.Passed) // never tried so large
	b.ask(probe.Request{Digest: "a", Device: "cpu", MaxBatch: 4}, false, probe.Passed)
	b.restart("1.32")
	b.next = passed("1.32")
	b.ask(on("b", "cpu"), true, probe.Passed)
	b.restart("1.31")
	b.ask(on("b", "cpu"), false, probe.Crashed)

	b.next = passed("1.30")
	b.ask(on("other engine", "cpu"), true, probe.Passed)
	b.ask(on("other engine", "cpu"), true, probe.Passed)
	b.next = probe.Report{Verdict: probe.NotOpened, Engine: "1.30"}
	if r := b.ask(on("other engine", "cpu"), true, probe.NotOpened); !r.Until.IsZero() {
		t.Errorf("in quarantine until %v for another engine's verdict", r.Until)
	}
	b.next, b.fails = probe.Report{}, errors.New("no child")
	b.ask(on("c", "cpu"), true, probe.Undecided)
	b.ask(on("c", "cpu"), true, probe.Undecided)
	b.next, b.fails = passed("1.31"), nil
	b.ask(on("", "cpu"), true, probe.Passed)
	b.ask(on("", "cpu"), true, probe.Passed)
}

func TestQuarantineEndsAndDoubles(t *testing.T) {
	for _, c := range []struct {
		name   string
		report probe.Report
		first  time.Duration
	}{
		{"a crash", probe.Report{Verdict: probe.Crashed}, 10 * time.Minute},
		{"a golden answer", probe.Report{Verdict: probe.GoldenDiffers, Engine: "1.31"}, 10 * time.Minute},
		{"a limit", probe.Report{Verdict: probe.LimitReached}, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, t.TempDir())
			b.next = c.report
			req := probe.Request{Digest: "a"}
			for try, hold := 1, c.first; try <= 20; try++ {
				report := b.ask(req, true, c.report.Verdict)
				if got := report.Until.Sub(b.now); got != hold || report.Tries != try {
					t.Fatalf("refusal %d: got %d, in quarantine for %v, want %v", try, report.Tries, got, hold)
				}
				b.now = b.now.Add(hold - time.Second)
				b.restart("1.31")
				b.ask(req, false, c.report.Verdict)
				b.now = b.now.Add(time.Second)
				hold = min(24*time.Hour, 2*hold)
			}
			b.next = passed("1.31")
			b.ask(req, true, probe.Passed)
			b.now = b.now.Add(365 * 24 * time.Hour)
			b.ask(req, false, probe.Passed)
		})
	}
}

func TestAnOperatorsAttemptEndsAQuarantine(t *testing.T) {
	b := newBench(t, t.TempDir())
	b.next = probe.Report{Verdict: probe.Crashed}
	for range 3 {
		b.now = b.ask(probe.Request{Digest: "a"}, true, probe.Crashed).Until
	}
	b.now = b.now.Add(-time.Minute)
	b.ask(probe.Request{Digest: "a"}, false, probe.Crashed)
	if r := b.ask(probe.Request{Digest: "a", Attempt: 1}, true, probe.Crashed); r.Tries != 1 {
		t.Errorf("got refusal %d in a row, want the first again", r.Tries)
	}
	b.ask(probe.Request{Digest: "a", Attempt: 1}, false, probe.Crashed)
	b.restart("1.31")
	b.ask(probe.Request{Digest: "a", Attempt: 1}, false, probe.Crashed) // once is what was asked for
	b.ask(probe.Request{Digest: "a"}, false, probe.Crashed)
	b.next = passed("1.31")
	b.ask(probe.Request{Digest: "a", Attempt: 2}, true, probe.Passed)
	b.ask(probe.Request{Digest: "a"}, false, probe.Passed)
}

func TestADamagedFileIsNoVerdict(t *testing.T) {
	for _, c := range []struct {
		name, says string
		damage     func(text string) string
	}{
		{"another verdict", "SHA-256 of the verdicts is", func(text string) string { return strings.Replace(text, `"crash"`, `"passed"`, 1) }},
		{"half of it", "verdicts.json: ", func(text string) string { return text[:len(text)/2] }},
		{"nothing", "verdicts.json: ", func(string) string { return "" }},
		{"another schema", "schema 2, want 1", func(text string) string { return strings.Replace(text, `"schema":1`, `"schema":2`, 1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, t.TempDir())
			b.next = probe.Report{Verdict: probe.Crashed}
			b.ask(probe.Request{Digest: "a"}, true, probe.Crashed)
			path := filepath.Join(b.folder, "verdicts.json")
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(c.damage(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
			b.restart("1.31")
			if !strings.Contains(b.log.String(), c.says) {
				t.Errorf("the log does not say %q: %s", c.says, &b.log)
			}
			b.next = passed("1.31")
			b.ask(probe.Request{Digest: "a"}, true, probe.Passed)
			b.restart("1.31")
			b.ask(probe.Request{Digest: "a"}, false, probe.Passed) // it was mended
		})
	}
}

func TestAFolderThatCannotBeWrittenKeepsVerdictsInMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, filepath.Join(file, "probe"))
	b.next = passed("1.31")
	b.ask(probe.Request{Digest: "a"}, true, probe.Passed)
	b.ask(probe.Request{Digest: "b"}, true, probe.Passed)
	b.ask(probe.Request{Digest: "a"}, false, probe.Passed)
	if n := strings.Count(b.log.String(), "verdicts cannot be kept on disk"); n != 1 {
		t.Errorf("the log says so %d times, want once: %s", n, &b.log)
	}
}

func TestOnlySoManyVerdictsAreKept(t *testing.T) {
	b := newBench(t, "")
	b.next = passed("1.31")
	digest := func(i int) probe.Request { return probe.Request{Digest: string(rune('a' + i))} }
	const most = 512
	for i := range most {
		b.ask(digest(i), true, probe.Passed)
	}
	b.ask(digest(0), false, probe.Passed)
	b.ask(digest(most), true, probe.Passed)
	b.ask(digest(0), false, probe.Passed) // was asked for since
	b.ask(digest(1), true, probe.Passed)
}

// FuzzVerdictsFile holds that no file is more than a lost memory: a version that
// nobody tried is tried, and its verdict then kept.
func FuzzVerdictsFile(f *testing.F) {
	f.Add([]byte(`{"schema":1,"sha256":"4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945","verdicts":[]}`))
	f.Add([]byte(`{"schema":1,"sha256":"74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b","verdicts":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b := &bench{t: t, folder: t.TempDir(), next: passed("1.31")}
		if err := os.WriteFile(filepath.Join(b.folder, "verdicts.json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		b.restart("1.31")
		b.ask(probe.Request{Digest: "a"}, true, probe.Passed)
		b.restart("1.31")
		b.ask(probe.Request{Digest: "a"}, false, probe.Passed)
	})
}
