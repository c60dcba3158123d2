package bucket_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/bucket"
	"github.com/segue-serving/segue/loader/store/egress"
)

// readFirst opens a reference and reads a file of it.
func readFirst(ctx context.Context, remote store.Remote, uri, name string) ([]byte, error) {
	origin, err := remote.Open(ctx, store.Ref{URI: uri})
	if err != nil {
		return nil, err
	}
	defer origin.Close()
	body, err := origin.Read(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

func TestReferencesThatMeanNothingAreRefusedForGood(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "")
	for _, c := range []struct {
		remote    store.Remote
		uri, want string
	}{
		{bucket.S3(egress.Hosts{}), "s3:", "want s3://BUCKET/PREFIX"},
		{bucket.S3(egress.Hosts{}), "s3:///prefix", "want s3://BUCKET/PREFIX"},
		{bucket.S3(egress.Hosts{}), "s3://user:secret@bucket/x", "want s3://BUCKET/PREFIX"},
		{bucket.S3(egress.Hosts{}), "s3://b/x#1", "a # is written %23"},
		{bucket.S3(egress.Hosts{}), "s3://b/%zz", "invalid URL escape"},
		{bucket.S3(egress.Hosts{}), "s3://b/a/../c", "not a clean path"},
		{bucket.S3(egress.Hosts{}), "s3://b/x?secret=1", `parameter "secret" is unknown`},
		{bucket.S3(egress.Hosts{}), "s3://b/x?region=a&region=b", "given twice"},
		{bucket.S3(egress.Hosts{}), "s3://b/x?use_path_style=perhaps", `use_path_style: want true or false, found "perhaps"`},
		{bucket.S3(egress.Hosts{}), "s3://b/x?endpoint=localhost:9000", "endpoint: want http://HOST"},
		{bucket.S3(egress.Hosts{}), "s3://b/x?endpoint=http://127.0.0.1:9", "127.0.0.1 is not a public address, and --artifact-hosts does not allow it"},
		{bucket.GCS(), "gs://b/x?endpoint=http://evil", `parameter "endpoint" is unknown`},
		{bucket.Azure(), "azblob://b/x", "no account"},
	} {
		_, err := readFirst(t.Context(), c.remote, c.uri, "model.onnx")
		if err == nil || !strings.Contains(err.Error(), c.want) || !store.IsPermanent(err) {
			t.Errorf("%s: got %v, want …%s…, for good", c.uri, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%v shows a password", err)
		}
	}
}

func TestAnswersSayWhatWaitingCanMend(t *testing.T) {
	status, header, body := 0, http.Header{}, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	t.Setenv("STORAGE_EMULATOR_HOST", addr)
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_KEY", "a2V5")
	t.Setenv("AZURE_STORAGE_DOMAIN", addr)
	t.Setenv("AZURE_STORAGE_PROTOCOL", "http")
	s3, gs, azure := bucket.S3(loopback(t)), bucket.GCS(), bucket.Azure()
	s3URI := "s3://models/mozart/1?use_path_style=true&endpoint=" + server.URL
	xml := func(code string) string { return "<Error><Code>" + code + "</Code><Message>secret</Message></Error>" }
	for _, c := range []struct {
		remote      store.Remote
		uri         string
		status      int
		header      http.Header
		body        string
		want        string
		permanent   bool
		unreachable bool
		missing     bool
		wait        time.Duration
	}{
		{remote: s3, uri: s3URI, status: 403, body: xml("InvalidAccessKeyId"), want: "403 InvalidAccessKeyId: the credentials"},
		{remote: s3, uri: s3URI, status: 400, body: xml("ExpiredToken"), want: "401 ExpiredToken: credentials are missing, wrong or expired"},
		{remote: s3, uri: s3URI, status: 404, body: xml("NoSuchBucket"), want: "404 NoSuchBucket: there is no such", missing: true},
		{remote: s3, uri: s3URI, status: 301, body: xml("PermanentRedirect"), want: "another region", permanent: true},
		{remote: s3, uri: s3URI, status: 400, body: xml("AuthorizationHeaderMalformed"), want: "400 AuthorizationHeaderMalformed", permanent: true},
		{remote: s3, uri: s3URI, status: 503, body: xml("SlowDown"), header: http.Header{"Retry-After": {"7"}}, want: "503 SlowDown", unreachable: true, wait: 7 * time.Second},
		{remote: gs, uri: "gs://models/mozart/1", status: 403, want: "403", body: "no"},
		{remote: gs, uri: "gs://models/mozart/1", status: 404, want: "404", missing: true},
		{remote: gs, uri: "gs://models/mozart/1", status: 401, want: "401"},
		{remote: gs, uri: "gs://models/mozart/1", status: 503, want: "503", unreachable: true},
		{remote: azure, uri: "azblob://models/mozart/1", status: 403, header: http.Header{"X-Ms-Error-Code": {"AuthenticationFailed"}}, want: "403 AuthenticationFailed"},
		{remote: azure, uri: "azblob://models/mozart/1", status: 404, header: http.Header{"X-Ms-Error-Code": {"ContainerNotFound"}}, want: "404 ContainerNotFound", missing: true},
	} {
		status, header, body = c.status, c.header, c.body
		_, err := readFirst(t.Context(), c.remote, c.uri, "model.onnx")
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: got %v, want …%s…", c.status, err, c.want)
			continue
		}
		if store.IsPermanent(err) != c.permanent || errors.Is(err, store.ErrUnreachable) != c.unreachable ||
			errors.Is(err, fs.ErrNotExist) != c.missing || store.WaitOf(err) != c.wait {
			t.Errorf("%v: permanent %t, unreachable %t, missing %t, wait %v", err, store.IsPermanent(err),
				errors.Is(err, store.ErrUnreachable), errors.Is(err, fs.ErrNotExist), store.WaitOf(err))
		}
	}
	server.Close()
	for uri, remote := range map[string]store.Remote{s3URI: s3, "gs://models/mozart/1": gs, "azblob://models/mozart/1": azure} {
		if _, err := readFirst(t.Context(), remote, uri, "model.onnx"); !errors.Is(err, store.ErrUnreachable) || store.IsPermanent(err) {
			t.Errorf("%s, a server that is not there: %v", uri, err)
		}
	}
}

// The server is asked for nothing: without credentials there is nothing to sign
// the request with.
func TestMissingCredentialsAreNamed(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_CONFIG_FILE", none)
	_, err := bucket.S3(egress.Hosts{}).Open(t.Context(), store.Ref{URI: "s3://b/x"})
	if err == nil || !strings.Contains(err.Error(), "s3://b/x: no credentials: set AWS_ACCESS_KEY_ID") || store.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", none)
	_, err = bucket.GCS().Open(t.Context(), store.Ref{URI: "gs://b/x"})
	if err == nil || !strings.Contains(err.Error(), "no credentials: set GOOGLE_APPLICATION_CREDENTIALS") || store.IsPermanent(err) {
		t.Errorf("got %v", err)
	}
}

// writeFile writes a file of credentials.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
