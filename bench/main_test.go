package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/pflag"

	"github.com/segue-serving/segue/bench/report"
	"github.com/segue-serving/segue/bench/server"
)

// TestMain serves as the echo server's own program, and works from the root of
// the repository, as the benchmark does.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == server.EchoArgument {
		if err := server.ServeEcho(os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	if err := os.Chdir(".."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// gateway builds the program that is measured.
var gateway = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "segue-bench-test")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "segue")
	out, err := exec.Command("go", "build", "-o", binary, "./cmd/segue").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return binary, err
})

func binary(t *testing.T) string {
	t.Helper()
	path, err := gateway()
	t.Cleanup(func() {
		if err := os.RemoveAll(filepath.Dir(path)); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestScenariosMeasureARealGateway runs every kind of scenario, as small as
// they can be, on the program itself with a real Consul agent.
func TestScenariosMeasureARealGateway(t *testing.T) {
	program, out := binary(t), filepath.Join(t.TempDir(), "results")
	measured := func(name string) *report.Result {
		t.Helper()
		var stdout, stderr bytes.Buffer
		arguments := []string{"--scenario", "bench/testdata/" + name + ".yaml", "--binary", program, "--out", out, "--json",
			"--peers-folder", "bench/testdata/peers", "--peers-python", "python3"}
		if err := run(context.Background(), arguments, &stdout, &stderr); err != nil {
			t.Fatalf("%v\n%s", err, &stderr)
		}
		var printed []report.Result
		if err := json.Unmarshal(stdout.Bytes(), &printed); err != nil || len(printed) != 1 {
			t.Fatalf("standard output is no list of one result: %v", err)
		}
		r := &printed[0]
		for ending, want := range map[string]string{".md": report.Markdown(r), ".svg": report.Plot(r)} {
			if text, err := os.ReadFile(filepath.Join(out, name+ending)); err != nil || string(text) != want {
				t.Errorf("%s%s is not that of the result: %v", name, ending, err)
			}
		}
		if len(r.Failures) != 0 || r.Setup.Machine.Cores < 1 || !strings.Contains(fmt.Sprint(r.Setup.Versions), "ONNX Runtime") {
			t.Errorf("%s: %v, %+v", name, r.Failures, r.Setup)
		}
		return r
	}

	swaps := measured("small-swaps").Changes
	for i, least := range []int{0, 1, 3} {
		p := swaps.Phases[i].Rounds
		if len(p) != 1 || p[0].Latency.Count < 10 || p[0].Cores.Server <= 0 {
			t.Errorf("%s: %+v", swaps.Phases[i].Name, p)
			continue
		}
		if len(p[0].InForce) < least || len(p[0].Write) != len(p[0].InForce) {
			t.Errorf("%s: %d changes, %d writes, want at least %d", swaps.Phases[i].Name, len(p[0].InForce), len(p[0].Write), least)
		}
		for j, took := range p[0].InForce {
			if took <= 0 || took < p[0].Write[j]/10 {
				t.Errorf("%s: a change in force after %v ms, of which the write took %v", swaps.Phases[i].Name, took, p[0].Write[j])
			}
		}
	}

	offered := measured("small-offered")
	for _, p := range offered.Offered.Series[0].Points {
		if len(p.Rounds) != 1 || p.Rounds[0].Latency.Count < 3 || p.Rounds[0].Offered <= 0 || (p.Rounds[0].BesidePerSecond > 0) != p.Beside || (p.Rounds[0].FloorPerSecond > 0) != p.Overload {
			t.Errorf("%s: %+v", p.Name, p.Rounds)
		}
	}
	if len(offered.Aims) != 2 || !offered.Aims[1].Met() || offered.Aims[1].Unit != "×" {
		t.Errorf("aims: %+v", offered.Aims)
	}
	overhead := measured("small-overhead")
	m := overhead.Throughput.Models[0]
	for _, c := range m.Contenders {
		for _, r := range c.Rounds {
			if len(c.Rounds) != 2 || r.PerSecond < 1 || r.Latency.P50 <= 0 {
				t.Errorf("%s: %+v", c.Name, c.Rounds)
			}
		}
	}
	versions := fmt.Sprint(overhead.Setup.Versions)
	if len(m.Contenders) != 8 || len(m.Contenders[7].Rounds[0].Workers) != 2 || !strings.Contains(versions, "{peer echo http 1.2.3}") {
		t.Errorf("workers %v, versions %s", m.Contenders[7].Rounds, versions)
	}
	if d := m.Decoders[0]; len(d.Nanoseconds) != 2 || d.Nanoseconds[0] <= 0 || d.Numbers != 32 || len(overhead.Aims) != 2 {
		t.Errorf("decoder %+v, aims %+v", d, overhead.Aims)
	}
	if len(m.Ratios) != 1 || m.Ratios[0].PerSecond.Median <= 0 {
		t.Errorf("ratios: %+v", m.Ratios)
	}

	summary, err := os.ReadFile(filepath.Join(out, "summary.md"))
	if err != nil || !strings.Contains(string(summary), "| [small-offered](small-offered.md) | gateway on tiny: p99 of with / alone | ≤ 1000 × |") ||
		!strings.Contains(string(summary), "2 (a try)") {
		t.Errorf("the summary is %s: %v", summary, err)
	}
	// What is there is not replaced unasked, and named where it is.
	var stderr bytes.Buffer
	again := []string{"--scenario", "bench/testdata/small-overhead.yaml", "--binary", program, "--out", out}
	err = run(context.Background(), again, &stderr, &stderr)
	if exitCode(err, &stderr) != exitUsage || !strings.Contains(err.Error(), "--overwrite replaces it") {
		t.Errorf("an earlier result is replaced: %v", err)
	}
	if err := mayWrite(options{out: out, overwrite: true}, "small-overhead", &stderr); err != nil || !strings.Contains(stderr.String(), "will be replaced: it holds the result of ") {
		t.Errorf("%v: %s", err, &stderr)
	}
}

func TestBrokenPromisesAreExitCodeOne(t *testing.T) {
	var stderr bytes.Buffer
	if err := verdict([]*report.Result{{Scenario: "good"}}); err != nil {
		t.Errorf("a good result is %v", err)
	}
	err := verdict([]*report.Result{{Scenario: "good"}, {Scenario: "swaps", Failures: []string{"round 1: 2 requests failed"}}})
	if code := exitCode(err, &stderr); code != exitFailed || stderr.String() != "bench: swaps: round 1: 2 requests failed\n" {
		t.Errorf("code %d: %s", code, &stderr)
	}
	stderr.Reset()
	err = verdict([]*report.Result{{Scenario: "peers", Missing: []string{"round 3, a: it did not share"}}})
	if code := exitCode(err, &stderr); code != exitFailed || stderr.String() != "bench: peers: round 3, a: it did not share\n" {
		t.Errorf("a round that is missing: code %d: %s", code, &stderr)
	}
	for want, err := range map[int]error{
		exitDone: nil, exitUsage: usageError{errors.New("x")}, exitInterrupted: fmt.Errorf("round 1: %w", context.Canceled),
	} {
		if code := exitCode(err, &stderr); code != want {
			t.Errorf("%v: code %d, want %d", err, code, want)
		}
	}
	if code := exitCode(pflag.ErrHelp, &stderr); code != exitDone {
		t.Errorf("--help: code %d", code)
	}
}

func TestWrongUsageIsRefusedBeforeAnythingIsMeasured(t *testing.T) {
	f := func(says string, arguments ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		err := run(context.Background(), arguments, &stdout, &stderr)
		if err == nil || !strings.Contains(err.Error(), says) || stdout.Len() > 0 {
			t.Errorf("%v: got %v, want %q; printed %s", arguments, err, says, &stdout)
		}
	}
	f("no built-in scenario \"speed\": want cnn, drift, mix, overload-cnn, overload, peers-cnn, peers-more, peers-sweep, peers-tiny, swaps, sweep, tiny", "--scenario", "speed")
	f("--rounds is 0", "--rounds", "0")
	f("--seconds is -1", "--seconds", "-1")
	f(`unknown argument "swaps"`, "swaps")
	f("unknown flag", "--frobnicate")
	f("throughput.contenders[3].kind", "--scenario", "bench/scenario/testdata/throughput.bad.yaml")
	f("no such file", "--scenario", "bench/none.yaml")
	f("make build", "--binary", "bench/none")
}

func TestOptionsShortenAndChooseScenarios(t *testing.T) {
	chosen, err := choose(options{rounds: 2, seconds: .25}, scenarios)
	if err != nil || len(chosen) < 2 {
		t.Fatalf("%v, %v", chosen, err)
	}
	for _, s := range chosen {
		if s.Rounds != 2 || s.Round.String() != "250ms" || s.Warmup > s.Round {
			t.Errorf("%s: %d rounds of %s after %s", s.Name, s.Rounds, s.Round, s.Warmup)
		}
	}
	names := func(o options) string {
		t.Helper()
		chosen, err := choose(o, scenarios)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, s := range chosen {
			all = append(all, s.Name)
		}
		return strings.Join(all, " ")
	}
	if got := names(options{}); strings.Contains(got, "peers") || !strings.Contains(got, "tiny") {
		t.Errorf("without other servers: %s", got)
	}
	if got := names(options{peers: true}); !strings.HasPrefix(got, "peers-cnn peers-more peers-sweep peers-tiny") || strings.Contains(got, "swaps") {
		t.Errorf("with other servers: %s", got)
	}
	if got := names(options{scenarios: []string{"tiny", "bench/testdata/small-overhead.yaml"}}); got != "tiny small-overhead" {
		t.Errorf("by name: %s", got)
	}
	var stdout, stderr bytes.Buffer
	if err := run(context.Background(), []string{"--list"}, &stdout, &stderr); err != nil || !strings.Contains(stdout.String(), "swaps ") {
		t.Errorf("%v: %s", err, &stdout)
	}
}

func TestFilesOfTheSystemAreRead(t *testing.T) {
	const text = "processor\t: 0\nmodel name\t: A CPU @ 2: fast\nmodel name\t: other\n"
	if got := field(text, "model name"); got != "A CPU @ 2: fast" {
		t.Errorf("got %q", got)
	}
	if got := field(text, "none"); got != "unknown" {
		t.Errorf("got %q", got)
	}
	setup, err := describe("0123456789ab")
	if err != nil || setup.Machine.MemoryMiB < 1 || len(strings.Fields(setup.LoadAverage)) != 3 || setup.Commit != "0123456789ab" || !strings.HasPrefix(setup.Machine.Kernel, "Linux ") {
		t.Errorf("%+v, %v", setup, err)
	}
}

func TestResultsDoNotMarkTheCommit(t *testing.T) {
	tree := t.TempDir()
	git := func(arguments ...string) string {
		t.Helper()
		out, err := exec.Command("git", append([]string{"-C", tree, "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"}, arguments...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v: %s", arguments, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name string) {
		t.Helper()
		path := filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(t.Name()+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dirtyFor := func(want bool, out string) {
		t.Helper()
		name := git("rev-parse", "--short=12", "HEAD")
		if want {
			name += "-dirty"
		}
		if got := commit(t.Context(), tree, out); got != name {
			t.Errorf("results in %q: %s, want %s", out, got, name)
		}
	}
	if got := commit(t.Context(), tree, ""); got != "unknown" {
		t.Errorf("a folder without a repository is %s", got)
	}
	results := filepath.Join(tree, "bench", "a b")
	git("init", "--quiet")
	git("commit", "--quiet", "--allow-empty", "--message", "first")
	dirtyFor(false, "")
	write("bench/a b/tiny.json")
	dirtyFor(false, results)
	dirtyFor(true, "")
	dirtyFor(true, t.TempDir())
	dirtyFor(true, tree)
	git("add", ".")
	git("commit", "--quiet", "--message", "results")
	git("mv", "bench/a b/tiny.json", "bench/a b/wide.json")
	write("bench/a b/deeper/page.md")
	dirtyFor(false, results)
	dirtyFor(false, filepath.Join(tree, "bench"))
	write("bench/a bit/code.go")
	dirtyFor(true, results)
}
