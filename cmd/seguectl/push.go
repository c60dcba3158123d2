package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
)

func (c *cli) pushCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "push DIR URI",
		Short: "Verify a packed version and write it to a store",
		Long: `Verify a packed version and write it to a store: file:, s3:, gs:, azblob: or
oci:. Its manifest is written last, so that nobody fetches half of it; a detached
signature goes along. The same version again is left alone, another one at the
same place is refused: a version never changes.

Credentials are those of the store's own tools, in the environment and in files.`,
		Example: `  seguectl push models/mozart/2 s3://models/mozart/2?region=eu-west-1
  seguectl push models/mozart/2 oci:registry.example.org/team/mozart:2
  seguectl push models/mozart/2 file:/mnt/models/mozart/2 --json`,
		Args: cobra.ExactArgs(2),
		RunE: c.verb(c.push),
	}
}

type pushReport struct {
	URI    string `json:"uri"`
	Digest string `json:"digest,omitempty"`
	Files  int    `json:"files,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	// Written is false where the same version was there already.
	Written bool `json:"written"`
}

func (r *pushReport) writeText(w io.Writer) {
	if r.Digest == "" {
		return
	}
	what := "was there already: "
	if r.Written {
		what = "written: "
	}
	fmt.Fprintf(w, "%s%s, %s of %s\n%s\n", what, store.Shown(r.URI), counted(r.Files, "file"), bytesText(r.Bytes), r.Digest)
}

func (c *cli) push(ctx context.Context, args []string) (report, error) {
	ref, err := reference(args[1], "")
	if err != nil {
		return nil, err
	}
	remote, err := c.remote(ref)
	if err != nil {
		return nil, err
	}
	publisher, ok := remote.(store.Publisher)
	if !ok {
		return nil, usageError{fmt.Errorf("%s: this store is only read from: file:, s3:, gs:, azblob: and oci: are written to", store.Shown(ref.URI))}
	}
	if _, err := os.Stat(filepath.Join(args[0], artifact.ManifestFile)); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no %s in it: write it with seguectl pack", args[0], artifact.ManifestFile)
	}
	reading := c.meter("verifying")
	a, err := artifact.Reading{Progress: reading.add}.Verify(ctx, args[0])
	reading.end()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", args[0], err)
	}
	r := &pushReport{URI: args[1]}
	writing := c.meter("writing")
	written := false
	err = publisher.Push(ctx, ref, args[0], a.Digest, func(done, total int64) {
		written = true
		writing.reach(done, total)
	})
	writing.end()
	if err != nil {
		return r, err
	}
	r.Written = written
	r.Digest, r.Files = a.Digest, len(a.Manifest.Files)
	for _, f := range a.Manifest.Files {
		r.Bytes += f.Size
	}
	return r, nil
}
