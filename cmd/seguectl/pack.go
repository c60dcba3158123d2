package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/loader/artifact"
)

func (c *cli) packCommand() *cobra.Command {
	p := packing{cli: c}
	cmd := &cobra.Command{
		Use:   "pack DIR",
		Short: "Write the manifest of a version's folder",
		Long: `Write manifest.json of a folder with model.onnx: every file with its size and
SHA-256, the signature read from the model, labels, golden requests with their
answers, and where the model came from. The manifest's own SHA-256 is the
version's digest; packing the same folder again gives the same one.

What an older manifest in the folder says and no flag says anew is kept.

A golden request is a JSON file (an inference request, optionally with the
outputs' data) or an .npz file with an array for each input (and output). Answers
that are not given come from --via, a gateway that serves the model, or from the
program segue (--segue, or beside this one, or in the PATH).`,
		Example: `  seguectl pack models/mozart/2 --model mozart --git-commit "$(git rev-parse HEAD)"
  seguectl pack models/mozart/2 --labels probabilities=bach,mozart --golden scale=scale.npz --golden rest.json
  seguectl pack models/mozart/2 --golden rest.json --via http://localhost:8000/v2/models/mozart/versions/2`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(p.run),
	}
	f := cmd.Flags()
	f.StringVar(&p.model, "model", "", "the model's name; needed where there is no manifest yet")
	f.StringArrayVar(&p.labels, "labels", nil, "OUTPUT=LABEL,LABEL… or OUTPUT=@FILE with a label a line: names of the classes of an output's last dimension")
	f.StringArrayVar(&p.goldens, "golden", nil, "[NAME=]FILE: a golden request, .json or .npz; repeat it for more, \"none\" for none")
	f.StringVar(&p.via, "via", "", "URL of the model at a gateway that answers golden requests")
	f.StringVar(&p.viaKeyFile, "via-key-file", "", "file with the API key for --via")
	f.StringVar(&p.segue, "segue", "", "the program segue, which answers golden requests where there is no --via")
	f.Float64Var(&p.absolute, "absolute", 0, "how far an answer may differ from the golden one, in units (default 1e-4)")
	f.Float64Var(&p.relative, "relative", 0, "and in parts of the golden one's size (default 1e-3)")
	f.StringVar(&p.commit, "git-commit", "", "Git commit of the code that trained the model")
	f.StringVar(&p.data, "data-version", "", "version of the data that it was trained on")
	f.StringVar(&p.trained, "run-id", "", "id of the training run")
	f.StringVar(&p.command, "command", "", "the command that made the model")
	p.changed = f.Changed
	return cmd
}

// packing is one run of pack.
type packing struct {
	*cli
	model, via, viaKeyFile, segue  string
	labels, goldens                []string
	absolute, relative             float64
	commit, data, trained, command string
	changed                        func(flag string) bool
}

type packReport struct {
	Dir      string   `json:"dir"`
	Model    string   `json:"model"`
	Digest   string   `json:"digest"`
	Changed  bool     `json:"changed"`
	Files    int      `json:"files"`
	Bytes    int64    `json:"bytes"`
	Goldens  int      `json:"goldens"`
	Warnings []string `json:"warnings,omitempty"`
}

func (r *packReport) writeText(w io.Writer) {
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	state := "packed"
	if !r.Changed {
		state = "is packed already"
	}
	fmt.Fprintf(w, "%s %s: model %s, %s, %s\n%s\n", r.Dir, state, r.Model, counted(r.Files, "file")+" of "+bytesText(r.Bytes), counted(r.Goldens, "golden request"), r.Digest)
}

func (p *packing) run(ctx context.Context, args []string) (report, error) {
	dir := args[0]
	old, before, err := oldManifest(dir)
	if err != nil {
		return nil, err
	}
	meter := p.meter("hashing")
	m, warnings, err := artifact.Reading{Progress: meter.add}.Pack(ctx, dir)
	meter.end()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := p.describe(m, old); err != nil {
		return nil, err
	}
	if err := p.ask(ctx, dir, m, old); err != nil {
		return nil, err
	}
	if len(m.Goldens) == 0 {
		warnings = append(warnings, "there are no golden requests: whether it answers right will not be tried before it serves")
	}
	digest, err := artifact.Write(dir, m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, artifact.SignatureFile)); err == nil && digest != before {
		warnings = append(warnings, artifact.SignatureFile+" is of the manifest before: sign the folder again")
	}
	r := &packReport{Dir: dir, Model: m.Model, Digest: digest, Changed: digest != before, Files: len(m.Files), Goldens: len(m.Goldens), Warnings: warnings}
	for _, f := range m.Files {
		r.Bytes += f.Size
	}
	return r, nil
}

// oldManifest is what the folder's manifest says already, empty where there is
// none.
func oldManifest(dir string) (m *artifact.Manifest, digest string, err error) {
	body, err := os.ReadFile(filepath.Join(dir, artifact.ManifestFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return &artifact.Manifest{}, "", nil
	}
	if err == nil {
		m, err = artifact.Parse(body)
	}
	if err != nil {
		return nil, "", fmt.Errorf("the manifest that is there cannot be kept: mend or remove it: %w", err)
	}
	return m, artifact.Digest(body), nil
}

// describe adds what the flags say to a manifest, and what the old one said of
// the rest.
func (p *packing) describe(m, old *artifact.Manifest) error {
	m.Model, m.Labels, m.Tolerance, m.Provenance = old.Model, old.Labels, old.Tolerance, old.Provenance
	if p.model != "" {
		m.Model = p.model
	}
	if m.Model == "" {
		return usageError{errors.New("--model is needed: there is no manifest yet that names the model")}
	}
	if len(p.labels) > 0 {
		var err error
		if m.Labels, err = readLabels(p.labels); err != nil {
			return err
		}
	}
	if p.changed("absolute") || p.changed("relative") {
		tolerance := old.Tolerances()
		for flag, value := range map[string]struct{ to, from *float64 }{
			"absolute": {&tolerance.Absolute, &p.absolute}, "relative": {&tolerance.Relative, &p.relative},
		} {
			if p.changed(flag) {
				*value.to = *value.from
			}
		}
		m.Tolerance = &tolerance
	}
	came := artifact.Provenance{}
	if old.Provenance != nil {
		came = *old.Provenance
	}
	for flag, value := range map[string]struct{ to, from *string }{
		"git-commit": {&came.Commit, &p.commit}, "data-version": {&came.Data, &p.data},
		"run-id": {&came.Run, &p.trained}, "command": {&came.Command, &p.command},
	} {
		if p.changed(flag) {
			*value.to = *value.from
		}
	}
	if came != (artifact.Provenance{}) {
		m.Provenance = &came
	}
	return nil
}
