package ort

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// LibraryEnv names the environment variable that holds the path of
// libonnxruntime.
const LibraryEnv = "ONNXRUNTIME_LIB"

const remedy = "run make build, or set " + LibraryEnv + " to the path of a libonnxruntime.so of version 1.29 or later"

// Library finds libonnxruntime: the explicit path if there is one, else the
// environment's ONNXRUNTIME_LIB, else a libonnxruntime.so* beside the
// executable or in ../lib of it, else the newest one in the cache folder
// ($SEGUE_CACHE, $XDG_CACHE_HOME/segue or ~/.cache/segue) under onnxruntime.
// The first two must exist when given. The error says what to do.
func Library(explicit string) (string, error) {
	executable, err := os.Executable()
	if err == nil {
		executable, err = filepath.EvalSymlinks(executable)
	}
	if err != nil {
		executable = "" // then there is nothing beside it
	}
	return library(explicit, executable, os.Getenv)
}

func library(explicit, executable string, getenv func(string) string) (string, error) {
	for _, given := range []struct{ path, by string }{{explicit, "the settings"}, {getenv(LibraryEnv), LibraryEnv}} {
		if given.path == "" {
			continue
		}
		if info, err := os.Stat(given.path); err != nil || info.IsDir() {
			return "", fmt.Errorf("library %s, named by %s, is not a readable file; %s", given.path, given.by, remedy)
		}
		return given.path, nil
	}
	var patterns []string
	if executable != "" {
		folder := filepath.Dir(executable)
		patterns = append(patterns, filepath.Join(folder, "libonnxruntime.so*"),
			filepath.Join(folder, "..", "lib", "libonnxruntime.so*"))
	}
	if cache := cacheFolder(getenv); cache != "" {
		patterns = append(patterns, filepath.Join(cache, "onnxruntime", "*", "libonnxruntime.so*"))
	}
	for _, pattern := range patterns {
		// The pattern is well formed, which is all that Glob complains of.
		found, _ := filepath.Glob(pattern)
		if len(found) > 0 {
			return slices.MaxFunc(found, compareVersions), nil
		}
	}
	return "", fmt.Errorf("libonnxruntime is not beside the program, in its ../lib or in the cache folder; %s", remedy)
}

func cacheFolder(getenv func(string) string) string {
	if dir := getenv("SEGUE_CACHE"); dir != "" {
		return dir
	}
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "segue")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "segue")
	}
	return ""
}

// compareVersions orders paths by the numbers in them, so that 1.31 comes
// after 1.9.
func compareVersions(a, b string) int {
	return slices.CompareFunc(numbers(a), numbers(b), func(x, y int) int { return x - y })
}

func numbers(path string) []int {
	fields := strings.FieldsFunc(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path),
		func(r rune) bool { return r < '0' || r > '9' })
	var all []int
	for _, f := range fields {
		// Digits alone; one too long for an int is no version.
		n, _ := strconv.Atoi(f)
		all = append(all, n)
	}
	return all
}
