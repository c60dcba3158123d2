package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

const feedbackPath = "/v2/models/mozart/feedback"

// classified is a gateway with a model of three classes with names, which
// predicts class 2 for the rows of rowsOf.
func classified(t *testing.T) *testGateway {
	g := newTestGateway(t)
	m := g.model("mozart", version{name: "1", weight: 1, model: doubler()}, version{name: "2", model: doubler()})
	for _, v := range m.versions {
		v.class = newClassOutput(v.runner.Signature(), "", map[string][]string{"y": {"bach", "mozart", "verdi"}})
	}
	g.put(m, g.model("haydn", version{name: "1", weight: 1, model: doubler()}))
	return g
}

func (g *testGateway) predictionID(path string, rows int) string {
	g.t.Helper()
	id := g.send("POST", path, rowsOf(rows)).header.Get("Segue-Prediction-Id")
	if id == "" {
		g.t.Fatal("no prediction id")
	}
	return id
}

func TestFeedbackIsAttributedToTheVersionThatAnswered(t *testing.T) {
	g := classified(t)
	said := func(id, what string) {
		g.send("POST", feedbackPath, `{"prediction_id":"`+id+`",`+what+`}`).want(t, 202, `{"accepted":1,"rejected":[]}`)
	}
	said(g.predictionID(infer, 1), `"label":2`)
	said(g.predictionID(infer, 1), `"label":"verdi"`)
	said(g.predictionID(infer, 1), `"label":"bach"`)
	said(g.predictionID(infer, 1), `"label":2.0`)
	second := g.predictionID("/v2/models/mozart/versions/2/infer", 2)
	said(second, `"reward":-1.5`)
	said(second, `"metrics":{"clicks":3,"revenue":0.25}`)
	wantLines(t, g.series("segue_feedbacks_total", "segue_feedback_value_sum", "segue_feedback_value_count"),
		`segue_feedback_value_sum{kind="label",metric="",model="mozart",version="1"} 3`,
		`segue_feedback_value_count{kind="label",metric="",model="mozart",version="1"} 4`,
		`segue_feedback_value_sum{kind="metrics",metric="clicks",model="mozart",version="2"} 3`,
		`segue_feedback_value_count{kind="metrics",metric="clicks",model="mozart",version="2"} 1`,
		`segue_feedback_value_sum{kind="metrics",metric="revenue",model="mozart",version="2"} 0.25`,
		`segue_feedback_value_count{kind="metrics",metric="revenue",model="mozart",version="2"} 1`,
		`segue_feedback_value_sum{kind="reward",metric="",model="mozart",version="2"} -1.5`,
		`segue_feedback_value_count{kind="reward",metric="",model="mozart",version="2"} 1`,
		`segue_feedbacks_total{kind="label",model="mozart",outcome="accepted"} 4`,
		`segue_feedbacks_total{kind="metrics",model="mozart",outcome="accepted"} 1`,
		`segue_feedbacks_total{kind="reward",model="mozart",outcome="accepted"} 1`)
	g.metrics.forget("mozart", "1")
	if got := g.series("segue_feedback_value_count"); len(got) != 3 {
		t.Errorf("after the version was forgotten: %v", got)
	}
	g.metrics.forgetModel("mozart")
	if got := g.series("segue_feedbacks_total"); len(got) != 0 {
		t.Errorf("after the model was forgotten: %v", got)
	}
}

func TestFeedbackThatIsNotTakenSaysWhy(t *testing.T) {
	g := classified(t)
	now := time.Now()
	id := func(model, version string, class class, at time.Time) string {
		return string(g.ids.append(nil, hashNames(model, version, "v1"), idNote{class: class}, at))
	}
	good := g.predictionID(infer, 1)
	flipped := []byte(good)
	if flipped[20]++; good[20] == 'z' || good[20] == 'Z' || good[20] == '9' || good[20] == '-' || good[20] == '_' {
		flipped[20] = 'A'
	}
	g.send("POST", feedbackPath, `{"prediction_id":"`+good+`","label":1}`)
	day := 24 * time.Hour
	for _, c := range []struct {
		name, id, what string
		status         int
		says           string
	}{
		{"again", good, `"label":2`, 409, "duplicate: there was such feedback about this prediction before"},
		{"tampered", string(flipped), `"label":1`, 404, "unknown: prediction_id names no prediction of this model"},
		{"no id", "hello", `"label":1`, 404, "unknown: prediction_id names no prediction of this model"},
		{"other model", id("haydn", "1", 1, now), `"label":1`, 404, "unknown: prediction_id names no prediction of this model"},
		{"unknown version", id("mozart", "9", 1, now), `"label":1`, 404, "unknown: prediction_id names no prediction of this model"},
		{"from the future", id("mozart", "1", 1, now.Add(time.Hour)), `"label":1`, 404, "unknown: prediction_id names no prediction of this model"},
		{"a clock ahead", id("mozart", "1", 1, now.Add(time.Minute)), `"label":1`, 202, ""},
		{"old", id("mozart", "1", 1, now.Add(-7*day-time.Minute)), `"label":1`, 410, "expired: the prediction is more than 168h0m0s old"},
		{"nearly old", id("mozart", "1", 1, now.Add(-7*day+time.Minute)), `"label":1`, 202, ""},
		{"class too large", id("mozart", "1", 1, now), `"label":3`, 400, "malformed: label 3 is none of the 3 classes"},
		{"negative class", id("mozart", "1", 1, now), `"label":-1`, 400, "malformed: label -1 is none of the 3 classes"},
		{"unknown name", id("mozart", "1", 1, now), `"label":"haydn"`, 400, `malformed: label "haydn" is none of the model's`},
		{"no class", id("mozart", "1", 0, now), `"label":1`, 400, "malformed: the prediction was no single class that a label could be compared with; say reward or metrics"},
		{"several rows", g.predictionID(infer, 2), `"label":1`, 400, "malformed: the prediction was no single class that a label could be compared with; say reward or metrics"},
		{"nothing", id("mozart", "1", 1, now), `"label":null`, 400, "malformed: label must be a text or a whole number"},
		{"a fraction", id("mozart", "1", 1, now), `"label":1.5`, 400, "malformed: label must be a text or a whole number"},
		{"two", id("mozart", "1", 1, now), `"label":1,"reward":2`, 400, "malformed: want exactly one of label, reward and metrics"},
		{"none", id("mozart", "1", 1, now), `"reward":null`, 400, "malformed: want exactly one of label, reward and metrics"},
		{"too much reward", id("mozart", "1", 1, now), `"reward":1e999`, 400, "malformed: reward must not be a number 1e999"},
		{"reward in words", id("mozart", "1", 1, now), `"reward":"a lot"`, 400, "malformed: reward must not be a string"},
		{"no metrics", id("mozart", "1", 1, now), `"metrics":{}`, 400, "malformed: metrics has 0 numbers, want 1 to 16"},
		{"strange metric", id("mozart", "1", 1, now), `"metrics":{"a b":1}`, 400, `malformed: the metric name "a b" must be 1 to 64 of a-z, A-Z, 0-9, _, . and -`},
		{"misspelt", id("mozart", "1", 1, now), `"labels":1`, 400, `malformed: unknown field "labels"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := `{"prediction_id":"` + c.id + `",` + c.what + `}`
			if c.status == 202 {
				g.send("POST", feedbackPath, body).want(t, 202, `{"accepted":1,"rejected":[]}`)
				return
			}
			message, _ := json.Marshal(map[string]string{"error": c.says})
			g.send("POST", feedbackPath, body).want(t, c.status, string(message))
			// In a list each counts by itself.
			reason, _ := json.Marshal(c.says)
			another := string(g.ids.append(nil, hashNames("mozart", "2", "v2"), idNote{}, now))
			g.send("POST", feedbackPath, `[`+body+`,{"prediction_id":"`+another+`","reward":1}]`).want(t, 202,
				`{"accepted":1,"rejected":[{"index":0,"reason":`+string(reason)+`}]}`)
		})
	}
	for body, says := range map[string]string{
		"": "malformed: the body is empty, want an object or a list of them", "{": "malformed JSON: the text ends", "[1": "malformed JSON at byte 2",
		"7": "malformed: found a number, want an object", `{"prediction_id":1}`: "malformed: prediction_id must not be a number",
		`{} {}`: "malformed: there is more behind the object", "[" + strings.Repeat("1,", maxFeedbacks) + "1]": "malformed: 10001 pieces of feedback, over the limit of 10000",
	} {
		message, _ := json.Marshal(map[string]string{"error": says})
		g.send("POST", feedbackPath, body).want(t, 400, string(message))
	}
	g.send("POST", "/v2/models/nobody/feedback", "{}").want(t, 404, `{"error":"unknown model \"nobody\""}`)
}

func TestLabelsOfTheDocumentAreTheOnlyOnes(t *testing.T) {
	text := func(s string) *feedback { return &feedback{kind: feedbackLabel, text: &s} }
	positions := classOutput{labels: []string{"x", "y", "z"}, count: 3}
	positions.name([]string{"bach", "verdi"})
	texts := classOutput{texts: true}
	texts.name([]string{"bach", "verdi"})
	for _, c := range []struct {
		name string
		of   classOutput
		said *feedback
		want class // 0: refused
	}{
		{"a position by its name", positions, text("verdi"), classOfNumber(1)},
		{"a position by its number", positions, &feedback{number: 1}, classOfNumber(1)},
		{"a number of none", positions, &feedback{number: 2}, 0},
		{"a name of the manifest", positions, text("x"), 0},
		{"a text that the model says", texts, text("verdi"), classOfText([]byte("verdi"))},
		{"another text", texts, text("mozart"), 0},
	} {
		if got, err := c.of.label(c.said); got != c.want || (err != nil) != (c.want == 0) {
			t.Errorf("%s: %d, %v, want %d", c.name, got, err, c.want)
		}
	}
	none := classOutput{output: -1}
	none.name([]string{"bach"})
	if none.labels != nil {
		t.Error("a model without classes has names for them")
	}
	positions.name(nil)
	if len(positions.labels) != 2 {
		t.Error("no names are taken for names")
	}
}

func TestWhatComesTwiceIsForgottenOnlyWhenMuchCameSince(t *testing.T) {
	s := newFeedbackSeen(10)
	key := func(n int) feedbackKey { return feedbackKey{1, uint64(n), feedbackLabel} }
	for n := range 20 {
		if !s.first(key(n)) || s.first(key(n)) {
			t.Fatalf("key %d", n)
		}
	}
	if !s.first(feedbackKey{1, 3, feedbackReward}) || !s.first(feedbackKey{2, 15, feedbackLabel}) {
		t.Error("another kind or another time counts as seen")
	}
	if s.first(key(12)) {
		t.Error("forgotten too early")
	}
	for n := 100; n < 150; n++ {
		s.first(key(n))
	}
	if len(s.newest)+len(s.older) > 20 {
		t.Errorf("%d keys are kept", len(s.newest)+len(s.older))
	}
}

func TestTheNamesOfMetricsAreBounded(t *testing.T) {
	g := classified(t)
	counts := g.metrics.feedbackOf("mozart")
	for n := range 100 {
		counts.add("1", feedbackMetrics, fmt.Sprintf("metric-%d", n), 1)
	}
	if len(counts.values) != maxMetricNames+1 || counts.values[feedbackSeries{"1", "metrics", otherMetricName}].count != 100-maxMetricNames {
		t.Errorf("%d series", len(counts.values))
	}
}

func TestTheClassIsThePositionOfTheLargestOrTheValueItself(t *testing.T) {
	bytesOf := func(t runtime.Tensor) []byte { return t.Data }
	one := runtimetest.FP32("y", []int64{1, 4}, -3, -1, -2, -1)
	for name, c := range map[string]struct {
		tensor runtime.Tensor
		want   class
	}{
		"negative":        {one, 2},
		"zeros":           {runtimetest.FP32("y", []int64{3}, 0, 1, 1), 2},
		"first row":       {runtimetest.FP32("y", []int64{2, 2}, 1, 2, 5, 3), 2},
		"a score":         {runtimetest.FP32("y", []int64{1, 1}, 7), 0},
		"half":            {runtime.Tensor{Type: runtime.FP16, Shape: []int64{1, 3}, Data: []byte{0, 0xbc, 0, 0x3c, 0, 0x38}}, 2},
		"double":          {runtime.Tensor{Type: runtime.FP64, Shape: []int64{2}, Data: append(make([]byte, 8), 0, 0, 0, 0, 0, 0, 0xf0, 0x3f)}, 2},
		"whole number":    {runtime.Tensor{Type: runtime.INT64, Shape: []int64{1}, Data: []byte{4, 0, 0, 0, 0, 0, 0, 0}}, 5},
		"text":            {runtime.Tensor{Type: runtime.BYTES, Shape: []int64{1}, Strings: [][]byte{[]byte("verdi")}}, classOfText([]byte("verdi"))},
		"nothing":         {runtime.Tensor{Type: runtime.INT64, Shape: []int64{0}}, 0},
		"truth":           {runtime.Tensor{Type: runtime.BOOL, Shape: []int64{1}, Data: []byte{1}}, 2},
		"negative number": {runtime.Tensor{Type: runtime.INT8, Shape: []int64{1}, Data: []byte{0xff}}, classOfNumber(-1)},
	} {
		if got := classOfTensor(&c.tensor); got != c.want {
			t.Errorf("%s: %d, want %d (%v)", name, got, c.want, bytesOf(c.tensor))
		}
	}
	if classOfNumber(-1) == 0 || classOfNumber(1<<40) == 0 || classOfText(nil) == 0 {
		t.Error("a class looks like none")
	}
}

func FuzzFeedback(f *testing.F) {
	for _, seed := range []string{`{"prediction_id":"a","label":1}`, `[{"prediction_id":"a","reward":1e3},{"prediction_id":"b","metrics":{"x":1}}]`, `[`, `{"prediction_id":"a","label":"x"}`, `null`, `[null]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		items, problems, list, err := parseFeedback(body)
		if err != nil {
			return
		}
		if len(items) != len(problems) || len(items) > maxFeedbacks || !list && len(items) != 1 {
			t.Fatalf("%d items, %d problems", len(items), len(problems))
		}
		for i, item := range items {
			if problems[i] == nil && (item.id == "" || item.kind == feedbackNone || item.kind == feedbackMetrics && len(item.metrics) == 0) {
				t.Errorf("taken: %+v", item)
			}
		}
	})
}
