package configs

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// uriPattern is what every artifact's address begins with. What follows differs
// from scheme to scheme.
const uriPattern = `^(file|s3|gs|azblob|oci|http|https|mlflow|dvc):.`

// uriSchemes are what an artifact's address may begin with, and how the rest is
// checked. Only what no store could mean is a problem here: whether a bucket or a
// tag is there shows when it is fetched.
var uriSchemes = map[string]func(uri, rest string) string{
	"file":   checkFileURI,
	"s3":     checkBucketURI("region", "endpoint", "use_path_style", "profile", "anonymous"),
	"gs":     checkBucketURI("anonymous"),
	"azblob": checkBucketURI("storage_account"),
	"oci":    checkOCIURI,
	"http":   checkWebURI,
	"https":  checkWebURI,
	"mlflow": form(`^models/[^/:@]+(/[1-9][0-9]*|@[^/@]+)$|^runs/[^/:?#]+/.+$`, "write mlflow:models/NAME/VERSION, mlflow:models/NAME@ALIAS or mlflow:runs/ID/PATH"),
	"dvc":    form(`^[^#]+@[A-Za-z0-9][A-Za-z0-9._/+-]*#[^#/][^#]*$`, "write dvc:REPOSITORY@REVISION#PATH"),
}

// schemeList is for messages.
const schemeList = "file:, s3:, gs:, azblob:, oci:, http:, https:, mlflow: or dvc:"

// checkURI says what is wrong with an artifact's address.
func checkURI(uri string) string {
	scheme, rest, ok := strings.Cut(uri, ":")
	check, known := uriSchemes[scheme]
	switch {
	case uri == "":
		return "empty: write file: and the artifact's path, or another store's address"
	case !ok || strings.ContainsAny(scheme, "/.\\"):
		return fmt.Sprintf("%s has no scheme: write %s", quoteShort(uri), quoteShort("file:"+uri))
	case !known:
		return fmt.Sprintf("unknown scheme %s: use %s", quoteShort(scheme+":"), schemeList)
	case strings.ContainsFunc(rest, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "control characters in the address"
	}
	return check(uri, rest)
}

func checkFileURI(_, rest string) string {
	switch {
	case rest == "" || rest == "//" || strings.HasSuffix(rest, "//") && strings.Trim(rest, "/") == "":
		return "no path after file:"
	case strings.HasPrefix(rest, "//") && !strings.HasPrefix(rest, "///"):
		return "file: names no host: write file:relative/path or file:/absolute/path"
	}
	return ""
}

// form checks against a regular expression.
func form(expression, want string) func(uri, rest string) string {
	matches := regexp.MustCompile(expression).MatchString
	return func(_, rest string) string {
		if matches(rest) {
			return ""
		}
		return "malformed: " + want
	}
}

// parseURL reads an address that is a URL and holds no secret.
func parseURL(uri, want string) (*url.URL, string) {
	u, err := url.Parse(uri)
	switch {
	case err != nil: // its text repeats the address, whose query may be a secret
		return nil, "malformed: " + want + "; a percent sign is written %25"
	case u.User != nil:
		return nil, "names a user: credentials come from the gateway's environment, not from a document"
	case u.Host == "" || u.Opaque != "":
		return nil, "malformed: " + want
	case u.Fragment != "":
		return nil, "a # in a name is written %23"
	}
	return u, ""
}

func checkWebURI(uri, _ string) string {
	_, message := parseURL(uri, "write https://HOST/PATH")
	return message
}

func checkBucketURI(parameters ...string) func(uri, rest string) string {
	return func(uri, _ string) string {
		scheme, _, _ := strings.Cut(uri, ":")
		want := "write " + scheme + "://BUCKET/PREFIX"
		u, message := parseURL(uri, want)
		if message != "" {
			return message
		}
		if slices.Contains(strings.Split(u.Path, "/"), "..") || u.Port() != "" {
			return "malformed: " + want
		}
		return checkParameters(u.RawQuery, parameters)
	}
}

// checkParameters says what is wrong with what follows an address's question
// mark. The values are the store's to judge.
func checkParameters(query string, known []string) string {
	given, err := url.ParseQuery(query)
	if err != nil {
		return "malformed parameters after the question mark"
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, name) {
			return fmt.Sprintf("there is no parameter %s, only %s%s", quoteShort(name), strings.Join(known, ", "), didYouMean(name, known))
		}
		if len(given[name]) > 1 {
			return fmt.Sprintf("parameter %s is given twice", name)
		}
	}
	return ""
}

// ociRegexp is a registry, a repository, and a tag or digest.
var ociRegexp = regexp.MustCompile(`^(//)?[A-Za-z0-9.:\[\]-]+(/[a-z0-9]+([._-]+[a-z0-9]+)*)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|@sha256:[0-9a-f]{64})$`)

func checkOCIURI(_, rest string) string {
	name, query, _ := strings.Cut(rest, "?")
	if !ociRegexp.MatchString(name) {
		return "malformed: write oci:REGISTRY/REPOSITORY:TAG or oci:REGISTRY/REPOSITORY@sha256:… (repositories are in lower case)"
	}
	return checkParameters(query, []string{"plain_http"})
}
