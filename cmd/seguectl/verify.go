package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/artifact/signing"
)

func (c *cli) verifyCommand() *cobra.Command {
	v := verifying{cli: c}
	cmd := &cobra.Command{
		Use:   "verify DIR|URI",
		Short: "Read a version in full and hold it against its manifest, digest and signature",
		Long: `Read a version in full, as the gateway does before it opens one: every file
with the size and SHA-256 that the manifest says, external data that stays in the
folder, the digest if one is given, and the signature if keys or roots are given:
then one of them must have signed. Golden answers are not tried.`,
		Example: `  seguectl verify models/mozart/2
  seguectl verify s3://models/mozart/2 --digest sha256:750226e3691ec52d45da027a1b103c0bea07da738f1d957caaf740ffd68ac8f6
  seguectl verify models/mozart/2 --key release.pub.pem
  seguectl verify models/mozart/2 --root company-ca.pem --identity release@models.example`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(v.run),
	}
	f := cmd.Flags()
	f.StringVar(&v.digest, "digest", "", "the digest that it must have")
	f.StringArrayVar(&v.keys, "key", nil, "file with the public key of somebody who may have signed; repeat it for more")
	f.StringArrayVar(&v.roots, "root", nil, "file with root certificates under which somebody may have signed; repeat it for more")
	f.StringArrayVar(&v.identities, "identity", nil, "with --root, a name that the signer's certificate must have; repeat it for more")
	return cmd
}

// verifying is one run of verify.
type verifying struct {
	*cli
	digest                  string
	keys, roots, identities []string
}

type verifyReport struct {
	Artifact string `json:"artifact"`
	Verified bool   `json:"verified"`
	Model    string `json:"model,omitempty"`
	Digest   string `json:"digest,omitempty"`
	Files    int    `json:"files,omitempty"`
	Bytes    int64  `json:"bytes,omitempty"`
	Goldens  int    `json:"goldens,omitempty"`
	// SignedBy is the file of the key or root, and the certificate's subject.
	SignedBy   string               `json:"signed_by,omitempty"`
	Provenance *artifact.Provenance `json:"provenance,omitempty"`
	Warnings   []string             `json:"warnings,omitempty"`
}

func (r *verifyReport) writeText(w io.Writer) {
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	if !r.Verified {
		return
	}
	signed := "nobody that --key or --root names"
	if r.SignedBy != "" {
		signed = r.SignedBy
	}
	fmt.Fprintf(w, "%s is sound: model %s, %s of %s, %s, signed by %s\n%s\n", r.Artifact, r.Model,
		counted(r.Files, "file"), bytesText(r.Bytes), counted(r.Goldens, "golden request"), signed, r.Digest)
}

func (v *verifying) run(ctx context.Context, args []string) (report, error) {
	r := &verifyReport{Artifact: args[0]}
	if v.digest != "" && !artifact.ValidDigest(v.digest) {
		return nil, usageError{fmt.Errorf("--digest %s: want sha256: and 64 hexadecimal digits", v.digest)}
	}
	if len(v.identities) > 0 && len(v.roots) == 0 {
		return nil, usageError{errors.New("--identity narrows the certificates under --root, and none is given")}
	}
	trusted, err := v.trusted()
	if err != nil {
		return nil, err
	}
	path, release, err := v.localArtifact(ctx, args[0], v.digest)
	if err != nil {
		return r, err
	}
	defer release()
	meter := v.meter("reading")
	a, err := artifact.Reading{Progress: meter.add}.Verify(ctx, path)
	meter.end()
	if err != nil {
		return r, fmt.Errorf("%s: %w", args[0], err)
	}
	r.Model, r.Digest, r.Files, r.Goldens, r.Provenance = a.Manifest.Model, a.Digest, len(a.Manifest.Files), len(a.Manifest.Goldens), a.Manifest.Provenance
	r.Warnings = append(r.Warnings, a.Warnings...)
	for _, f := range a.Manifest.Files {
		r.Bytes += f.Size
	}
	if v.digest != "" && v.digest != a.Digest {
		return r, fmt.Errorf("%s: the digest is %s, not %s", args[0], a.Digest, v.digest)
	}
	signature, err := a.Signature(trusted)
	switch {
	case err == nil:
		r.SignedBy = signature.String()
	case len(trusted) > 0 && errors.Is(err, fs.ErrNotExist):
		return r, fmt.Errorf("%s: it is not signed: there is no %s", args[0], artifact.SignatureFile)
	case len(trusted) > 0:
		return r, fmt.Errorf("%s: %w", args[0], err)
	case !errors.Is(err, fs.ErrNotExist):
		r.Warnings = append(r.Warnings, "its signature is not judged: give --key or --root")
	}
	r.Verified = true
	return r, nil
}

// trusted are those whom the flags name, by their files.
func (v *verifying) trusted() ([]*signing.Trusted, error) {
	var all []*signing.Trusted
	for i, file := range append(append([]string(nil), v.keys...), v.roots...) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		t, err := signing.ParseTrusted(file, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		isRoot := i >= len(v.keys)
		if t.IsRoot() != isRoot {
			return nil, usageError{fmt.Errorf("%s: --key takes a public key, --root certificates", file)}
		}
		if isRoot {
			t.Identities = v.identities
		}
		all = append(all, t)
	}
	return all, nil
}
