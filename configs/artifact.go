package configs

import (
	"path/filepath"
	"strings"
)

// local reports whether the artifact lies in this machine's file system.
func (v Version) local() bool { return strings.HasPrefix(v.URI, "file:") }

// path is what follows file:, with /// (an empty host) made /.
func (v Version) path() string {
	p := strings.TrimPrefix(v.URI, "file:")
	if strings.HasPrefix(p, "///") {
		p = p[2:]
	}
	return p
}

// filePath is the artifact's path in the file system, for a version of an
// accepted document whose URI is of scheme file:. A relative one counts from base, Entry.Base; characters
// are taken as written, without escapes.
func (v Version) filePath(base string) string {
	p := filepath.FromSlash(v.path())
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(base, p)
}
