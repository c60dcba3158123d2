package gateway

import (
	"strings"

	"google.golang.org/grpc/metadata"
)

// grpcHead is an answer's metadata, in memory that its call keeps: the library
// copies what it is given.
type grpcHead struct {
	md     metadata.MD
	values [8]string
	used   int
}

// set puts one value under a name.
func (h *grpcHead) set(name, value string) {
	name = metadataName(name)
	if values := h.md[name]; len(values) == 1 {
		values[0] = value
		return
	}
	if h.md == nil {
		h.md = make(metadata.MD, len(h.values))
	}
	if h.used == len(h.values) {
		h.md[name] = []string{value}
		return
	}
	h.values[h.used] = value
	h.md[name] = h.values[h.used : h.used+1 : h.used+1]
	h.used++
}

// reset forgets all values.
func (h *grpcHead) reset() {
	clear(h.md)
	clear(h.values[:])
	h.used = 0
}

// metadataName is a header field's name in metadata, lower-case. Those of every
// call are known, because making one takes an allocation.
func metadataName(field string) string {
	switch field {
	case "X-Request-Id":
		return "x-request-id"
	case "X-Request-Timeout-Ms":
		return "x-request-timeout-ms"
	case "Authorization":
		return "authorization"
	case "Segue-Config-Index":
		return "segue-config-index"
	case "Segue-Model-Version":
		return "segue-model-version"
	case "Segue-Variant":
		return "segue-variant"
	case "Segue-Prediction-Id":
		return "segue-prediction-id"
	}
	return strings.ToLower(field)
}
