package main

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// TestTheToolIsOneFileWithoutC builds the tool as it is shipped: it must run on
// any laptop, whatever C library is there.
func TestTheToolIsOneFileWithoutC(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "seguectl")
	build := exec.Command("go", "build", "-ldflags", "-X main.version=v1.2.3-test", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range info.Settings {
		if setting.Key == "CGO_ENABLED" && setting.Value != "0" {
			t.Error("built with cgo")
		}
	}
	for _, module := range info.Deps {
		if strings.Contains(module.Path, "onnxruntime") {
			t.Errorf("%s is linked", module.Path)
		}
	}
	out, err := exec.Command(binary, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "seguectl v1.2.3-test\n") {
		t.Errorf("version prints %q, %v", out, err)
	}
}

func TestNoPackageOfTheToolNeedsC(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-deps", "-f", "{{if .CgoFiles}}{{.ImportPath}}{{end}}", ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(out)) {
		// The standard library's own have a form without cgo.
		if strings.Contains(name, ".") {
			t.Errorf("%s uses cgo", name)
		}
	}
}

func TestTheVersionIsTheLinkersThenTheModules(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Main: debug.Module{Version: "v0.9.0"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2025-03-01T12:00:00Z"}, {Key: "vcs.modified", Value: "true"}}}
	with := func() (*debug.BuildInfo, bool) { return info, true }
	without := func() (*debug.BuildInfo, bool) { return nil, false }
	if got := buildVersion("v1.0.0", with); got.Version != "v1.0.0" || got.Revision != "abc" || !got.Modified {
		t.Errorf("%+v", got)
	}
	if got := buildVersion("", with); got.Version != "v0.9.0" {
		t.Errorf("%+v", got)
	}
	if got := buildVersion("", without); got.Version != "unknown" || got.Revision != "" {
		t.Errorf("%+v", got)
	}
}
