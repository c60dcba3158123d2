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
