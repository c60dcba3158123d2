package web

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

// Credentials are what hosts are shown: the value of the Authorization header,
// by host as it stands in a reference, with its port where that is not the
// scheme's own.
type Credentials map[string]string

// The variables that hold credentials: their text, or the file where it lies.
const (
	CredentialsEnv     = "SEGUE_ARTIFACT_CREDENTIALS"
	CredentialsFileEnv = "SEGUE_ARTIFACT_CREDENTIALS_FILE"
)

// ParseCredentials reads one host a line:
//
//	models.example.org bearer TOKEN
//	10.0.0.7:8080      basic  USER PASSWORD
//
// Empty lines and those that begin with # are skipped. Errors name lines and
// never what stands in them.
func ParseCredentials(text string) (Credentials, error) {
	known := Credentials{}
	var problems []error
	scanner := bufio.NewScanner(strings.NewReader(text))
	for line := 1; scanner.Scan(); line++ {
		words := strings.Fields(scanner.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		switch host := strings.ToLower(words[0]); {
		case known[host] != "":
			problems = append(problems, fmt.Errorf("line %d: the host is named twice", line))
		case len(words) == 3 && strings.EqualFold(words[1], "bearer"):
			known[host] = "Bearer " + words[2]
		case len(words) == 4 && strings.EqualFold(words[1], "basic"):
			known[host] = "Basic " + base64.StdEncoding.EncodeToString([]byte(words[2]+":"+words[3]))
		default:
			problems = append(problems, fmt.Errorf("line %d: want HOST bearer TOKEN, or HOST basic USER PASSWORD", line))
		}
	}
	if scanner.Err() != nil {
		problems = append(problems, errors.New("a line is too long"))
	}
	return known, errors.Join(problems...)
}

// Environment returns the credentials of CredentialsEnv or, where that is empty,
// of the file that CredentialsFileEnv names. The file is read at every call, so
// that a new token needs no restart.
func Environment(getenv func(string) string) func() (Credentials, error) {
	return func() (Credentials, error) {
		text, from := getenv(CredentialsEnv), CredentialsEnv
		if file := getenv(CredentialsFileEnv); text == "" && file != "" {
			body, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", CredentialsFileEnv, err)
			}
			text, from = string(body), CredentialsFileEnv
		}
		known, err := ParseCredentials(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		return known, nil
	}
}

// authorization is the header for an address, empty for none.
func (c Credentials) authorization(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if own := map[string]string{"http": "80", "https": "443"}[u.Scheme]; u.Port() == own {
		host, _, _ = net.SplitHostPort(host)
	}
	return c[host]
}
