package probe

import (
	"slices"
	"strings"
)

// Environment returns the part of an environment that an engine needs to find
// its libraries and devices, which is next to nothing. The rest stays with the
// parent: it may hold secrets, and the child opens what somebody else made.
func Environment(all []string) []string {
	kept := []string{}
	for _, entry := range all {
		name, _, _ := strings.Cut(entry, "=")
		if slices.Contains([]string{"LD_LIBRARY_PATH", "ONNXRUNTIME_LIB", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"}, name) {
			kept = append(kept, entry)
		}
	}
	return kept
}
