package monitor

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/configs/configstest"
)

// anywhere lets alarms be sent to test servers.
type anywhere struct{}

func (anywhere) Named(string) bool            { return true }
func (anywhere) Transport() http.RoundTripper { return http.DefaultTransport }

// receiver is a server that takes events.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	bodies  []string
	headers []http.Header
	answers []int // what it says to the first requests; 204 to the others
}

func newReceiver(t *testing.T, answers ...int) *receiver {
	r := &receiver{answers: answers}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies, r.headers = append(r.bodies, string(body)), append(r.headers, q.Header)
		if len(r.answers) > 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(r.answers[0])
			r.answers = r.answers[1:]
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies)
}

// sending runs a node's hooks until the test ends.
func (n *node) sending(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); n.hooks.run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

func eventually(t *testing.T, what string, true func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !true(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not true: %s", what)
		}
	}
}

func TestAnAlarmIsSentAsACloudEventAndThenNotAgain(t *testing.T) {
	to := newReceiver(t, http.StatusServiceUnavailable, http.StatusTooManyRequests)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store, at := configstest.NewStore(), newClock()
	n := newNode(t, store, at, "gw:1", func(o *Options) { o.Egress = anywhere{}; o.Epoch = "gw-1" })
	n.sending(t)
	n.follow(modelOf(configs.Drift{Compare: []string{"training"}, Alarms: configs.DriftAlarms{Webhook: to.URL + "/hook?key=secret", TokenFile: token}},
		versionOfProfile("1", profileOf(t, "1", 1))))
	n.pass()
	n.see("1", random(3), 1000, 1)
	n.write()
	at.at = at.at.Add(10 * time.Minute)
	n.pass()
	if unsent := reportIn(t, store).Unsent; len(unsent) != 1 || unsent[0].Kind != configs.DriftRaised {
		t.Fatalf("%+v", unsent)
	}
	eventually(t, "the event arrives", func() bool { n.pass(); return len(to.got()) == 3 && len(reportIn(t, store).Unsent) == 0 })
	for range 3 {
		n.pass()
	}
	var event struct {
		SpecVersion, ID, Source, Type, Subject, Time, DataContentType string
		Data                                                          configs.DriftEvent
	}
	bodies := to.got()
	if err := json.Unmarshal([]byte(bodies[2]), &event); err != nil {
		t.Fatal(err)
	}
	if len(bodies) != 3 || bodies[0] != bodies[2] {
		t.Errorf("sent %d times: %q", len(bodies), bodies)
	}
	if event.SpecVersion != "1.0" || event.Type != "io.segue-serving.drift.raised" || event.Source != "/segue/gw:1" || event.Subject != "m/1" ||
		event.DataContentType != "application/json" || event.Time != "2026-03-02T10:10:00Z" || event.ID != event.Data.ID || event.ID == "" {
		t.Errorf("%+v", event)
	}
	if !slices.Equal(event.Data.Features, []string{"x[0]"}) || event.Data.Reference != "training" || event.Data.Samples != 1000 {
		t.Errorf("%+v", event.Data)
	}
	if h := to.headers[0]; h.Get("Content-Type") != "application/cloudevents+json; charset=utf-8" || h.Get("Authorization") != "Bearer s3cret" {
		t.Errorf("headers %v", h)
	}
	if log := n.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "s3cret") || !strings.Contains(log, "drift alarm sent") {
		t.Errorf("logged\n%s", log)
	}
}

func TestAnEventThatIsRefusedIsNotSentAgain(t *testing.T) {
	to := newReceiver(t, http.StatusFound, http.StatusUnauthorized)
	event := func(id string) configs.DriftEvent {
		return configs.DriftEvent{ID: id, Kind: configs.DriftRaised, Version: "1"}
	}
	n := newNode(t, configstest.NewStore(), newClock(), "a", func(o *Options) { o.Egress = anywhere{} })
	ended := func(alarms configs.DriftAlarms, id string) bool {
		return n.hooks.send(t.Context(), hook{"m", alarms, event(id)})
	}
	if !ended(configs.DriftAlarms{Webhook: to.URL}, "moved") || !ended(configs.DriftAlarms{Webhook: to.URL}, "closed") {
		t.Error("sent again")
	}
	if got := to.got(); len(got) != 2 {
		t.Errorf("sent %d times: a redirect is not followed", len(got))
	}
	n.hooks.egress, n.hooks.transport = nowhere{}, nowhere{}
	if !ended(configs.DriftAlarms{Webhook: to.URL}, "clear") || !ended(configs.DriftAlarms{Webhook: "https://127.0.0.1/"}, "private") || len(to.got()) != 2 {
		t.Error("sent in the clear, or to nobody again and again")
	}
	if n.hooks.offer(configs.DriftAlarms{Webhook: to.URL}, "m", []configs.DriftEvent{event("a"), event("a"), event("b")}); len(n.hooks.queue) != 2 {
		t.Errorf("%d wait", len(n.hooks.queue))
	}
	var many []configs.DriftEvent
	for i := range 2 * maxHooks {
		many = append(many, event(strings.Repeat("x", i+1)))
	}
	if n.hooks.offer(configs.DriftAlarms{Webhook: to.URL}, "m", many); len(n.hooks.queue) != maxHooks {
		t.Errorf("%d wait", len(n.hooks.queue))
	}
}

func TestATokenThatCannotBeReadIsAskedForAgain(t *testing.T) {
	to := newReceiver(t)
	n := newNode(t, configstest.NewStore(), newClock(), "a", func(o *Options) { o.Egress = anywhere{} })
	for _, content := range []string{"", "two\nlines"} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		err := n.hooks.post(t.Context(), hook{"m", configs.DriftAlarms{Webhook: to.URL, TokenFile: path}, configs.DriftEvent{ID: "x"}})
		if err == nil || strings.Contains(err.Error(), "not sent again") || len(to.got()) != 0 {
			t.Errorf("%q: %v", content, err)
		}
	}
}
