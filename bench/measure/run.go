package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/segue-serving/segue/bench/load"
	"github.com/segue-serving/segue/bench/payload"
	"github.com/segue-serving/segue/bench/report"
	"github.com/segue-serving/segue/bench/scenario"
	"github.com/segue-serving/segue/bench/server"
)

// Parts are the programs and files that a scenario needs.
type Parts struct {
	// Gateway and Consul are programs. Consul finds its own when a scenario
	// asks for it.
	Gateway string
	Consul  func() (string, error)
	// Models is the folder of artifacts, as model/version. Those that are not
	// in it are made by Generate, which returns another such folder.
	Models   string
	Generate func(model string) (string, error)
	// Peers is the folder of the other servers, Python finds the program that
	// runs one.
	Peers  string
	Python func(peer string) (string, error)
	// Progress takes a line for everything that was measured.
	Progress io.Writer
}

// Run measures one scenario. The result's Setup holds the versions of the
// parts; what else was there the caller adds. A broken promise is a failure in
// the result, not an error.
func Run(ctx context.Context, s *scenario.Scenario, p Parts) (*report.Result, error) {
	dir, err := os.MkdirTemp("", "segue-bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &runner{Parts: p, scenario: s, dir: dir, generated: map[string]string{}, result: &report.Result{Scenario: s.Name, Title: s.Title, Failures: []string{}, Aims: []report.Aim{}}}
	switch {
	case s.Changes != nil:
		err = r.changes(ctx, s.Changes)
	case s.Offered != nil:
		err = r.offered(ctx, s.Offered)
	default:
		err = r.throughput(ctx, s.Throughput)
	}
	return r.result, err
}

// runner is one run of one scenario.
type runner struct {
	Parts
	scenario *scenario.Scenario
	dir      string
	result   *report.Result
	// generated are the folders of the models that were made for this run.
	generated map[string]string
}

// answerTimeout is far above any latency that a result would be believed with.
const answerTimeout = 30 * time.Second

func (r *runner) round() time.Duration  { return time.Duration(r.scenario.Round) }
func (r *runner) warmup() time.Duration { return time.Duration(r.scenario.Warmup) }

func (r *runner) say(format string, arguments ...any) {
	fmt.Fprintf(r.Progress, r.scenario.Name+": "+format+"\n", arguments...)
}

// fail notes the requests that failed, and those that were refused where no load
// was more than the server could take.
func (r *runner) fail(where string, out *load.Outcome) {
	if out.Refused > 0 {
		r.result.Failures = append(r.result.Failures, fmt.Sprintf("%s: %d requests were refused beside %d good ones", where, out.Refused, out.Answered))
	}
	if out.Failed > 0 {
		r.result.Failures = append(r.result.Failures,
			fmt.Sprintf("%s: %d requests failed beside %d good ones, the first: %s", where, out.Failed, out.Answered, out.Failures[0]))
	}
}

// version notes the version of a part, once.
func (r *runner) version(part, version string) {
	one := report.Version{Part: part, Version: version}
	if !slices.Contains(r.result.Setup.Versions, one) {
		r.result.Setup.Versions = append(r.result.Setup.Versions, one)
	}
}

// startGateway starts the gateway and notes what it is. One with an environment
// of its own is the same program, and may have no metrics to ask.
func (r *runner) startGateway(ctx context.Context, o server.GatewayOptions) (*server.Gateway, error) {
	o.Binary = r.Gateway
	g, err := server.StartGateway(ctx, o)
	if err != nil || len(o.Env) > 0 {
		return g, err
	}
	segue, onnxruntime, err := g.Versions()
	if err != nil {
		g.Stop()
		return nil, err
	}
	r.version("segue", segue)
	r.version("ONNX Runtime", onnxruntime)
	return g, nil
}

// folder is where a version's artifact lies.
func (r *runner) folder(model, version string) (string, error) {
	dir := filepath.Join(r.Models, model, version)
	_, err := os.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if dir, ok := r.generated[model]; ok {
		return filepath.Join(dir, version), nil
	}
	generated, err := r.Generate(model)
	if err != nil {
		return "", err
	}
	r.generated[model] = filepath.Join(generated, model)
	return filepath.Join(r.generated[model], version), nil
}

// artifact reads the manifest of a version and makes its requests.
func (r *runner) artifact(model, version string) (*payload.Manifest, []payload.Sample, error) {
	dir, err := r.folder(model, version)
	if err != nil {
		return nil, nil, err
	}
	m, err := payload.Read(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("%s version %s: %w", model, version, err)
	}
	samples, err := m.Samples()
	if err != nil {
		return nil, nil, fmt.Errorf("%s version %s: %w", model, version, err)
	}
	return m, samples, nil
}

// learn asks for every golden answer of a version once.
func learn(checker *payload.Checker, m *payload.Manifest, version string, t load.Target) error {
	for i := range t.Requests {
		if err := load.Once(t, i, func(a load.Answer) error { return checker.Learn(version, m, i, a) }); err != nil {
			return fmt.Errorf("%s: %w", m.Model, err)
		}
	}
	return nil
}

// meters read the CPU time of everything that shares the machine; a pid of 0
// is not there.
func meters(serverPID, consulPID int) map[string]load.Meter {
	all := map[string]load.Meter{report.MeterClient: load.OwnCPU, report.MeterMachine: load.MachineCPU}
	if serverPID != 0 {
		all[report.MeterServer] = load.ProcessCPU(serverPID)
	}
	if consulPID != 0 {
		all[report.MeterConsul] = load.ProcessCPU(consulPID)
	}
	return all
}

// turn returns the order of n things in a round.
func turn(round, n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = (round + i) % n
	}
	return order
}
