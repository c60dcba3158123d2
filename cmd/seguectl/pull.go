package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

func (c *cli) pullCommand() *cobra.Command {
	p := pulling{cli: c}
	cmd := &cobra.Command{
		Use:   "pull URI DIR",
		Short: "Copy a version from a store into a folder, and verify it",
		Long: `Copy a version from a store into a folder that is not there yet, and verify it:
every file with the size and SHA-256 that the manifest says, and the digest if one
is given. The folder appears in one step, whole. What an interrupted pull had
fetched lies beside it, and the next one goes on from there.

A folder that has the same version already is left alone.`,
		Example: `  seguectl pull s3://models/mozart/2?region=eu-west-1 models/mozart/2
  seguectl pull mlflow:models/mozart@champion champion
  seguectl pull oci:registry.example.org/team/mozart:2 mozart --digest sha256:750226e3691ec52d45da027a1b103c0bea07da738f1d957caaf740ffd68ac8f6`,
		Args: cobra.ExactArgs(2),
		RunE: c.verb(p.run),
	}
	cmd.Flags().StringVar(&p.digest, "digest", "", "the digest that it must have")
	return cmd
}

// pulling is one run of pull.
type pulling struct {
	*cli
	digest string
}

type pullReport struct {
	URI    string `json:"uri"`
	Dir    string `json:"dir"`
	Model  string `json:"model,omitempty"`
	Digest string `json:"digest,omitempty"`
	Files  int    `json:"files,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	// Warnings are what an operator should know though it refuses nothing.
	Warnings []string `json:"warnings,omitempty"`
}

func (r *pullReport) writeText(w io.Writer) {
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	if r.Digest != "" {
		fmt.Fprintf(w, "%s is sound: model %s, %s of %s\n%s\n", r.Dir, r.Model, counted(r.Files, "file"), bytesText(r.Bytes), r.Digest)
	}
}

func (p *pulling) run(ctx context.Context, args []string) (report, error) {
	if p.digest != "" && !artifact.ValidDigest(p.digest) {
		return nil, usageError{fmt.Errorf("--digest %s: want sha256: and 64 hexadecimal digits", p.digest)}
	}
	ref, err := reference(args[0], p.digest)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(args[1])
	if err != nil {
		return nil, err
	}
	r := &pullReport{URI: args[0], Dir: args[1]}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return r, err
	}
	beside := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".pull")
	path, release, err := p.fetch(ctx, ref, beside)
	if err != nil && !store.IsPermanent(err) && !errors.Is(err, fs.ErrNotExist) {
		p.note("what came so far is kept in %s: the next pull goes on from there", beside)
		return r, err
	}
	if err == nil {
		err = install(ctx, ref, path, dir)
		release()
	}
	if err := errors.Join(err, os.RemoveAll(beside)); err != nil {
		return r, err
	}
	a, err := artifact.Verify(ctx, dir)
	if err != nil {
		return r, fmt.Errorf("%s: %w", args[1], err)
	}
	r.Model, r.Digest, r.Files, r.Warnings = a.Manifest.Model, a.Digest, len(a.Manifest.Files), a.Warnings
	for _, f := range a.Manifest.Files {
		r.Bytes += f.Size
	}
	return r, nil
}

// install verifies what came and puts it into its folder in one step.
func install(ctx context.Context, ref store.Ref, path, dir string) error {
	a, err := artifact.Verify(ctx, path)
	if err != nil {
		return store.Named(ref.URI, err)
	}
	return store.File{}.Push(ctx, store.Ref{URI: "file:" + filepath.ToSlash(dir)}, path, a.Digest, nil)
}
