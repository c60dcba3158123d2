package artifact

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/segue-serving/segue/loader/artifact/signing"
)

// Signature checks the artifact's detached signature against those trusted: it
// covers the manifest and every listed file, with the hashes that Verify found.
// An artifact without one is fs.ErrNotExist.
func (a *Artifact) Signature(trusted []*signing.Trusted) (*signing.Signature, error) {
	if a.manifest == nil {
		return nil, fmt.Errorf("no %s of its own, so nothing that could be signed: %w", ManifestFile, fs.ErrNotExist)
	}
	f, err := openFolder(a.Dir)
	if err != nil {
		return nil, err
	}
	defer f.root.Close()
	bundle, _, err := f.read(SignatureFile, MaxSignatureBytes)
	if err != nil {
		return nil, err
	}
	s, err := signing.Verify(bundle, trusted)
	if err == nil {
		err = s.Covers(a.Resources())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", SignatureFile, err)
	}
	return s, nil
}

// Packed reports whether the folder has a manifest of its own.
func (a *Artifact) Packed() bool { return a.manifest != nil }

// Resources are the files that a signature of the artifact covers: its manifest
// and all that the manifest lists.
func (a *Artifact) Resources() []signing.Resource {
	files := make([]signing.Resource, 0, len(a.Manifest.Files)+1)
	files = append(files, signing.Resource{Name: ManifestFile, SHA256: strings.TrimPrefix(a.Digest, "sha256:")})
	for _, f := range a.Manifest.Files {
		files = append(files, signing.Resource{Name: f.Path, SHA256: f.SHA256})
	}
	return files
}

// Signed holds the artifact against a policy. By is nil where nobody known
// signed it; a signature that is no good, but that the policy does not need,
// draws a warning.
func (a *Artifact) Signed(policy signing.Policy) (by *signing.Signature, warning string, err error) {
	by, err = a.Signature(policy.Trusted)
	if refused := policy.Judge(by, err); refused != nil {
		return nil, "", refused
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && len(policy.Trusted) > 0 {
		warning = "its signature is ignored: " + err.Error()
	}
	return by, warning, nil
}
