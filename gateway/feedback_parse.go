package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	// maxFeedbacks bounds how many pieces of feedback one request may bring,
	// maxFeedbackMetrics how many numbers one of them.
	maxFeedbacks       = 10_000
	maxFeedbackMetrics = 16
	maxFeedbackName    = 64
)

// feedbackKind is what a piece of feedback says.
type feedbackKind uint8

const (
	feedbackNone feedbackKind = iota // malformed
	feedbackLabel
	feedbackReward
	feedbackMetrics
	feedbackKindCount
)

var feedbackKindNames = [feedbackKindCount]string{"none", "label", "reward", "metrics"}

// feedback is one piece of it.
type feedback struct {
	id   string
	kind feedbackKind
	// text and number are the label: a text, or a whole number.
	text    *string
	number  int64
	reward  float64
	metrics map[string]float64
}

// parseFeedback reads a request's body: one object, or a list of them, of which
// each is good or bad by itself. The error is about the body as a whole.
func parseFeedback(body []byte) (items []feedback, problems []error, list bool, err error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil, false, errors.New("malformed: the body is empty, want an object or a list of them")
	}
	raw := []json.RawMessage{body}
	if list = body[0] == '['; list {
		if err := json.Unmarshal(body, &raw); err != nil {
			return nil, nil, true, malformedFeedback(err)
		}
		if len(raw) > maxFeedbacks {
			return nil, nil, true, fmt.Errorf("malformed: %d pieces of feedback, over the limit of %d", len(raw), maxFeedbacks)
		}
	}
	items, problems = make([]feedback, len(raw)), make([]error, len(raw))
	for i, text := range raw {
		items[i], problems[i] = parseOneFeedback(text)
	}
	return items, problems, list, nil
}

func malformedFeedback(err error) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("malformed JSON at byte %d", syntax.Offset)
	case errors.As(err, &wrong) && wrong.Field != "":
		return fmt.Errorf("malformed: %s must not be a %s", wrong.Field, wrong.Value)
	case errors.As(err, &wrong):
		return fmt.Errorf("malformed: found a %s, want an object", wrong.Value)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("malformed JSON: the text ends")
	}
	return fmt.Errorf("malformed: %w", errors.New(err.Error()[len("json: "):]))
}

func parseOneFeedback(text []byte) (feedback, error) {
	var raw struct {
		ID      string             `json:"prediction_id"`
		Label   json.RawMessage    `json:"label"`
		Reward  *float64           `json:"reward"`
		Metrics map[string]float64 `json:"metrics"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil {
		return feedback{}, malformedFeedback(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return feedback{}, errors.New("malformed: there is more behind the object")
	}
	f := feedback{id: raw.ID, metrics: raw.Metrics}
	if raw.ID == "" {
		return f, errors.New("malformed: prediction_id is missing")
	}
	said := 0
	if raw.Label != nil {
		said, f.kind = said+1, feedbackLabel
	}
	if raw.Reward != nil {
		said, f.kind, f.reward = said+1, feedbackReward, *raw.Reward
	}
	if raw.Metrics != nil {
		said, f.kind = said+1, feedbackMetrics
	}
	if said != 1 {
		f.kind = feedbackNone
		return f, errors.New("malformed: want exactly one of label, reward and metrics")
	}
	var err error
	switch f.kind {
	case feedbackLabel:
		err = f.readLabel(raw.Label)
	case feedbackMetrics:
		err = checkFeedbackMetrics(raw.Metrics)
	}
	return f, err
}

// readLabel takes a text, a whole number or a truth value.
func (f *feedback) readLabel(raw []byte) error {
	var text string
	var truth bool
	var number float64
	switch {
	case json.Unmarshal(raw, &f.number) == nil && raw[0] != 'n':
	case json.Unmarshal(raw, &number) == nil && raw[0] != 'n' && number == math.Trunc(number) && math.Abs(number) < 1<<53:
		f.number = int64(number)
	case json.Unmarshal(raw, &text) == nil && raw[0] == '"':
		f.text = &text
	case json.Unmarshal(raw, &truth) == nil && raw[0] != 'n':
		if truth {
			f.number = 1
		}
	default:
		return errors.New("malformed: label must be a text or a whole number")
	}
	return nil
}

func checkFeedbackMetrics(metrics map[string]float64) error {
	if len(metrics) == 0 || len(metrics) > maxFeedbackMetrics {
		return fmt.Errorf("malformed: metrics has %d numbers, want 1 to %d", len(metrics), maxFeedbackMetrics)
	}
	for name := range metrics {
		if !saneMetricName(name) {
			return fmt.Errorf("malformed: the metric name %s must be 1 to %d of a-z, A-Z, 0-9, _, . and -", quoted([]byte(name)), maxFeedbackName)
		}
	}
	return nil
}

func saneMetricName(name string) bool {
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return name != "" && len(name) <= maxFeedbackName
}
