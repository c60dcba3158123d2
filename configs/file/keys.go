package file

import (
	"fmt"
	"net/url"
	"strings"
)

// Prefixes of the keys in the state folder whose changes are published.
const (
	overridesPrefix = "overrides/"
	resolvedPrefix  = "resolved/"
	statusPrefix    = "status/"
)

// stateExt ends the name of every file of the state folder that is a key.
const stateExt = ".json"

// isDocument reports whether a key lies in the folder of documents.
func isDocument(key string) bool { return key == settingsKey || strings.HasPrefix(key, modelsPrefix) }

// isCounted reports whether a key's index is the folder's counter.
func isCounted(key string) bool {
	return isDocument(key) || strings.HasPrefix(key, overridesPrefix) || strings.HasPrefix(key, resolvedPrefix)
}

// checkKey refuses keys that are no files: without a name, too long, or made
// to leave the folder.
func checkKey(key string) error {
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || len(escape(part))+len(stateExt) > 255 {
			return fmt.Errorf("%q is not a key", key)
		}
	}
	return nil
}

// statePath is the path of a key's file, relative to the state folder, with
// slashes.
func statePath(key string) string {
	parts := strings.Split(key, "/")
	for i, part := range parts {
		parts[i] = escape(part)
	}
	return strings.Join(parts, "/") + stateExt
}

// stateKey is the key of such a path; false for another file.
func stateKey(path string) (string, bool) {
	path, ok := strings.CutSuffix(path, stateExt)
	if !ok {
		return "", false
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil || plain == "" || escape(plain) != part {
			return "", false
		}
		parts[i] = plain
	}
	return strings.Join(parts, "/"), true
}

// escape writes what file systems or people stumble over as %XX. A leading
// dot is escaped, so hidden files are never keys.
func escape(part string) string {
	var b strings.Builder
	for i := range len(part) {
		c := part[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
