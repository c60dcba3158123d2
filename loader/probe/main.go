package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/segue-serving/segue/runtime"
)

// ReportFD is the file descriptor on which a child writes its report.
const ReportFD = 3

// task is what a child reads on its standard input.
type task struct {
	Request Request  `json:"request"`
	Limits  Limits   `json:"limits"`
	Reads   []string `json:"reads,omitempty"`
}

// answer is what a child writes on ReportFD: a report, or why there is none.
type answer struct {
	Report Report `json:"report"`
	Error  string `json:"error,omitempty"`
}

// Main is the child's side: it reads the request from stdin, shuts this process
// in, makes the engine, tries the artifact and writes the report. It returns
// the process's exit status: 0 when it wrote a report, whatever the verdict.
// The engine is not closed, as the process ends at once.
//
// A run over its limit that cannot be stopped has its report written, and the
// process is ended with status 0.
func Main(engine func() (runtime.Engine, error), stdin io.Reader, report io.Writer) int {
	var once sync.Mutex // locked by the one that writes
	write := func(result answer) int {
		once.Lock()
		if err := json.NewEncoder(report).Encode(result); err != nil {
			fmt.Fprintf(os.Stderr, "write the report on file descriptor %d: %v\n", ReportFD, err)
			return 1
		}
		if result.Error != "" {
			return 1
		}
		return 0
	}
	r, err := child(engine, stdin, func(r Report) { os.Exit(write(answer{Report: r})) })
	if err != nil {
		return write(answer{Error: err.Error()})
	}
	return write(answer{Report: r})
}

func child(engine func() (runtime.Engine, error), stdin io.Reader, abandon func(Report)) (Report, error) {
	var t task
	if err := json.NewDecoder(stdin).Decode(&t); err != nil {
		return Report{}, fmt.Errorf("read the request: %w", err)
	}
	if t.Request.Manifest == nil {
		return Report{}, fmt.Errorf("read the request: there is no manifest in it")
	}
	defer helpLater()()
	devices := strings.HasPrefix(t.Request.Device, "cuda")
	if devices {
		t.Limits.Memory = 0
	}
	confined, err := confine(t.Limits, append(t.Reads, filepath.Dir(t.Request.ModelPath)), devices)
	if err != nil {
		return Report{}, err
	}
	e, err := engine()
	if err != nil {
		return Report{}, fmt.Errorf("start the engine: %w", err)
	}
	report := Report{Engine: e.Version(), Confinement: confined}
	tryInto(context.Background(), e, t.Request, &report, abandon)
	return report, nil
}
