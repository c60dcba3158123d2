package ort

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLibraryIsLookedForInOrder(t *testing.T) {
	root := t.TempDir()
	touch := func(parts ...string) string {
		path := filepath.Join(append([]string{root}, parts...)...)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	executable := touch("bin", "segue")
	env := map[string]string{"HOME": filepath.Join(root, "home")}
	f := func(explicit, want string) {
		t.Helper()
		got, err := library(explicit, executable, func(name string) string { return env[name] })
		if err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	refused := func(explicit string, says ...string) {
		t.Helper()
		got, err := library(explicit, executable, func(name string) string { return env[name] })
		for _, say := range append(says, LibraryEnv, "make build") {
			if err == nil || !strings.Contains(err.Error(), say) {
				t.Errorf("got %s, %v, want an error that says %q", got, err, say)
			}
		}
	}
	refused("", "cache folder")
	touch("home", ".cache", "segue", "onnxruntime", "1.9.2", "libonnxruntime.so.1.9.2")
	f("", touch("home", ".cache", "segue", "onnxruntime", "1.31.1", "libonnxruntime.so.1.31.1"))
	env["XDG_CACHE_HOME"] = filepath.Join(root, "xdg")
	f("", touch("xdg", "segue", "onnxruntime", "1.30.0", "libonnxruntime.so"))
	env["SEGUE_CACHE"] = filepath.Join(root, "cache")
	f("", touch("cache", "onnxruntime", "1.29.0", "libonnxruntime.so"))
	lib := touch("lib", "libonnxruntime.so.1")
	f("", lib)
	f("", touch("bin", "libonnxruntime.so.1.31.1"))
	env[LibraryEnv] = touch("env", "mine.so")
	f("", env[LibraryEnv])
	explicit := touch("explicit.so")
	f(explicit, explicit)
	refused(filepath.Join(root, "none.so"), "named by the settings")
	env[LibraryEnv] = root
	refused("", "named by "+LibraryEnv)
}
