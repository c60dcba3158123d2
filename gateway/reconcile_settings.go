package gateway

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"time"

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
	keyProblem  string
}

// feedbackKeyEvery is how often the file of the feedback key is read again.
const feedbackKeyEvery = time.Minute

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
	settings, warnings, compiled, err := parseSettings(e)
	problems := problemLines(err)
	switch {
	case err == nil:
		s.inForce, s.entry, s.access = settings, e, compiled
		for _, w := range warnings {
			r.log.Warn("settings", "where", e.Where, "warning", w.String())
		}
		r.log.Info("settings in force", "index", e.Index, "freeze", settings.Freeze, "keys", len(settings.Keys))
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
	if r.seen && !r.snapshot.FromLastGood {
		r.audit.document(configs.AuditSettings, before, e, problems)
	}
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

// rereadKey follows the file of the feedback key and returns when to look
// again. A key that cannot be read changes nothing.
func (s *settingsState) rereadKey(now time.Time, log *slog.Logger) (next time.Time) {
	if s.inForce == nil || s.inForce.FeedbackKeyFile == "" {
		s.ids, s.feedbackKey, s.keyProblem = nil, nil, ""
		return time.Time{}
	}
	next = now.Add(feedbackKeyEvery)
	key, err := readFeedbackKey(s.inForce.FeedbackKeyFile)
	switch {
	case err != nil && err.Error() != s.keyProblem:
		s.keyProblem = err.Error()
		log.Error("settings.feedback_key_file: prediction ids are made as before", "error", err)
	case err == nil && !bytes.Equal(key, s.feedbackKey):
		s.ids, s.feedbackKey, s.keyProblem = newIDMaker(key), key, ""
	case err == nil:
		s.keyProblem = ""
	}
	return next
}
