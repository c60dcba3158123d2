package probe

import (
	"slices"
	"strings"
)

// Environment returns the part of an environment that an engine may need. The
// rest stays with the parent: it may hold secrets, and the child opens what
// somebody else made.
func Environment(all []string) []string {
	kept := []string{}
	for _, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains([]string{"PATH", "HOME", "TMPDIR", "LANG", "TZ"}, name) ||
			slices.ContainsFunc([]string{"ONNXRUNTIME_", "LD_", "LC_", "XDG_", "CUDA_", "NVIDIA_", "OMP_", "MALLOC_", "GO"},
				func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			kept = append(kept, entry)
		}
	}
	return kept
}
