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
	"github.com/segue-serving/segue/loader/artifact/signing"
)

func (c *cli) signCommand() *cobra.Command {
	s := signingRun{cli: c}
	cmd := &cobra.Command{
		Use:   "sign DIR",
		Short: "Sign a packed version with a key or a certificate",
		Long: `Verify a packed version and sign its manifest and all its files. The signature,
` + artifact.SignatureFile + ` beside the manifest, is one of OpenSSF model-signing
(pip install model-signing) and can be made by that as well:

  model_signing sign key DIR --private_key KEY --signature DIR/` + artifact.SignatureFile + `
  model_signing verify key DIR --public_key PUB --signature DIR/` + artifact.SignatureFile + `

Keys are ECDSA on P-256, P-384 or P-521, as PEM without a password. The same
files signed with the same key give the same signature.`,
		Example: `  openssl ecparam -name prime256v1 -genkey -noout -out release.pem
  openssl ec -in release.pem -pubout -out release.pub.pem
  seguectl sign models/mozart/2 --key release.pem
  seguectl sign models/mozart/2 --key ci.pem --certificate ci.crt --chain intermediate.crt`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(s.run),
	}
	f := cmd.Flags()
	f.StringVar(&s.key, "key", "", "file with the private key")
	f.StringVar(&s.certificate, "certificate", "", "file with the key's certificate, to sign in its name")
	f.StringArrayVar(&s.chain, "chain", nil, "file with authorities between the certificate and its root; repeat it for more")
	if err := cmd.MarkFlagRequired("key"); err != nil {
		panic(err) // there is such a flag
	}
	return cmd
}

// signingRun is one run of sign.
type signingRun struct {
	*cli
	key, certificate string
	chain            []string
}

type signReport struct {
	Dir       string   `json:"dir"`
	Digest    string   `json:"digest"`
	Signature string   `json:"signature"`
	Files     int      `json:"files"`
	Warnings  []string `json:"warnings,omitempty"`
}

func (r *signReport) writeText(w io.Writer) {
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	fmt.Fprintf(w, "%s is signed: %s covers %s\n%s\n", r.Dir, r.Signature, counted(r.Files, "file"), r.Digest)
}

func (s *signingRun) run(ctx context.Context, args []string) (report, error) {
	dir := args[0]
	if s.certificate == "" && len(s.chain) > 0 {
		return nil, usageError{errors.New("--chain goes with --certificate")}
	}
	signer, err := s.signer()
	if err != nil {
		return nil, err
	}
	meter := s.meter("reading")
	a, err := artifact.Reading{Progress: meter.add}.Verify(ctx, dir)
	meter.end()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if !a.Packed() {
		return nil, fmt.Errorf("%s: there is no %s to sign: run seguectl pack first", dir, artifact.ManifestFile)
	}
	files := a.Resources()
	bundle, err := signer.Sign(a.Manifest.Model, files)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := artifact.WriteSignature(dir, bundle); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return &signReport{Dir: dir, Digest: a.Digest, Signature: filepath.Join(dir, artifact.SignatureFile), Files: len(files), Warnings: a.Warnings}, nil
}

func (s *signingRun) signer() (*signing.Signer, error) {
	text, err := os.ReadFile(s.key)
	if err != nil {
		return nil, err
	}
	signer, err := signing.ParseSigner(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.key, err)
	}
	if s.certificate == "" {
		return signer, nil
	}
	var chain []byte
	for _, file := range append([]string{s.certificate}, s.chain...) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		chain = append(append(chain, text...), '\n')
	}
	if signer, err = signer.WithCertificate(chain); err != nil {
		return nil, fmt.Errorf("%s: %w", s.certificate, err)
	}
	return signer, nil
}
