package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAChildReadsLibrariesWhereverTheyLie(t *testing.T) {
	root := t.TempDir()
	for _, folder := range []string{"real", "link", "nix store/abc", "cuda", "data"} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	at := func(path string) string { return filepath.Join(root, path) }
	if err := os.WriteFile(at("real/libonnxruntime.so.1"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(at("real/libonnxruntime.so.1"), at("link/libonnxruntime.so")); err != nil {
		t.Fatal(err)
	}
	maps := "00400000-00452000 r-xp 00000000 08:02 173521 " + at("data/segue") + "\n" +
		"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n" +
		"7f0000000000-7f0000001000 r-xp 00000000 08:02 7 " + at("nix store/abc/libstdc++.so.6") + "\n" +
		"7f0000002000-7f0000003000 r-xp 00000000 08:02 8 " + at("nix store/abc/libm.so") + "\n" +
		"7f0000004000-7f0000005000 r-xp 00000000 08:02 9 " + at("gone/libgone.so") + " (deleted)\n" +
		"7fff00000000-7fff00021000 rw-p 00000000 00:00 0 [stack]\n"
	got := libraryFolders(at("link/libonnxruntime.so"), maps, at("cuda")+":"+at("missing")+"::"+at("cuda"))
	if want := []string{at("link"), at("real"), at("nix store/abc"), at("cuda")}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
