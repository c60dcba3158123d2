package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/segue-serving/segue/bench/report"
)

// mayWrite refuses, before anything is measured, to replace an earlier result
// unasked, and says what is replaced where it is asked to.
func mayWrite(o options, name string, stderr io.Writer) error {
	if o.out == "" {
		return nil
	}
	earlier := filepath.Join(o.out, name+".json")
	text, err := os.ReadFile(earlier)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	what := "a file that is no result"
	var result report.Result
	if json.Unmarshal(text, &result) == nil && result.Scenario != "" {
		what = fmt.Sprintf("the result of %s at commit %s", result.Setup.Started.Format("2006-01-02 15:04"), result.Setup.Commit)
	}
	if !o.overwrite {
		return usageError{fmt.Errorf("%s holds %s: --overwrite replaces it", earlier, what)}
	}
	fmt.Fprintf(stderr, "bench: %s will be replaced: it holds %s\n", earlier, what)
	return nil
}

// summarise writes the figures to reach of every result in the folder.
func summarise(o options, stderr io.Writer) error {
	if o.out == "" {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(o.out, "*.json"))
	if err != nil {
		return err
	}
	var all []*report.Result
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var r report.Result
		if json.Unmarshal(text, &r) == nil && r.Scenario != "" {
			all = append(all, &r)
		}
	}
	path := filepath.Join(o.out, "summary.md")
	if err := os.WriteFile(path, []byte(report.Summary(all)), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "bench: wrote %s\n", path)
	return nil
}

// write leaves a result in the folder as JSON, Markdown and SVG.
func write(o options, r *report.Result, stderr io.Writer) error {
	if o.out == "" {
		return nil
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	for ending, content := range map[string]string{".json": string(text) + "\n", ".md": report.Markdown(r), ".svg": report.Plot(r)} {
		path := filepath.Join(o.out, r.Scenario+ending)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(stderr, "bench: wrote %s\n", path)
	}
	return nil
}
