package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/runtime"
)

// Request says what to try. Its JSON form goes to the child.
type Request struct {
	// ModelPath is the verified ONNX file.
	ModelPath string `json:"model_path"`
	// Manifest is the verified artifact's; its goldens are run, and its
	// signature is compared where it has one.
	Manifest *artifact.Manifest `json:"manifest"`
	// Digest identifies the artifact for Cache.
	Digest string `json:"digest"`
	// Device and Threads are those of runtime.Options.
	Device  string `json:"device"`
	Threads int    `json:"threads"`
	// MemoryLimit is that of runtime.Options, for the device's memory.
	MemoryLimit int64 `json:"memory_limit"`
	// MaxBatch is the largest batch that the model will meet; 0 counts as 1.
	MaxBatch int `json:"max_batch"`
	// RunLimit is the processor time that a run may take for each row. One that
	// takes longer refuses the artifact: nobody would wait for its answers.
	// 0 sets no limit.
	RunLimit time.Duration `json:"run_limit_ns"`
	// Attempt is an operator's count: a higher one than that of a refusal takes
	// the artifact out of the quarantine of Cache.
	Attempt int `json:"attempt"`
}

// Verdict is how a try ended.
type Verdict string

// The verdicts. Undecided, the zero value, is none: the try did not get to an
// end. All but it and Passed refuse the artifact.
const (
	Undecided        Verdict = ""
	Passed           Verdict = "passed"
	Crashed          Verdict = "crash"
	LimitReached     Verdict = "limit"
	NotOpened        Verdict = "open"
	SignatureDiffers Verdict = "signature"
	GoldenDiffers    Verdict = "golden"
)

func (v Verdict) known() bool {
	switch v {
	case Passed, Crashed, LimitReached, NotOpened, SignatureDiffers, GoldenDiffers:
		return true
	}
	return false
}

// Report is what a try found.
type Report struct {
	Verdict Verdict `json:"verdict"`
	// Reason says in a sentence why the artifact is refused, empty when it
	// passed. It may name files by their full path.
	Reason string `json:"reason,omitempty"`
	// Engine is the version of the engine that made the try.
	Engine string `json:"engine"`
	// Signature is what the engine says of the model, nil if it never opened and
	// in a verdict of an earlier process.
	Signature *runtime.Signature `json:"signature,omitempty"`
	// Warnings refuse nothing.
	Warnings []string `json:"warnings,omitempty"`
	// Goldens is how many golden requests were answered within tolerance.
	Goldens int `json:"goldens"`
	// OpenTime is how long the engine took to open the model.
	OpenTime time.Duration `json:"open_ns"`
	// Runs are the timed runs, one for each batch size in ascending order.
	Runs []Run `json:"runs,omitempty"`
	// PeakRSS is the most memory that the trying process held, in bytes, its
	// own share included; 0 where it could not be told.
	PeakRSS int64 `json:"peak_rss"`
	// PeakMemory and HeldMemory are what the model itself took of the process's
	// memory, in bytes: at most, and after all runs. They are 0 where that could
	// not be told.
	PeakMemory int64 `json:"peak_memory"`
	HeldMemory int64 `json:"held_memory"`
	// Answers is the SHA-256 of all answers to the golden requests and to the
	// synthetic inputs, in order: the same artifact, engine and processor give
	// the same.
	Answers string `json:"answers,omitempty"`
	// Tries counts the refusals in a row of an artifact that is in quarantine
	// until Until, 0 and zero for any other.
	Tries int       `json:"tries,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Confinement says what shut the child in, empty where the try was made in
	// the caller's own process.
	Confinement Confinement `json:"confinement"`
}

// Run is one timed run.
type Run struct {
	// Batch is the number of rows.
	Batch int `json:"batch"`
	// Time is how long the engine took.
	Time time.Duration `json:"ns"`
	// Nonfinite counts the elements of the answers that are NaN or infinite.
	Nonfinite int64 `json:"nonfinite,omitempty"`
}

// What is kept of a report of a child, which may have been made to write
// anything.
const (
	maxReason   = 2000
	maxWarnings = 20
	maxWarning  = 500
	maxRuns     = 64
)

// clip bounds everything in a report that somebody will read or keep.
func (r *Report) clip() {
	r.Reason = clipText(r.Reason, maxReason)
	r.Warnings = r.Warnings[:min(len(r.Warnings), maxWarnings)]
	for i, w := range r.Warnings {
		r.Warnings[i] = clipText(w, maxWarning)
	}
	r.Runs = r.Runs[:min(len(r.Runs), maxRuns)]
	r.Engine, r.Answers = clipText(r.Engine, maxWarning), clipText(r.Answers, maxWarning)
	for _, list := range []*[]string{&r.Confinement.InPlace, &r.Confinement.Missing} {
		*list = (*list)[:min(len(*list), maxWarnings)]
		for i, text := range *list {
			(*list)[i] = clipText(text, maxWarning)
		}
	}
}

func clipText(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// Refused reports whether the artifact may not serve.
func (r *Report) Refused() bool { return r.Verdict != Passed && r.Verdict != Undecided }

// Limits bound a child. A zero field sets no limit.
type Limits struct {
	// Memory is how much more address space the child may take than it has
	// before it opens anything, in bytes. Engines reserve more than they use,
	// so be generous; the library of the engine counts too. On a CUDA device it
	// is not enforced: the driver reserves the address space of the whole
	// machine.
	Memory int64 `json:"memory"`
	// Resident is the most memory that the child may really hold, in bytes, on
	// any device. The parent looks at it many times a second.
	Resident int64 `json:"resident"`
	// CPU is processor time of all the child's threads, in whole seconds.
	CPU time.Duration `json:"cpu_ns"`
	// Wall is the time from start to report.
	Wall time.Duration `json:"wall_ns"`
}

// Func tries an artifact: Child.Probe, or another in front of it. An error
// says that there is no verdict, and that another try may give one.
type Func func(ctx context.Context, req Request) (Report, error)

// NoRoom is the error of a try that was ended because it took all the memory
// that is left on the machine, which is no fault of the artifact.
type NoRoom struct {
	// Left is what was left when the try began, in bytes.
	Left int64
}

// Error says how much was left.
func (e *NoRoom) Error() string {
	return fmt.Sprintf("needs more than the %d MiB of memory that are left to try it", e.Left>>20)
}

var errNoVerdict = errors.New("the try gave no verdict")
