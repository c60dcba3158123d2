package main

import (
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestASocketIsTakenOverOnlyFromTheDead(t *testing.T) {
	nobody := func(net.Listener) error { return nil }
	stale := func(path string) error {
		ln, err := net.Listen("unix", path)
		if err != nil {
			return err
		}
		ln.(*net.UnixListener).SetUnlinkOnClose(false)
		return ln.Close()
	}
	long := strings.Repeat("s", 108)
	for _, c := range []struct {
		name   string
		before func(path string) error
		says   string // "" where the socket is opened
	}{
		{"nothing", func(string) error { return nil }, ""},
		{long, func(string) error { return nil }, "and one of a socket at most 107"},
		{"stale", stale, ""},
		{"living", func(path string) error {
			ln, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { ln.Close() })
			}
			return err
		}, "another process answers on it"},
		{"file", func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) }, "something else than a socket is there"},
		{"folder", func(path string) error { return os.Mkdir(path, 0o700) }, "something else than a socket is there"},
		{"link to a stale one", func(path string) error {
			if err := stale(path + ".old"); err != nil {
				return err
			}
			return os.Symlink(path+".old", path)
		}, "something else than a socket is there"},
		{"no folder", func(path string) error { return os.RemoveAll(filepath.Dir(path)) }, "no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A socket's path is short, and the name of a test may not be.
			dir, err := os.MkdirTemp("", "s")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			path := filepath.Join(dir, "s")
			if c.name == long {
				path = filepath.Join(dir, long)
			}
			if err := c.before(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path) // nil where nothing is there
			l := &listeners{log: slog.New(slog.DiscardHandler)}
			err = l.unix(path, nobody)
			defer l.close()
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeSocket|0o660 {
					t.Errorf("mode %v, %v", info.Mode(), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if after, _ := os.Lstat(path); before != nil && (after == nil || !os.SameFile(before, after)) {
				t.Error("what was there is gone")
			}
		})
	}
}
