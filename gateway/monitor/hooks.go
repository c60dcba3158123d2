package monitor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/segue-serving/segue/configs"
)

const (
	// maxHooks bounds the events that wait to be sent by this gateway. The others
	// stay in the report, and come again.
	maxHooks = 64
	// hookTries is how often an event is sent before it is left to the next
	// look at the report; between two lies a random part of hookPause, twice as
	// long each time.
	hookTries   = 5
	hookPause   = time.Second
	hookTimeout = 10 * time.Second
	// maxTokenBytes bounds the file with the token.
	maxTokenBytes = 64 << 10
)

// Egress says which machines may be sent to.
type Egress interface {
	// Named reports that a host is allowed by its own name or address, and not
	// only for being public.
	Named(host string) bool
	// Transport connects only to what is allowed.
	Transport() http.RoundTripper
}

// nowhere sends to nobody.
type nowhere struct{}

func (nowhere) Named(string) bool            { return false }
func (nowhere) Transport() http.RoundTripper { return nowhere{} }
func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("%w: this gateway sends to nobody", errRefused)
}

// cloudEvent is an event as it is sent: CloudEvents 1.0 in the structured JSON
// format.
type cloudEvent struct {
	SpecVersion string             `json:"specversion"`
	ID          string             `json:"id"`
	Source      string             `json:"source"`
	Type        string             `json:"type"`
	Subject     string             `json:"subject"`
	Time        time.Time          `json:"time"`
	ContentType string             `json:"datacontenttype"`
	Data        configs.DriftEvent `json:"data"`
}

// hook is one event on its way.
type hook struct {
	model  string
	alarms configs.DriftAlarms
	event  configs.DriftEvent
}

// hooks send events to the addresses that documents name. An event is sent at
// least once: it stays in the report until the answer says that it arrived, or
// that it never will.
type hooks struct {
	egress    Egress
	transport http.RoundTripper
	log       *slog.Logger
	instance  string
	queue     chan hook

	mu sync.Mutex
	// under are the events on their way, by id, ended those that need not be
	// sent any more, by model.
	under map[string]struct{}
	ended map[string]map[string]struct{}
}

func newHooks(opts Options) *hooks {
	if opts.Egress == nil {
		opts.Egress = nowhere{}
	}
	return &hooks{egress: opts.Egress, transport: opts.Egress.Transport(), log: opts.Log, instance: opts.Instance, queue: make(chan hook, maxHooks),
		under: map[string]struct{}{}, ended: map[string]map[string]struct{}{}}
}

// offer puts those events into the queue that are not on their way. It never
// blocks.
func (h *hooks) offer(alarms configs.DriftAlarms, model string, events []configs.DriftEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		if _, ended := h.ended[model][e.ID]; ended {
			continue
		}
		if _, under := h.under[e.ID]; under || alarms.Webhook == "" {
			continue
		}
		select {
		case h.queue <- hook{model, alarms, e}:
			h.under[e.ID] = struct{}{}
		default:
			return
		}
	}
}

// done returns the events of a model that need not be sent any more. Those that
// the report, written since, does not hold are forgotten.
func (h *hooks) done(model string, unsent []configs.DriftEvent) map[string]struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	still := map[string]struct{}{}
	for _, e := range unsent {
		if _, ended := h.ended[model][e.ID]; ended {
			still[e.ID] = struct{}{}
		}
	}
	h.ended[model] = still
	return still
}

// run sends until ctx ends.
func (h *hooks) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case k := <-h.queue:
			ended := h.send(ctx, k)
			h.mu.Lock()
			delete(h.under, k.event.ID)
			if ended {
				if h.ended[k.model] == nil {
					h.ended[k.model] = map[string]struct{}{}
				}
				h.ended[k.model][k.event.ID] = struct{}{}
			}
			h.mu.Unlock()
		}
	}
}

// errRefused says that an event will not arrive however often it is sent.
var errRefused = errors.New("not sent again")

// send sends one event, again where that may help. It reports whether the event
// is done with.
func (h *hooks) send(ctx context.Context, k hook) bool {
	log := h.log.With("model", k.model, "alarm", k.event.ID, "webhook", hostOf(k.alarms.Webhook))
	var err error
	for try := range hookTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return false
			case <-time.After(time.Duration(rand.Int64N(int64(hookPause << try)))):
			}
		}
		if err = h.post(ctx, k); err == nil {
			log.Info("drift alarm sent", "tries", try+1)
			return true
		}
		if errors.Is(err, errRefused) || ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() == nil {
		log.Warn("drift alarm not sent", "error", err)
	}
	return errors.Is(err, errRefused)
}

func (h *hooks) post(ctx context.Context, k hook) error {
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	u, err := url.Parse(k.alarms.Webhook)
	if err != nil {
		return fmt.Errorf("%w: not an address", errRefused)
	}
	if u.Scheme != "https" && !h.egress.Named(u.Hostname()) {
		return fmt.Errorf("%w: http: is sent in the clear, and the gateway was not started with leave for this host", errRefused)
	}
	body, err := json.Marshal(cloudEvent{
		SpecVersion: "1.0", ID: k.event.ID, Source: "/segue/" + url.PathEscape(h.instance), Type: "io.segue-serving.drift." + k.event.Kind,
		Subject: k.model + "/" + k.event.Version, Time: k.event.At, ContentType: "application/json", Data: k.event,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, k.alarms.Webhook, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: not an address", errRefused)
	}
	request.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	if k.alarms.TokenFile != "" {
		token, err := readToken(k.alarms.TokenFile)
		if err != nil {
			return fmt.Errorf("token: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// A redirect is not followed: the token is for the address in the document.
	response, err := h.transport.RoundTrip(request)
	if err != nil {
		return withoutAddress(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection can be used again
	switch s := response.StatusCode; {
	case s >= 200 && s < 300:
		return nil
	case s == http.StatusRequestTimeout || s == http.StatusTooManyRequests || s >= 500:
		return fmt.Errorf("answered %d", s)
	default:
		return fmt.Errorf("%w: answered %d", errRefused, s)
	}
}

// withoutAddress drops the address from an error: it may hold a secret.
func withoutAddress(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

func readToken(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTokenBytes))
	token := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		return "", err
	case token == "" || strings.ContainsAny(token, "\r\n"):
		return "", errors.New("the file holds no token, or more than one line")
	}
	return token, nil
}
