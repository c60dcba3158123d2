package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/loader/store"
)

func (c *cli) artifactsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "artifacts URI",
		Short: "List the versions that lie in a store",
		Long: `List the versions that lie in a store: all folders with a manifest at or below a
place of file:, s3:, gs: or azblob:, all tags of a repository of oci:.`,
		Example: `  seguectl artifacts s3://models/mozart?region=eu-west-1
  seguectl artifacts oci:registry.example.org/team/mozart
  seguectl artifacts file:models --json`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(c.artifacts),
	}
}

type artifactsReport struct {
	Artifacts []listedArtifact `json:"artifacts"`
}

type listedArtifact struct {
	URI    string `json:"uri"`
	Digest string `json:"digest,omitempty"`
	// Bytes is left out where the store does not say.
	Bytes   *int64    `json:"bytes,omitempty"`
	Changed time.Time `json:"changed,omitzero"`
}

func (r *artifactsReport) writeText(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "URI\tSIZE\tCHANGED\tDIGEST")
	for _, a := range r.Artifacts {
		size := "-"
		if a.Bytes != nil {
			size = bytesText(*a.Bytes)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", a.URI, size, clock(a.Changed), cmp.Or(a.Digest, "-"))
	}
	table.Flush()
}

func (c *cli) artifacts(ctx context.Context, args []string) (report, error) {
	ref, err := reference(args[0], "")
	if err != nil {
		return nil, err
	}
	remote, err := c.remote(ref)
	if err != nil {
		return nil, err
	}
	lister, ok := remote.(store.Lister)
	if !ok {
		return nil, usageError{fmt.Errorf("%s: this store cannot list; file:, s3:, gs:, azblob: and oci: can", store.Shown(ref.URI))}
	}
	found, err := lister.List(ctx, ref)
	if err != nil {
		return nil, err
	}
	r := &artifactsReport{Artifacts: []listedArtifact{}}
	for _, one := range found {
		listed := listedArtifact{URI: one.URI, Digest: one.Digest, Changed: one.Changed}
		if one.Size >= 0 {
			listed.Bytes = &one.Size
		}
		r.Artifacts = append(r.Artifacts, listed)
	}
	return r, nil
}
