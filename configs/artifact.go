package configs

import (
	"path/filepath"
	"strings"
)

// path is what follows file:, with /// (an empty host) made /.
func (v Version) path() string {
	p := strings.TrimPrefix(v.URI, "file:")
	if strings.HasPrefix(p, "///") {
		p = p[2:]
	}
	return p
}

// FilePath is the artifact's path in the file system, for a version of an
// accepted document. A relative one counts from base, Entry.Base; characters
// are taken as written, without escapes.
func (v Version) FilePath(base string) string {
	p := filepath.FromSlash(v.path())
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(base, p)
}
