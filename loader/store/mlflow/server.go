package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/segue-serving/segue/loader/store"
)

// Options say which server is asked and as whom.
type Options struct {
	// Tracking is the server's address, http(s)://HOST[:PORT][/PREFIX]. Empty
	// where there is none: every reference is then refused with that.
	Tracking string
	// Credentials are asked for with every request, so that they may change; nil
	// for none.
	Credentials func() (Credentials, error)
	// Remote returns the store of artifacts that the server does not hand out
	// itself, by scheme (s3, gs); nil for none.
	Remote func(scheme string) store.Remote
}

// Credentials are a token, or a name with a password, or neither.
type Credentials struct {
	Token, Username, Password string
}

// FromEnvironment takes the server and credentials from the variables of
// MLflow's own clients (MLFLOW_TRACKING_URI, _TOKEN, _USERNAME, _PASSWORD). A
// credential may lie in a file that the variable with _FILE at its end names; it
// is read again for every request.
func FromEnvironment(getenv func(string) string) Options {
	secret := func(name string) (string, error) {
		file := getenv(name + "_FILE")
		if file == "" {
			return getenv(name), nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("%s_FILE: %w", name, errors.Unwrap(err))
		}
		return strings.TrimSpace(string(text)), nil
	}
	return Options{
		Tracking: getenv("MLFLOW_TRACKING_URI"),
		Credentials: func() (c Credentials, err error) {
			var errs [3]error
			c.Token, errs[0] = secret("MLFLOW_TRACKING_TOKEN")
			c.Username, errs[1] = secret("MLFLOW_TRACKING_USERNAME")
			c.Password, errs[2] = secret("MLFLOW_TRACKING_PASSWORD")
			return c, errors.Join(errs[:]...)
		},
	}
}

// Server is one MLflow server. It is safe for concurrent use.
type Server struct {
	base        *url.URL // nil where none is configured
	credentials func() (Credentials, error)
	remote      func(scheme string) store.Remote
	client      *http.Client
}

var _ store.Remote = (*Server)(nil)

// errNoServer is permanent: the environment of a process does not change.
var errNoServer = store.Permanent(errors.New("no MLflow server is configured: set MLFLOW_TRACKING_URI"))

// New prepares access to a server. It does not connect.
func New(o Options) (*Server, error) {
	s := &Server{credentials: o.Credentials, remote: o.Remote}
	if s.credentials == nil {
		s.credentials = func() (Credentials, error) { return Credentials{}, nil }
	}
	if s.remote == nil {
		s.remote = func(string) store.Remote { return nil }
	}
	if o.Tracking != "" {
		base, err := url.Parse(o.Tracking)
		if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") || base.User != nil || base.RawQuery != "" {
			return nil, errors.New("MLFLOW_TRACKING_URI: want http(s)://HOST[:PORT], and credentials in variables of their own")
		}
		s.base = base
	}
	s.client = &http.Client{
		Transport: &http.Transport{
			Proxy:       http.ProxyFromEnvironment,
			DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext, TLSHandshakeTimeout: dialTimeout,
			ResponseHeaderTimeout: headerTimeout, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second,
			DisableCompression: true,
		},
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			return store.Permanent(fmt.Errorf("the server sends on to another place (%s): set MLFLOW_TRACKING_URI to where it really is", r.URL.Redacted()))
		},
	}
	return s, nil
}

const (
	dialTimeout = 10 * time.Second
	// headerTimeout is long: a server that hands out artifacts from a bucket
	// fetches each file whole before its first byte.
	headerTimeout = 10 * time.Minute
	// askTimeout is for what a server answers from its database.
	askTimeout = 30 * time.Second
	// maxAnswer bounds an answer that is not an artifact.
	maxAnswer = 8 << 20
)

// ask calls the API and decodes its answer into out.
func (s *Server) ask(ctx context.Context, method, api string, query url.Values, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	response, err := s.send(ctx, method, api, query, in, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return store.Unreachable(fmt.Errorf("read the answer: %w", err))
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("an answer of more than %d MiB", maxAnswer>>20)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("what answers at MLFLOW_TRACKING_URI is no MLflow server: %w", err)
	}
	return nil
}

// send makes a request below the server's address and returns an answer of
// success.
func (s *Server) send(ctx context.Context, method, api string, query url.Values, in any, header http.Header) (*http.Response, error) {
	if s.base == nil {
		return nil, errNoServer
	}
	at := s.base.JoinPath("api", "2.0")
	at.Path, at.RawPath = at.Path+"/"+api, ""
	at.RawQuery = query.Encode()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = strings.NewReader(string(text))
	}
	request, err := http.NewRequestWithContext(ctx, method, at.String(), body)
	if err != nil {
		return nil, store.Permanent(store.WithoutURL(err))
	}
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for key, values := range header {
		request.Header[key] = values
	}
	credentials, err := s.credentials()
	switch {
	case err != nil:
		return nil, err
	case credentials.Token != "":
		request.Header.Set("Authorization", "Bearer "+credentials.Token)
	case credentials.Username != "":
		request.SetBasicAuth(credentials.Username, credentials.Password)
	}
	response, err := s.client.Do(request)
	switch {
	case store.IsPermanent(err):
		return nil, store.Permanent(store.WithoutURL(err))
	case err != nil:
		return nil, store.Unreachable(err)
	case response.StatusCode < 200 || response.StatusCode > 299:
		defer response.Body.Close()
		return nil, refused(response)
	}
	return response, nil
}

// refused is the error of an answer that is no success.
func refused(response *http.Response) error {
	var said struct {
		Code string `json:"error_code"`
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(text, &said)
	}
	if err != nil {
		said.Code = "" // not a server's own words
	}
	if response.StatusCode == http.StatusBadRequest {
		// Also what servers say of an alias that nobody has set yet.
		return fmt.Errorf("the server answered 400 %.80s: what was asked for may not be registered", said.Code)
	}
	return store.Answered(response.StatusCode, response.Header, said.Code)
}
