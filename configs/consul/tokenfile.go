package consul

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenFile is the file that CONSUL_HTTP_TOKEN_FILE names. Whoever rotates
// tokens writes it anew while the process runs.
type tokenFile struct {
	path string

	mu       sync.Mutex
	modified time.Time
	size     int64
	token    string
}

// read returns the token, from memory unless the file changed. While the file
// cannot be read, between the two halves of a rotation say, the token before
// stays in use; the error is for the first time only.
func (f *tokenFile) read() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return f.token, err
	}
	if f.token != "" && info.ModTime().Equal(f.modified) && info.Size() == f.size {
		return f.token, nil
	}
	raw, err := os.ReadFile(f.path)
	if err != nil {
		return f.token, err
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return f.token, errors.New(f.path + " is empty")
	}
	f.token, f.modified, f.size = token, info.ModTime(), info.Size()
	return token, nil
}

// tokenTransport gives every request the file's newest token.
type tokenTransport struct {
	next  http.RoundTripper
	token *tokenFile
}

// RoundTrip implements http.RoundTripper.
func (t *tokenTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	// An error leaves the token before, which is what rotation needs; if that
	// is no longer valid Consul says so.
	token, _ := t.token.read()
	request = request.Clone(request.Context())
	request.Header.Set("X-Consul-Token", token)
	return t.next.RoundTrip(request)
}
