package consul

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segue-serving/segue/configs"
)

func TestBucketBoundsTheRateAndAllowsTheBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, began := newBucket(10, 5), time.Now()
		for range 5 {
			b.wait(t.Context())
		}
		if passed := time.Since(began); passed != 0 {
			t.Errorf("the burst took %v", passed)
		}
		for range 20 {
			b.wait(t.Context())
		}
		if passed := time.Since(began); passed < 1999*time.Millisecond || passed > 2001*time.Millisecond {
			t.Errorf("20 more at 10 a second took %v", passed)
		}
		time.Sleep(time.Hour)
		began = time.Now()
		for range 6 {
			b.wait(t.Context())
		}
		if passed := time.Since(began); passed < 99*time.Millisecond || passed > 101*time.Millisecond {
			t.Errorf("after an idle hour six took %v: the burst must not grow", passed)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if b.wait(ctx) {
			t.Error("a token for a context that ended")
		}
	})
}

func TestBackoffHasFullJitterUnderItsCap(t *testing.T) {
	step, limit := 250*time.Millisecond, 15*time.Second
	for n := range 80 {
		ceiling := limit
		if n < 6 {
			ceiling = step << n
		}
		var least, most time.Duration = limit, 0
		for range 300 {
			d := jittered(step, limit, n)
			least, most = min(least, d), max(most, d)
		}
		if most > ceiling || most < ceiling*8/10 || least > ceiling*2/10 {
			t.Errorf("try %d: between %v and %v, want all of 0 to %v", n, least, most, ceiling)
		}
	}
}

func TestParseSpec(t *testing.T) {
	for _, c := range []struct{ spec, host, prefix, complaint string }{
		{spec: "segue/prod", prefix: "segue/prod"},
		{spec: "segue", prefix: "segue"},
		{spec: "segue/prod/", prefix: "segue/prod"},
		{spec: "//consul.example:8500/segue/prod", host: "consul.example:8500", prefix: "segue/prod"},
		{spec: "//[::1]:8500/a", host: "[::1]:8500", prefix: "a"},
		{spec: "", complaint: "want a prefix"},
		{spec: "/", complaint: "want a prefix"},
		{spec: "//host:8500", complaint: "want [//HOST:PORT/]PREFIX"},
		{spec: "//host:8500/", complaint: "want a prefix"},
		{spec: "///segue", complaint: "want [//HOST:PORT/]PREFIX"},
		{spec: "/segue/prod", complaint: "the parts of a prefix"},
		{spec: "segue//prod", complaint: "the parts of a prefix"},
		{spec: "segue/../prod", complaint: "the parts of a prefix"},
		{spec: "segue/pr od", complaint: "the parts of a prefix"},
		{spec: `segue/"`, complaint: "the parts of a prefix"},
	} {
		host, got, err := ParseSpec(c.spec)
		switch {
		case c.complaint == "" && (err != nil || host != c.host || got != c.prefix):
			t.Errorf("%q: host %q, prefix %q, %v", c.spec, host, got, err)
		case c.complaint != "" && (err == nil || !strings.Contains(err.Error(), c.complaint)):
			t.Errorf("%q: error %v, want %q", c.spec, err, c.complaint)
		}
	}
}

func TestOpenSaysWhatNoRetryCanMend(t *testing.T) {
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", filepath.Join(t.TempDir(), "missing"))
	if _, err := Open(Options{Spec: "segue/test"}); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("with a missing token file: %v", err)
	}
	t.Setenv("CONSUL_HTTP_TOKEN_FILE", "")
	t.Setenv("CONSUL_CACERT", filepath.Join(t.TempDir(), "nowhere.pem"))
	if _, err := Open(Options{Spec: "segue/test"}); err == nil {
		t.Error("a missing CA certificate was taken")
	}
}

func TestTheEnvironmentNamesConsulUnlessTheSpecDoes(t *testing.T) {
	t.Setenv("CONSUL_HTTP_ADDR", "https://elsewhere:8501/behind")
	f, err := Open(Options{Spec: "segue/test"})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.client.resolved; got.Address != "elsewhere:8501" || got.Scheme != "https" || got.PathPrefix != "/behind" {
		t.Errorf("from the environment: %s %s %s", got.Scheme, got.Address, got.PathPrefix)
	}
	f, err = Open(Options{Spec: "//here:8500/segue/test"})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.client.resolved; got.Address != "here:8500" || got.Scheme != "http" || f.Prefix() != "segue/test" {
		t.Errorf("from the spec: %s %s, prefix %s", got.Scheme, got.Address, f.Prefix())
	}
	if state := f.State(); state != (configs.SourceState{Err: errNotAsked}) {
		t.Errorf("state before Run: %+v", state)
	}
}

func TestTokenFileIsReadAgainAndSurvivesItsRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &tokenFile{path: path}
	if _, err := f.read(); err == nil {
		t.Error("a missing file was taken")
	}
	write("\n")
	if _, err := f.read(); err == nil {
		t.Error("an empty file was taken")
	}
	want := func(token string) {
		t.Helper()
		if got, _ := f.read(); got != token {
			t.Errorf("token %q, want %q", got, token)
		}
	}
	write("one\n")
	want("one")
	write("the second\n")
	want("the second")
	write("")
	want("the second")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	want("the second")
	write("three")
	want("three")
}
