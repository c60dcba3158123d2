package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/segue-serving/segue/runtime"
)

// ReportFD is the file descriptor on which a child writes its report.
const ReportFD = 3

// task is what a child reads on its standard input.
type task struct {
	Request Request `json:"request"`
	Limits  Limits  `json:"limits"`
}

// answer is what a child writes on ReportFD: a report, or why there is none.
type answer struct {
	Report Report `json:"report"`
	Error  string `json:"error,omitempty"`
}

// Main is the child's side: it reads the request from stdin, sets the limits
// on this process, makes the engine, tries the artifact and writes the report.
// It returns the process's exit status: 0 when it wrote a report, whatever the
// verdict. The engine is not closed, as the process ends at once.
func Main(engine func() (runtime.Engine, error), stdin io.Reader, report io.Writer) int {
	result := answer{}
	if r, err := child(engine, stdin); err != nil {
		result.Error = err.Error()
	} else {
		result.Report = r
	}
	if err := json.NewEncoder(report).Encode(result); err != nil {
		fmt.Fprintf(os.Stderr, "write the report on file descriptor %d: %v\n", ReportFD, err)
		return 1
	}
	if result.Error != "" {
		return 1
	}
	return 0
}

func child(engine func() (runtime.Engine, error), stdin io.Reader) (Report, error) {
	var t task
	if err := json.NewDecoder(stdin).Decode(&t); err != nil {
		return Report{}, fmt.Errorf("read the request: %w", err)
	}
	if t.Request.Manifest == nil {
		return Report{}, fmt.Errorf("read the request: there is no manifest in it")
	}
	defer helpLater()()
	if strings.HasPrefix(t.Request.Device, "cuda") {
		t.Limits.Memory = 0
	}
	if err := Confine(t.Limits); err != nil {
		return Report{}, err
	}
	e, err := engine()
	if err != nil {
		return Report{}, fmt.Errorf("start the engine: %w", err)
	}
	return Try(context.Background(), e, t.Request), nil
}
