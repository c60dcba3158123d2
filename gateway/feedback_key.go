package gateway

import (
	"bytes"
	"time"

	"github.com/segue-serving/segue/configs"
)

// feedbackKeyEvery is how often the file of the feedback key is read again: the
// whole of it, because it is small and what replaces it may be just as old.
const feedbackKeyEvery = 5 * time.Second

// feedbackKeyOf reads the key that settings name, nil where they name none. A
// file that cannot be read is a problem of the settings: without the MAC that
// they ask for anybody could make prediction ids up.
func feedbackKeyOf(settings *configs.Settings, where string) ([]byte, error) {
	if settings.FeedbackKeyFile == "" {
		return nil, nil
	}
	key, err := readFeedbackKey(settings.FeedbackKeyFile)
	if err != nil {
		return nil, &configs.Problems{Where: where, List: []configs.Problem{{Path: "feedback_key_file", Message: err.Error()}}}
	}
	return key, nil
}

// useKey makes prediction ids with a key, or without where there is none. The
// same key leaves the maker, which goes on counting.
func (s *settingsState) useKey(key []byte) {
	s.keyProblem = ""
	switch {
	case len(key) == 0:
		s.ids, s.feedbackKey = nil, nil
	case !bytes.Equal(key, s.feedbackKey):
		s.ids, s.feedbackKey = newIDMaker(key), key
	}
}

// rereadKey follows the file of the feedback key and returns when to look
// again. Settings that were refused for want of it come into force when it is
// there; once they are, a key that cannot be read changes nothing.
func (r *reconciler) rereadKey(now time.Time) (next time.Time) {
	s := &r.settings
	if s.awaitsKey != nil {
		if _, err := feedbackKeyOf(s.awaitsKey, ""); err == nil {
			r.trySettings()
		}
	}
	if s.inForce != nil && s.inForce.FeedbackKeyFile != "" {
		next = now.Add(feedbackKeyEvery)
		key, err := feedbackKeyOf(s.inForce, "")
		switch {
		case err == nil:
			s.useKey(key)
		case err.Error() != s.keyProblem:
			s.keyProblem = err.Error()
			r.log.Error("settings: prediction ids are made with the key as it was", "problem", err)
		}
	}
	if s.awaitsKey != nil {
		next = now.Add(feedbackKeyEvery)
	}
	return next
}
