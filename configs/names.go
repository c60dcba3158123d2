package configs

import (
	"fmt"
	"regexp"
	"strings"
)

// namePattern is what models, versions and variants are called.
const namePattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`

// headerPattern is narrower than HTTP's: the same name must do as a key of
// gRPC metadata.
const headerPattern = `^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`

const (
	digestPattern = `^sha256:[0-9a-f]{64}$`
	hexPattern    = `^[0-9a-f]{64}$`
	devicePattern = `^(cpu|cuda|cuda:(0|[1-9][0-9]?))$`
)

var (
	nameRegexp   = regexp.MustCompile(namePattern)
	headerRegexp = regexp.MustCompile(headerPattern)
	digestRegexp = regexp.MustCompile(digestPattern)
	hexRegexp    = regexp.MustCompile(hexPattern)
	deviceRegexp = regexp.MustCompile(devicePattern)
)

// CheckName says what is wrong with the name of a model, version or variant,
// nil where it is a good one: 1 to 128 letters of ASCII, digits, points,
// underscores and hyphens, the first a letter or digit.
func CheckName(name string) error {
	if nameRegexp.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%s is not a good name: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit", quoteShort(name))
}

// checkDigest says what is wrong with an artifact's digest.
func checkDigest(digest string) string {
	if digestRegexp.MatchString(digest) {
		return ""
	}
	return fmt.Sprintf(`%s is not a digest: write "sha256:" and 64 hexadecimal digits in lower case`, quoteShort(digest))
}

// checkURI says what is wrong with an artifact's address.
func checkURI(uri string) string {
	scheme, rest, ok := strings.Cut(uri, ":")
	switch scheme {
	case "file":
	case "s3", "gs", "azblob", "oci", "http", "https", "mlflow", "dvc":
		if ok {
			return scheme + ": is not offered by this version of segue: use file:"
		}
	}
	switch {
	case uri == "":
		return "empty: write file: and the artifact's path"
	case !ok || strings.ContainsAny(scheme, "/.\\"):
		return fmt.Sprintf("%s has no scheme: write %s", quoteShort(uri), quoteShort("file:"+uri))
	case scheme != "file":
		return fmt.Sprintf("unknown scheme %s: use file:", quoteShort(scheme+":"))
	case rest == "" || rest == "//" || strings.HasSuffix(rest, "//") && strings.Trim(rest, "/") == "":
		return "no path after file:"
	case strings.HasPrefix(rest, "//") && !strings.HasPrefix(rest, "///"):
		return "file: names no host: write file:relative/path or file:/absolute/path"
	case strings.ContainsFunc(rest, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "control characters in the path"
	}
	return ""
}

// checkHeader says what is wrong with the name of the sticky header.
func checkHeader(name string) string {
	lower := strings.ToLower(name)
	switch {
	case !headerRegexp.MatchString(name):
		return fmt.Sprintf("%s is not the name of a header that gRPC takes too: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit", quoteShort(name))
	case strings.HasPrefix(lower, "grpc-"):
		return "names that start with grpc- belong to gRPC itself"
	case strings.HasSuffix(lower, "-bin"):
		return "gRPC takes names that end in -bin for binary values"
	}
	return ""
}
