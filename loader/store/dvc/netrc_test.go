package dvc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segue-serving/segue/loader/store/dvc"
)

func TestCredentialsAreThoseOfTheHostAndMayChange(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, ".netrc")
	environment := map[string]string{"HOME": home}
	credentials := dvc.Netrc(func(name string) string { return environment[name] })
	want := func(host, username, password string) {
		t.Helper()
		if u, p, err := credentials(host); err != nil || u != username || p != password {
			t.Errorf("%s: %q, %q, %v; want %q, %q", host, u, p, err, username, password)
		}
	}
	want("git.example", "", "")
	for _, password := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte("machine other.example login x password y\nmachine git.example\n  login segue\n  password "+password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want("git.example", "segue", password)
		want("git.example.evil.test", "", "")
	}
	environment["NETRC"] = filepath.Join(home, "none")
	want("git.example", "", "")
	environment["NETRC"] = home
	if _, _, err := credentials("git.example"); err == nil || strings.Contains(err.Error(), home) {
		t.Errorf("a folder: %v", err)
	}
}
