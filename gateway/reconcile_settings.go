package gateway

import (
	"bytes"
	"errors"
	"slices"

	"github.com/segue-serving/segue/configs"
)

// settingsState are the settings of the whole gateway. What is missing or bad
// changes nothing: the last good settings and their keys stay.
type settingsState struct {
	// inForce are nil while there were none; entry is what they were read
	// from.
	inForce *configs.Settings
	entry   configs.Entry
	// newest is the entry that was looked at last, problems what was wrong
	// with it.
	newest   configs.Entry
	problems []string
	// access are the keys in force.
	access *access
	// ids makes prediction ids with feedbackKey; nil where there is none.
	ids         *idMaker
	feedbackKey []byte
	// keyProblem is why the key in force cannot be read again; awaitsKey are
	// settings that were refused only because theirs cannot be read.
	keyProblem string
	awaitsKey  *configs.Settings
}

// readSettings takes the gateway's settings if they are new and good. Where
// there are no good ones yet and the bad ones may hold keys, nothing is open:
// a slip in the keys must not open what they close.
func (r *reconciler) readSettings(e configs.Entry) {
	s := &r.settings
	before := s.newest
	if sameEntry(before, e) {
		return
	}
	s.newest = e
	r.trySettings()
	if r.seen && !r.snapshot.FromLastGood {
		r.audit.document(configs.AuditSettings, before, e, s.problems)
	}
}

// trySettings puts the newest settings into force if they are good.
func (r *reconciler) trySettings() {
	s := &r.settings
	e := s.newest
	settings, warnings, compiled, err := parseSettings(e)
	var key []byte
	s.awaitsKey = nil
	if err == nil {
		if key, err = feedbackKeyOf(settings, e.Where); err != nil {
			s.awaitsKey = settings
		}
	}
	problems := problemLines(err)
	if compiled != nil {
		compiled.keepLimiters(s.access)
	}
	switch {
	case err == nil:
		s.inForce, s.entry, s.access = settings, e, compiled
		s.useKey(key)
		for _, w := range warnings {
			r.log.Warn("settings", "where", e.Where, "warning", w.String())
		}
		r.log.Info("settings in force", "index", e.Index, "freeze", settings.Freeze, "keys", len(settings.Keys))
	case s.inForce == nil && s.awaitsKey != nil:
		s.access = compiled
		r.log.Error("settings refused, and there are none from before: only their keys count", "where", e.Where, "problems", problems)
	case s.inForce == nil && (e.Problem != "" || bytes.Contains(e.Value, []byte("keys"))):
		s.access = &access{}
		r.log.Error("settings refused, and there are none from before: without knowing the keys the data API stays closed", "where", e.Where, "problems", problems)
	default:
		r.log.Error("settings refused; the last good ones stay in force", "where", e.Where, "problems", problems)
	}
	if err != nil && !slices.Equal(problems, s.problems) {
		r.metrics.configRejected("", rejectedReason(err))
	}
	s.problems = problems
}

func parseSettings(e configs.Entry) (*configs.Settings, []configs.Warning, *access, error) {
	if e.Problem != "" {
		return nil, nil, nil, errors.New(e.Problem)
	}
	settings, warnings, err := configs.ParseSettings(e)
	if err != nil {
		return nil, nil, nil, err
	}
	compiled, err := newAccess(settings)
	return settings, warnings, compiled, err
}
