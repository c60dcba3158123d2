package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/segue-serving/segue/configs"
)

// report is what a verb found or did. Its JSON form is an object and holds all
// of it; its text is for people.
type report interface {
	writeText(w io.Writer)
}

// finish prints the outcome of a verb and returns the exit code. With --json
// standard output gets one document, also where the verb failed: then with an
// "error" and, for refused documents, their "problems".
func (c *cli) finish(ctx context.Context, result report, err error) int {
	code := exitCode(ctx, err)
	failed := err != nil && code != exitChanges
	if failed {
		c.explain(err, code)
	}
	if !c.json {
		if result != nil {
			result.writeText(c.stdout)
		}
		return code
	}
	if !failed {
		err = nil
	}
	if _, streamed := result.(streamedReport); streamed {
		return code
	}
	document, encodeErr := encodeResult(result, err, code)
	if encodeErr != nil {
		fmt.Fprintln(c.stderr, "seguectl:", encodeErr)
		return exitFailed
	}
	fmt.Fprintln(c.stdout, string(document))
	return code
}

// streamedReport was printed while the verb ran.
type streamedReport struct{}

func (streamedReport) writeText(io.Writer) {}

// explain says on standard error why a verb failed.
func (c *cli) explain(err error, code int) {
	if code == exitInterrupted {
		fmt.Fprintln(c.stderr, "seguectl: interrupted")
		return
	}
	var refused *refusedError
	if errors.As(err, &refused) {
		for _, p := range refused.problems {
			fmt.Fprintln(c.stderr, p)
		}
	}
	fmt.Fprintln(c.stderr, "seguectl:", err)
	if code == exitUsage {
		fmt.Fprintln(c.stderr, "run 'seguectl --help' or 'seguectl VERB --help' for usage")
	}
}

func encodeResult(result report, err error, code int) ([]byte, error) {
	if err == nil {
		return encodeJSON(result)
	}
	fields := map[string]any{}
	if result != nil {
		value, err := json.Marshal(result)
		if err != nil {
			return nil, err
		}
		decoder := json.NewDecoder(bytes.NewReader(value))
		decoder.UseNumber()
		if err := decoder.Decode(&fields); err != nil {
			return nil, err
		}
	}
	fields["error"], fields["exit_code"] = err.Error(), code
	var refused *refusedError
	if errors.As(err, &refused) {
		fields["problems"] = refused.problems
	}
	return encodeJSON(fields)
}

func encodeJSON(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}

// note tells the user something that is neither result nor failure.
func (c *cli) note(format string, args ...any) {
	fmt.Fprintf(c.stderr, format+"\n", args...)
}

// place is a problem or warning of one document.
type place struct {
	File string `json:"file,omitempty"`
	configs.Problem
}

// String puts the file before the place in it, as compilers do.
func (p place) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", p.Line, p.Column)
		}
		b.WriteString(" ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	return b.String() + p.Message
}

// refusedError says that documents were refused, and all that is wrong.
type refusedError struct {
	what     string
	problems []place
}

func (e *refusedError) Error() string {
	if len(e.problems) == 1 {
		return e.what + " is refused: 1 problem"
	}
	return fmt.Sprintf("%s is refused: %d problems", e.what, len(e.problems))
}
