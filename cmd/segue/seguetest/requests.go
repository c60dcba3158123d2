package seguetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// Answer is one HTTP answer, read whole.
type Answer struct {
	Code   int
	Header http.Header
	Body   []byte
}

// Version is the version that answered.
func (a Answer) Version() string { return a.Header.Get("Segue-Model-Version") }

// client keeps enough connections for tests under load.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}

// Do sends a request and reads the answer. It returns an error only where
// there is no answer.
func Do(method, url string, body []byte, header map[string]string) (Answer, error) {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	read, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, read}, err
}

// Infer posts an inference request for a model, or a model and version as
// "mozart/versions/2", and fails the test where there is no answer.
func (g *Gateway) Infer(t testing.TB, model string, body []byte, header map[string]string) Answer {
	t.Helper()
	a, err := Do(http.MethodPost, g.URL+"/v2/models/"+model+"/infer", body, header)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Get fetches a path of the data listener.
func (g *Gateway) Get(t testing.TB, path string) Answer {
	t.Helper()
	a, err := Do(http.MethodGet, g.URL+path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Status fetches the status from the admin listener.
func (g *Gateway) Status(t testing.TB) configs.GatewayStatus {
	t.Helper()
	a, err := Do(http.MethodGet, g.AdminURL+"/status", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var s configs.GatewayStatus
	if a.Code != http.StatusOK {
		t.Fatalf("status: %d %s", a.Code, a.Body)
	}
	if err := json.Unmarshal(a.Body, &s); err != nil {
		t.Fatalf("status %s: %v", a.Body, err)
	}
	return s
}

// Metric returns the value of one series, written as Prometheus prints it:
// segue_ready or segue_model_state{model="m",version="1",state="Ready"}. ok is
// false where there is no such series.
func (g *Gateway) Metric(t testing.TB, series string) (value string, ok bool) {
	t.Helper()
	a, err := Do(http.MethodGet, g.MetricsURL+"/metrics", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(a.Body)) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// Golden is a request of an artifact's manifest with the answer that must
// come.
type Golden struct {
	Name    string            `json:"name"`
	Inputs  []json.RawMessage `json:"inputs"`
	Outputs []Output          `json:"outputs"`
}

// Output is a tensor of numbers in an answer.
type Output struct {
	Name     string    `json:"name"`
	Datatype string    `json:"datatype"`
	Shape    []int64   `json:"shape"`
	Data     []float64 `json:"data"`
}

// Request is the golden's request as the Open Inference Protocol writes it.
func (g Golden) Request(t testing.TB) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"inputs": g.Inputs})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Check says how an answer's body differs from the golden answer by more than
// the tolerance.
func (g Golden) Check(body []byte, tolerance float64) error {
	var answer struct {
		Outputs []Output `json:"outputs"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%w in %.200s", err, body)
	}
	got := map[string]Output{}
	for _, o := range answer.Outputs {
		got[o.Name] = o
	}
	for _, want := range g.Outputs {
		o, ok := got[want.Name]
		if !ok || len(o.Data) != len(want.Data) {
			return fmt.Errorf("output %s: %d values, want %d", want.Name, len(o.Data), len(want.Data))
		}
		for i := range want.Data {
			if d := o.Data[i] - want.Data[i]; d > tolerance || d < -tolerance {
				return fmt.Errorf("output %s[%d] is %v, want %v", want.Name, i, o.Data[i], want.Data[i])
			}
		}
	}
	return nil
}

// Goldens reads the goldens of an artifact's manifest.
func Goldens(t testing.TB, manifest []byte) []Golden {
	t.Helper()
	var m struct {
		Goldens []Golden `json:"goldens"`
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Goldens) == 0 {
		t.Fatal("the manifest has no goldens")
	}
	return m.Goldens
}
