package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

func (c *cli) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE…",
		Short: "Parse documents as the gateway does and report every problem",
		Long: `Parse documents as the gateway does and report every problem with its line.

A file named _settings.yaml or _settings.json is checked as settings, all
others as models' documents; "-" is standard input. Nothing is written and no
configuration is read.`,
		Example: `  seguectl check configs/*.yaml
  seguectl check --json mozart.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: c.verb(c.check),
	}
}

type checkReport struct {
	Documents []checkedDocument `json:"documents"`
}

type checkedDocument struct {
	File     string  `json:"file"`
	Model    string  `json:"model,omitempty"`
	Accepted bool    `json:"accepted"`
	Digest   string  `json:"digest,omitempty"`
	Problems []place `json:"problems,omitempty"`
	Warnings []place `json:"warnings,omitempty"`
}

func (r *checkReport) writeText(w io.Writer) {
	for _, d := range r.Documents {
		for _, p := range d.Problems {
			fmt.Fprintln(w, p)
		}
		for _, p := range d.Warnings {
			fmt.Fprintf(w, "%s (warning)\n", p)
		}
		if d.Accepted {
			fmt.Fprintf(w, "%s: accepted\n", d.File)
		}
	}
}

func (c *cli) check(_ context.Context, files []string) (report, error) {
	result := &checkReport{}
	failed := 0
	for _, file := range files {
		checked := c.checkOne(file)
		if !checked.Accepted {
			failed++
		}
		result.Documents = append(result.Documents, checked)
	}
	if failed > 0 {
		return result, fmt.Errorf("%d of %d documents refused", failed, len(files))
	}
	return result, nil
}

func (c *cli) checkOne(file string) checkedDocument {
	checked := checkedDocument{File: file}
	doc, err := c.readFile(file)
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		checked.Problems = refused.problems
	case err != nil:
		checked.Problems = []place{{Problem: configs.Problem{Message: err.Error()}}}
	default:
		checked.Accepted, checked.Model = true, doc.name
		checked.Digest, checked.Warnings = configs.EntryDigest(doc.value), doc.warnings
		if stem := fileStem(file); file != "-" && doc.model != nil && stem != doc.name {
			checked.Warnings = append(checked.Warnings, place{File: file, Problem: configs.Problem{Path: "model", Message: fmt.Sprintf(
				"is %q: in a folder of documents (file:) the file must be named %s.yaml or %s.json", doc.name, doc.name, doc.name)}})
		}
	}
	return checked
}
