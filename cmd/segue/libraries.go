package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// libraryFolders are the folders from which a process that runs ONNX Runtime
// loads libraries: that of the library itself, of what is loaded in this process
// by now, wherever an installation has it, and of LD_LIBRARY_PATH for what is
// loaded later.
func libraryFolders(library, maps, searchPath string) []string {
	folders := []string{filepath.Dir(library)}
	add := func(folder string) {
		if info, err := os.Stat(folder); err == nil && info.IsDir() && !slices.Contains(folders, folder) {
			folders = append(folders, folder)
		}
	}
	if real, err := filepath.EvalSymlinks(library); err == nil {
		add(filepath.Dir(real))
	}
	for line := range strings.Lines(maps) {
		// Addresses, rights, offset, device, inode, and the path, which may
		// hold blanks.
		if at := strings.IndexByte(line, '/'); at >= 0 {
			path := strings.TrimSpace(line[at:])
			if name := filepath.Base(path); strings.HasSuffix(name, ".so") || strings.Contains(name, ".so.") {
				add(filepath.Dir(path))
			}
		}
	}
	for _, folder := range filepath.SplitList(searchPath) {
		add(folder)
	}
	return folders
}
