package web_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/loader/artifact"
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/storetest"
	"github.com/segue-serving/segue/loader/store/web"
)

func loopback(t *testing.T) egress.Hosts {
	t.Helper()
	hosts, err := egress.Parse("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return hosts
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func open(t *testing.T, remote store.Remote, uri string) store.Origin {
	t.Helper()
	origin, err := remote.Open(t.Context(), store.Ref{URI: uri})
	if err != nil {
		t.Fatal(err)
	}
	return origin
}

func readAll(origin store.Origin, name string, offset int64) ([]byte, store.Body, error) {
	body, err := origin.Read(context.Background(), name, offset)
	if err != nil {
		return nil, body, err
	}
	all, err := io.ReadAll(body)
	return all, body, errors.Join(err, body.Close())
}

func TestAnArtifactOfAnOrdinaryServerIsPulled(t *testing.T) {
	dir, digest := storetest.Artifact(t, 1)
	url := serve(t, http.FileServer(http.Dir(filepath.Dir(dir))).ServeHTTP) + "/" + filepath.Base(dir)
	remote := web.New(loopback(t), nil)
	for _, uri := range []string{url, url + "/"} {
		pulled := t.TempDir()
		storetest.Pull(t, open(t, remote, uri), pulled)
		got, err := artifact.Verify(t.Context(), pulled)
		if err != nil || got.Digest != digest {
			t.Fatalf("pulled %+v, %v", got, err)
		}
	}
	origin := open(t, remote, url)
	want, err := os.ReadFile(filepath.Join(dir, "large.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{0, 1, int64(len(want)) - 1, int64(len(want)), int64(len(want)) + 9} {
		got, body, err := readAll(origin, "large.bin", offset)
		if err != nil || body.Size != int64(len(want)) || !bytes.Equal(got, want[body.Offset:]) || offset < int64(len(want)) && body.Offset != offset {
			t.Errorf("from %d: %d bytes from %d of %d, %v", offset, len(got), body.Offset, body.Size, err)
		}
	}
	if _, _, err := readAll(origin, "model.bin", 0); !errors.Is(err, fs.ErrNotExist) || store.IsPermanent(err) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := origin.Files(t.Context(), 10); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("files: %v", err)
	}
	one := open(t, remote, url+"/model.onnx?sig=x")
	if files, err := one.Files(t.Context(), 10); err != nil || len(files) != 1 || files[0].Name != "model.onnx" {
		t.Errorf("files of one model: %+v, %v", files, err)
	}
	if got, _, err := readAll(one, "model.onnx", 0); err != nil || len(got) == 0 {
		t.Errorf("one model: %d bytes, %v", len(got), err)
	}
	if _, _, err := readAll(one, "manifest.json", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the manifest of one model: %v", err)
	}
}

// A file that is another one when it is continued comes from its beginning, and
// never as a mixture.
func TestAFileThatChangesIsBegunAnew(t *testing.T) {
	for _, ignoresIfRange := range []bool{false, true} {
		content := "the first version"
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", fmt.Sprintf("\"%x\"", content))
			if ignoresIfRange {
				r.Header.Del("If-Range")
			}
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
		})
		origin := open(t, web.New(loopback(t), nil), url)
		if got, _, err := readAll(origin, "f", 0); err != nil || string(got) != content {
			t.Fatalf("%q, %v", got, err)
		}
		if got, body, err := readAll(origin, "f", 4); err != nil || body.Offset != 4 || string(got) != content[4:] {
			t.Fatalf("unchanged: %q from %d, %v", got, body.Offset, err)
		}
		content = "another version!!"
		if got, body, err := readAll(origin, "f", 4); err != nil || body.Offset != 0 || string(got) != content {
			t.Errorf("changed: %q from %d, %v", got, body.Offset, err)
		}
	}
}

func TestAnswersThatAreNotTheFileAreErrors(t *testing.T) {
	type want struct {
		text                   string
		permanent, unreachable bool
		wait                   time.Duration
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    want
	}{
		"a login page": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>log in</html>") },
			want{text: "the answer is a web page"}},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") },
			want{text: `content encoding "gzip"`}},
		"no rights":        {status(403, ""), want{text: "403"}},
		"no credentials":   {status(401, ""), want{text: "401: credentials are missing, wrong or expired"}},
		"gone":             {status(410, ""), want{text: "410", permanent: true}},
		"too many":         {status(429, "3"), want{text: "429: too many requests", wait: 3 * time.Second}},
		"overloaded":       {status(503, ""), want{text: "503", unreachable: true}},
		"a proxy's answer": {status(502, "soon"), want{text: "502", unreachable: true}},
		"less than promised": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
		}, want{text: "unexpected EOF", unreachable: true}},
		"a torn range": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes five-9/10")
			w.WriteHeader(http.StatusPartialContent)
		}, want{text: "Content-Range is malformed"}},
		"a circle": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) },
			want{text: "sent on more than 5 times", unreachable: true}},
		"to a file": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		}, want{text: `scheme "file"`, unreachable: true}},
	} {
		t.Run(name, func(t *testing.T) {
			uri := serve(t, c.handler) + "/m?X-Amz-Signature=secret"
			_, _, err := readAll(open(t, web.New(loopback(t), nil), uri), "model.onnx", 0)
			if err == nil || !strings.Contains(err.Error(), c.want.text) || !strings.Contains(err.Error(), "/m: model.onnx: ") {
				t.Fatalf("got %v, want …/m: model.onnx: …%s…", err, c.want.text)
			}
			if store.IsPermanent(err) != c.want.permanent || errors.Is(err, store.ErrUnreachable) != c.want.unreachable || store.WaitOf(err) != c.want.wait {
				t.Errorf("%v: permanent %t, unreachable %t, wait %v", err, store.IsPermanent(err), errors.Is(err, store.ErrUnreachable), store.WaitOf(err))
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v shows the signature", err)
			}
		})
	}
}

func status(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(code)
	}
}

// Each address is refused before anything is sent, wherever it is named.
func TestNoRequestLeavesForWhereItMayNotGo(t *testing.T) {
	asked := 0
	inside := serve(t, func(http.ResponseWriter, *http.Request) { asked++ })
	elsewhere := strings.Replace(inside, "127.0.0.1", "127.0.0.2", 1)
	sentOn := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, http.StatusFound) })
	for _, uri := range []string{elsewhere, sentOn, "http://169.254.169.254/latest/meta-data", "http://[::1]:1/", "http://10.255.255.1/"} {
		_, _, err := readAll(open(t, web.New(loopback(t), nil), uri), "f", 0)
		if err == nil || !strings.Contains(err.Error(), "is not a public address, and --artifact-hosts does not allow it") || !store.IsPermanent(err) {
			t.Errorf("%s: got %v", uri, err)
		}
	}
	if asked > 0 {
		t.Errorf("%d requests arrived", asked)
	}
}

func TestCredentialsGoToTheirHostOnly(t *testing.T) {
	var seen []string
	note := func(name string, next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, name+" "+r.Header.Get("Authorization")+r.Header.Get("Referer"))
			next(w, r)
		}
	}
	other := serve(t, note("other", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }))
	first := serve(t, note("first", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/here/f" {
			http.Redirect(w, r, "/there", http.StatusFound)
			return
		}
		http.Redirect(w, r, strings.Replace(other, "http://", "http://user:secret@", 1)+"/f", http.StatusFound)
	}))
	known := func() (web.Credentials, error) {
		return web.ParseCredentials(strings.TrimPrefix(first, "http://") + " bearer t0ken\n" + strings.TrimPrefix(other, "http://") + " basic ada pass\n")
	}
	if got, _, err := readAll(open(t, web.New(loopback(t), known), first+"/here?signature=secret"), "f", 0); err != nil || string(got) != "x" {
		t.Fatalf("%q, %v", got, err)
	}
	if got := strings.Join(seen, ", "); got != "first Bearer t0ken, first Bearer t0ken, other " {
		t.Errorf("sent %q", got)
	}
	if _, err := web.New(egress.Hosts{}, known).Open(t.Context(), store.Ref{URI: first}); err == nil || !store.IsPermanent(err) || !strings.Contains(err.Error(), "use https") {
		t.Errorf("over http to a host without leave: %v", err)
	}
}

func TestCredentialsAreReadAnewAndNeverShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	getenv := func(name string) string { return map[string]string{web.CredentialsFileEnv: file}[name] }
	load := web.Environment(getenv)
	if _, err := load(); err == nil || !strings.Contains(err.Error(), web.CredentialsFileEnv) {
		t.Errorf("a missing file: %v", err)
	}
	for text, want := range map[string]string{
		"# none\n\n":                    "",
		"Models.example.org bearer abc": "Bearer abc",
		"models.example.org:443 BASIC Aladdin opensesame\nmodels.example.org basic Aladdin open": "Basic QWxhZGRpbjpvcGVu",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		known, err := load()
		if err != nil || known["models.example.org"] != want {
			t.Errorf("%q: %v, %v", text, known, err)
		}
	}
	_, err := web.ParseCredentials("a bearer s3cret extra\nb basic s3cret\nc token s3cret\nd bearer s3cret\nd bearer s3cret\n")
	if err == nil || strings.Count(err.Error(), "line ") != 4 || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want four lines and no secret", err)
	}
}

func TestReferencesThatMeanNothingAreRefusedForGood(t *testing.T) {
	for uri, want := range map[string]string{
		"https:":                         "want https://HOST/PATH",
		"https:///x":                     "want https://HOST/PATH",
		"https://ada:secret@host/x":      "names a user",
		"https://host/x#part":            "a # is written %23",
		"https://host/%zz?secret=secret": "invalid URL escape",
	} {
		_, err := web.New(egress.Hosts{}, nil).Open(t.Context(), store.Ref{URI: uri})
		if err == nil || !strings.Contains(err.Error(), want) || !store.IsPermanent(err) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want …%s…", uri, err, want)
		}
	}
}

func FuzzParseCredentials(f *testing.F) {
	f.Add("host bearer token\nhost:80 basic user password")
	f.Fuzz(func(t *testing.T, text string) {
		known, err := web.ParseCredentials(text)
		for host, value := range known {
			if err == nil && (host == "" || strings.ContainsAny(value, "\r\n")) {
				t.Errorf("%q gives %q", text, known)
			}
		}
	})
}
