package gateway

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/segue-serving/segue/gateway/oip"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/runtime"
)

// notReady is the body of a readiness answer that is not 200: the protocol's
// member and the error document's in one.
type notReady struct {
	Name  string `json:"name,omitempty"`
	Ready bool   `json:"ready"`
	Error string `json:"error"`
}

// quoted prints a name that a client sent.
func quoted(name []byte) string {
	const longest = 64
	if len(name) > longest {
		return strconv.Quote(string(name[:longest]) + "…")
	}
	return strconv.Quote(string(name))
}

// findModel returns the model that the path names. It is nil, and the answer
// given, where there is none.
func (c *call) findModel() *modelRoute {
	m := c.table.models[string(c.route.model)]
	if m == nil {
		c.fail(http.StatusNotFound, "unknown model "+quoted(c.route.model))
		return nil
	}
	c.named = m
	c.wire.setField("Segue-Config-Index", m.index)
	return m
}

// findVersion returns the version that the path names, or the one that stands
// for the model. It is nil where there is none, and the answer given.
func (c *call) findVersion(m *modelRoute) *versionRoute {
	if c.route.version == nil {
		if m.latest == nil {
			c.notReady(m, nil)
		}
		return m.latest
	}
	v := m.versions[string(c.route.version)]
	if v == nil {
		c.unknownVersion(m)
	}
	return v
}

// answeredBy says in the answer's headers which version it is from.
func (c *call) answeredBy(v *versionRoute) {
	c.wire.setField("Segue-Model-Version", v.version)
	c.wire.setField("Segue-Variant", v.variant)
}

func (c *call) unknownVersion(m *modelRoute) {
	c.fail(http.StatusNotFound, fmt.Sprintf("model %q has no version %s", m.name, quoted(c.route.version)))
}

// notReady answers 503 for a model or one version of it, which is brought back
// where it was only idle. The reason stays inside: it can name files and hosts.
func (c *call) notReady(m *modelRoute, v *versionRoute) {
	if v != nil && v.ask != nil {
		v.ask()
	}
	c.unavailable(http.StatusServiceUnavailable, notReadyText(m, v))
}

func notReadyText(m *modelRoute, v *versionRoute) string {
	switch {
	case v == nil:
		return fmt.Sprintf("model %q is not ready", m.name)
	case v.refused:
		return fmt.Sprintf("version %q of model %q was taken back by its rollout and does not answer", v.version, m.name)
	case v.ask != nil:
		return fmt.Sprintf("version %q of model %q was unloaded because nobody used it, and is being loaded again", v.version, m.name)
	case v.state == loader.StateFailed:
		return fmt.Sprintf("version %q of model %q could not be loaded", v.version, m.name)
	}
	return fmt.Sprintf("version %q of model %q is not ready", v.version, m.name)
}

func (c *call) answerReady() {
	if ready, _ := c.server.ready(); !ready {
		c.document(http.StatusServiceUnavailable, notReady{Error: "the gateway is not ready"})
		return
	}
	c.document(http.StatusOK, oip.ServerReady{Ready: true})
}

func (c *call) answerModelReady() {
	m := c.findModel()
	if m == nil {
		return
	}
	var v *versionRoute
	ready := m.split != nil
	if c.route.version != nil {
		if v = m.versions[string(c.route.version)]; v == nil {
			c.unknownVersion(m)
			return
		}
		ready = v.resident != nil
	}
	if !ready {
		c.document(http.StatusServiceUnavailable, notReady{Name: m.name, Error: notReadyText(m, v)})
		return
	}
	c.document(http.StatusOK, oip.ModelReady{Name: m.name, Ready: true})
}

// describe answers what is known of a model once one of its versions is
// loaded.
func (c *call) describe(document func(m *modelRoute, v *versionRoute, ready []string, sig *runtime.Signature) any) {
	m := c.findModel()
	if m == nil {
		return
	}
	v := c.findVersion(m)
	if v == nil {
		return
	}
	if v.resident == nil || !v.resident.Acquire() {
		c.notReady(m, v)
		return
	}
	defer v.resident.Release()
	c.answeredBy(v)
	c.document(http.StatusOK, document(m, v, m.readyVersions(), v.runner.Signature()))
}

// readyVersions are the versions that can be asked for.
func (m *modelRoute) readyVersions() []string {
	return slices.DeleteFunc(slices.Clone(m.order), func(name string) bool { return m.versions[name].resident == nil })
}

func (c *call) answerModel() {
	c.describe(func(m *modelRoute, _ *versionRoute, ready []string, sig *runtime.Signature) any {
		return oip.NewModelMetadata(m.name, ready, c.server.opts.Platform, sig)
	})
}

func (c *call) answerModelConfig() {
	c.describe(func(m *modelRoute, v *versionRoute, ready []string, sig *runtime.Signature) any {
		return oip.NewModelConfig(m.name, c.server.opts.Platform, c.server.opts.Backend, ready, v.maxBatch, sig)
	})
}

func (c *call) answerModelStats() {
	m := c.findModel()
	if m == nil {
		return
	}
	names := m.order
	if c.route.version != nil {
		if m.versions[string(c.route.version)] == nil {
			c.unknownVersion(m)
			return
		}
		names = []string{string(c.route.version)}
	}
	c.document(http.StatusOK, oip.NewStatistics(m.statistics(nil, names)...))
}

func (c *call) answerAllStats() {
	var all []oip.ModelStatistics
	for _, m := range c.visible() {
		all = m.statistics(all, m.order)
	}
	c.document(http.StatusOK, oip.NewStatistics(all...))
}

// statistics appends those of the named versions.
func (m *modelRoute) statistics(all []oip.ModelStatistics, versions []string) []oip.ModelStatistics {
	for _, name := range versions {
		all = append(all, m.versions[name].metrics.statistics())
	}
	return all
}

// visible are the models that the caller may know of, by name.
func (c *call) visible() []*modelRoute {
	var models []*modelRoute
	for _, name := range slices.Sorted(maps.Keys(c.table.models)) {
		if c.key.sees(name) {
			models = append(models, c.table.models[name])
		}
	}
	return models
}

func (c *call) answerIndex() {
	var asked oip.RepositoryIndexRequest
	if !c.wire.readDocument(&asked) {
		return
	}
	index := []oip.RepositoryIndexEntry{}
	for _, m := range c.visible() {
		for _, name := range m.order {
			v := m.versions[name]
			entry := oip.RepositoryIndexEntry{Name: m.name, Version: name, State: oip.IndexReady}
			if v.resident == nil {
				entry.State, entry.Reason = indexState(v.state), strings.ToLower(v.state.String())
			}
			if v.resident != nil || !asked.Ready {
				index = append(index, entry)
			}
		}
	}
	c.document(http.StatusOK, index)
}

func indexState(s loader.State) string {
	switch s {
	case loader.StateFailed, loader.StateGone:
		return oip.IndexUnavailable
	case loader.StateDraining:
		return oip.IndexUnloading
	}
	return oip.IndexLoading
}

func (c *call) answerV1List() {
	list := oip.ModelList{Models: []string{}}
	for _, m := range c.visible() {
		list.Models = append(list.Models, m.name)
	}
	c.document(http.StatusOK, list)
}

func (c *call) answerV1Status() {
	m := c.findModel()
	if m == nil {
		return
	}
	names, ready := m.order, m.split != nil
	if c.route.version != nil {
		v := m.versions[string(c.route.version)]
		if v == nil {
			c.unknownVersion(m)
			return
		}
		names, ready = []string{v.version}, v.resident != nil
	}
	versions := make([]oip.VersionStatus, 0, len(names))
	for _, name := range names {
		versions = append(versions, v1Version(m.versions[name]))
	}
	c.document(http.StatusOK, oip.NewModelStatus(m.name, ready, versions...))
}

func v1Version(v *versionRoute) oip.VersionStatus {
	status := oip.VersionStatus{Version: v.version, State: oip.V1Loading, Status: oip.VersionOutcome{ErrorCode: "OK"}}
	switch {
	case v.resident != nil:
		status.State = oip.V1Available
	case v.state == loader.StateFailed:
		status.State = oip.V1End
		status.Status = oip.VersionOutcome{ErrorCode: "UNKNOWN", ErrorMessage: "the version could not be loaded"}
	case v.state == loader.StateDraining:
		status.State = oip.V1Unloading
	case v.state == loader.StateGone:
		status.State = oip.V1End
	}
	return status
}
