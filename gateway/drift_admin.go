package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/monitor"
)

// driftAnswer is a model's drift as the admin listener shows it: how this
// gateway watches each version, and the newest report on the fleet.
type driftAnswer struct {
	Model    string                          `json:"model"`
	Versions map[string]monitor.VersionState `json:"versions"`
	// Report is null before the first.
	Report *configs.DriftReport `json:"report"`
}

// serveDriftModels answers which models are watched.
func (g *Gateway) serveDriftModels(w http.ResponseWriter, _ *http.Request) {
	models := g.monitor.Models()
	if models == nil {
		models = []string{}
	}
	writeDocument(w, struct {
		Models []string `json:"models"`
	}{models})
}

// serveDrift answers the drift of one model.
func (g *Gateway) serveDrift(w http.ResponseWriter, r *http.Request) {
	model := r.PathValue("model")
	versions, report, ok := g.monitor.State(model)
	if !ok {
		writeError(w, http.StatusNotFound, fmt.Sprintf("model %q is not watched for drift", model))
		return
	}
	writeDocument(w, driftAnswer{model, versions, report})
}

// writeDocument answers with an indented document.
func writeDocument(w http.ResponseWriter, document any) {
	body, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		writeError(w, http.StatusInternalServerError, "internal error")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(body, '\n'))
}
