package probe

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// Try opens the model with an engine in this process, holds its signature
// against the manifest's, runs the golden requests, and then synthetic inputs
// at the batch sizes to come. The session is closed before it returns. A
// context that ends leaves the report undecided. A run over its limit is waited
// for until the engine lets go of it.
func Try(ctx context.Context, engine runtime.Engine, req Request) Report {
	report := Report{Engine: engine.Version()}
	tryInto(ctx, engine, req, &report, func(Report) {})
	return report
}

// tryInto fills a report. Abandon gets a copy of it, with the verdict, where
// a run goes on long after it was told to stop.
func tryInto(ctx context.Context, engine runtime.Engine, req Request, report *Report, abandon func(Report)) {
	report.Verdict, report.Reason = try(ctx, engine, req, report, abandon)
	if err := ctx.Err(); err != nil {
		report.Verdict, report.Reason = Undecided, err.Error()
	}
	report.PeakRSS = peakRSS()
}

func try(ctx context.Context, engine runtime.Engine, req Request, report *Report, abandon func(Report)) (verdict Verdict, reason string) {
	before := residentOf(os.Getpid())
	defer func() { report.PeakMemory = max(0, peakRSS()-before) }()
	began := time.Now()
	session, err := engine.Open(ctx, req.ModelPath, runtime.Options{
		Device: req.Device, Threads: req.Threads, MemoryLimit: req.MemoryLimit,
	})
	if err != nil {
		return NotOpened, fmt.Sprintf("%s %s refused the model: %v", engine.Name(), engine.Version(), err)
	}
	defer func() {
		if err := session.Close(); err != nil && verdict == Passed {
			verdict, reason = NotOpened, fmt.Sprintf("the model could not be closed: %v", err)
		}
	}()
	report.OpenTime = time.Since(began)
	report.Signature = session.Signature()
	if declared := req.Manifest.Signature; declared != nil {
		if err := artifact.CompareSignature(report.Signature, declared); err != nil {
			return SignatureDiffers, "the signature differs: " + err.Error()
		}
	}
	t := trial{
		ctx: ctx, session: session, signature: report.Signature, pool: runtime.NewPool(), runLimit: req.RunLimit, answers: sha256.New(),
		abandon: func(reason string) {
			late := *report
			late.Verdict, late.Reason, late.PeakRSS = LimitReached, reason, peakRSS()
			abandon(late)
		},
	}
	tolerance := req.Manifest.Tolerances()
	for i := range req.Manifest.Goldens {
		g := &req.Manifest.Goldens[i]
		if err := t.golden(g, tolerance); errors.Is(err, errRunLimit) {
			return LimitReached, fmt.Sprintf("golden request %q: %v", g.Name, err)
		} else if err != nil {
			return GoldenDiffers, fmt.Sprintf("golden request %q: %v", g.Name, err)
		}
		report.Goldens++
	}
	if err := t.synthetic(req, report); err != nil {
		return LimitReached, err.Error()
	}
	report.HeldMemory = max(0, residentOf(os.Getpid())-before)
	report.Answers = fmt.Sprintf("%x", t.answers.Sum(nil))
	return Passed, ""
}

// trial runs requests on one open session.
type trial struct {
	ctx       context.Context
	session   runtime.Session
	signature *runtime.Signature
	pool      *runtime.Pool
	answers   hash.Hash
	// runLimit is the processor time that a run may take for each row. Abandon
	// is called where a run does not end after it.
	runLimit time.Duration
	abandon  func(reason string)
}

// golden runs one golden request and compares its answers.
func (t *trial) golden(g *artifact.Golden, tolerance artifact.Tolerance) error {
	inputs, err := decode(g.Inputs)
	if err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	want, err := decode(g.Outputs)
	if err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	_, err = t.run(inputs, func(got []runtime.Tensor) error { return artifact.Compare(got, want, tolerance) })
	return err
}

func decode(data []artifact.TensorData) ([]runtime.Tensor, error) {
	tensors := make([]runtime.Tensor, len(data))
	for i := range data {
		var err error
		if tensors[i], err = data[i].Tensor(); err != nil {
			return nil, fmt.Errorf("%q: %w", data[i].Name, err)
		}
	}
	return tensors, nil
}

// run gives the session the inputs in its own order and in memory that any
// engine takes, and shows the answers to check before they are released.
func (t *trial) run(inputs []runtime.Tensor, check func([]runtime.Tensor) error) (time.Duration, error) {
	ordered := make([]runtime.Tensor, len(t.signature.Inputs))
	for i, spec := range t.signature.Inputs {
		at := -1
		for j := range inputs {
			if inputs[j].Name == spec.Name {
				at = j
			}
		}
		if at < 0 {
			return 0, fmt.Errorf("input %q is not given", spec.Name)
		}
		ordered[i] = inputs[at]
		if spec.Type == runtime.BYTES {
			continue
		}
		memory, err := t.pool.Get(len(inputs[at].Data))
		if err != nil {
			return 0, err
		}
		defer memory.Release()
		copy(memory.Bytes(), inputs[at].Data)
		ordered[i].Data = memory.Bytes()
	}
	ctx, stop := t.watch(t.ctx, rowsOf(t.signature, ordered))
	began := time.Now()
	result, err := t.session.Run(ctx, ordered, nil)
	took := time.Since(began)
	if over := stop(); over != nil {
		result.Release()
		return took, over
	}
	if err != nil {
		return took, fmt.Errorf("run: %w", err)
	}
	defer result.Release()
	for i := range result.Tensors {
		digest(t.answers, &result.Tensors[i])
	}
	return took, check(result.Tensors)
}

// peakRSS reads the high-water mark of this program. Getrusage would not do:
// a child starts with that of the process that forked it.
func peakRSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}
