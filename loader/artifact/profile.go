package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// maxProfileBytes bounds the drift profile that is read.
const maxProfileBytes = 16 << 20

// Profile reads the drift reference profile, as it was verified. It returns
// nothing where the artifact lists none.
func (a *Artifact) Profile() ([]byte, error) {
	i := slices.IndexFunc(a.Manifest.Files, func(f File) bool { return f.Path == ProfileFile })
	if i < 0 {
		return nil, nil
	}
	f, err := openFolder(a.Dir)
	if err != nil {
		return nil, err
	}
	defer f.root.Close()
	body, _, err := f.read(ProfileFile, maxProfileBytes)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != a.Manifest.Files[i].SHA256 {
		return nil, fmt.Errorf("%s: changed since the version was loaded", ProfileFile)
	}
	return body, nil
}
