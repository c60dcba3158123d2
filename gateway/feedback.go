package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// feedbackAhead is how far a prediction may lie in the future: clocks differ, but
// not by more.
const feedbackAhead = 5 * time.Minute

// refusedFeedback is one piece that was not taken.
type refusedFeedback struct {
	Index  int    `json:"index"`
	Reason string `json:"reason"`
}

// takenFeedback is the answer to feedback.
type takenFeedback struct {
	Accepted int               `json:"accepted"`
	Rejected []refusedFeedback `json:"rejected"`
}

// feedbackError says why a piece of feedback was not taken.
type feedbackError struct {
	outcome feedbackOutcome
	status  int
	reason  string
}

func (e *feedbackError) Error() string { return e.reason }

var (
	errForeignFeedback   = &feedbackError{feedbackForeign, http.StatusNotFound, "unknown: prediction_id names no prediction of this model"}
	errDuplicateFeedback = &feedbackError{feedbackDuplicate, http.StatusConflict, "duplicate: there was such feedback about this prediction before"}
)

func malformed(err error) *feedbackError {
	return &feedbackError{feedbackMalformed, http.StatusBadRequest, err.Error()}
}

// answerFeedback takes what callers say about predictions. Each piece of a list
// counts by itself; one alone is answered with its own status.
func (c *call) answerFeedback() {
	m := c.findModel()
	if m == nil || !c.wire.readable() || !c.wire.receive() {
		return
	}
	counts := c.server.metrics.feedbackOf(m.name)
	items, problems, list, err := parseFeedback(c.wire.content())
	if err != nil {
		counts.outcome(feedbackNone, feedbackMalformed)
		c.fail(http.StatusBadRequest, err.Error())
		return
	}
	taken := takenFeedback{Rejected: []refusedFeedback{}}
	for i := range items {
		outcome, err := feedbackAccepted, error(nil)
		if problems[i] != nil {
			err = malformed(problems[i])
		} else {
			outcome, err = c.takeFeedback(m, &items[i], counts)
		}
		var refusal *feedbackError
		if errors.As(err, &refusal) {
			counts.outcome(items[i].kind, refusal.outcome)
			if !list {
				c.fail(refusal.status, refusal.reason)
				return
			}
			taken.Rejected = append(taken.Rejected, refusedFeedback{i, refusal.reason})
			continue
		}
		counts.outcome(items[i].kind, outcome)
		taken.Accepted++
	}
	if taken.Accepted > 0 {
		c.server.heard()
	}
	c.document(http.StatusAccepted, taken)
}

// takeFeedback attributes one piece and counts it. Anything but the memory of
// what came twice is in the prediction's id.
func (c *call) takeFeedback(m *modelRoute, f *feedback, counts *feedbackCounts) (feedbackOutcome, error) {
	id, err := c.ids().parse(f.id)
	if err != nil || id.names.model != hashName(m.name) {
		return 0, errForeignFeedback
	}
	at := slices.IndexFunc(m.order, func(version string) bool { return hashName(version) == id.names.version })
	if at < 0 || id.at.After(c.started.Add(feedbackAhead)) {
		return 0, errForeignFeedback
	}
	if c.started.Sub(id.at) > m.expires {
		return 0, &feedbackError{feedbackExpired, http.StatusGone, "expired: the prediction is more than " + m.expires.String() + " old"}
	}
	v := m.versions[m.order[at]]
	bad := false
	if f.kind == feedbackLabel {
		truth, err := v.class.label(f)
		if err != nil {
			return 0, malformed(err)
		}
		if id.note.class == 0 {
			return 0, malformed(errors.New("malformed: the prediction was no single class that a label could be compared with; say reward or metrics"))
		}
		bad = truth != id.note.class
	}
	if !c.server.seen.first(feedbackKey{id.at.UnixMilli(), id.number, f.kind}) {
		return 0, errDuplicateFeedback
	}
	value := f.reward
	if f.kind == feedbackLabel {
		value = oneIf(!bad)
	}
	if f.kind != feedbackMetrics {
		counts.add(v.version, f.kind, "", value)
	}
	for name, value := range f.metrics {
		counts.add(v.version, f.kind, name, value)
	}
	if !m.rollout.recordFeedback(&id, f, bad, value) && id.note.step != 0 {
		return feedbackLate, nil
	}
	return feedbackAccepted, nil
}

// label is the class that a label means.
func (c *classOutput) label(f *feedback) (class, error) {
	switch {
	case f.text == nil && c.count > 0 && (f.number < 0 || f.number >= c.count):
		return 0, fmt.Errorf("malformed: label %d is none of the %d classes", f.number, c.count)
	case f.text == nil:
		return classOfNumber(f.number), nil
	case len(c.labels) > 0:
		at := slices.Index(c.labels, *f.text)
		if at < 0 {
			return 0, fmt.Errorf("malformed: label %s is none of the model's", quoted([]byte(*f.text)))
		}
		if c.texts {
			return classOfText([]byte(*f.text)), nil
		}
		return classOfNumber(int64(at)), nil
	case c.texts:
		return classOfText([]byte(*f.text)), nil
	}
	return 0, errors.New("malformed: the model's classes have no names: give label as a number")
}
