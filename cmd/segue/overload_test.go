package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segue-serving/segue/cmd/segue/seguetest"
	"github.com/segue-serving/segue/runtime/runtimetest"
)

// longModel is a folder that configures the fixture long, 6 ms a run.
func longModel(t testing.TB, limits string) string {
	t.Helper()
	dir := t.TempDir()
	artifact := filepath.Join(dir, "models", "long", "1")
	if err := os.MkdirAll(artifact, 0o755); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{
		filepath.Join(artifact, "model.onnx"): runtimetest.ModelBytes("long"),
		filepath.Join(dir, "long.yaml"):       []byte("model: long\nversions: {\"1\": {uri: \"file:models/long/1\"}}\nlimits: " + limits + "\n"),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// crowd is clients that ask one thing, each over a connection of its own that
// it opens again where the other side closed it.
type crowd struct {
	address string
	request []byte
	mu      sync.Mutex
	// served and refused are how long answers took, by what they were; other
	// is what else came of a request.
	served, refused []time.Duration
	other           map[string]int
}

func newCrowd(address, path string, body []byte, headers ...string) *crowd {
	request := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n", path, len(body), strings.Join(append(headers, ""), "\r\n"))
	return &crowd{address: address, request: append(request, body...), other: map[string]int{}}
}

// member is one client of a crowd.
type member struct {
	*crowd
	conn   net.Conn
	reader *bufio.Reader
}

func (m *member) ask(due time.Time) {
	code, err := m.exchange()
	took := time.Since(due)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil:
		m.other[err.Error()]++
	case code == http.StatusOK:
		m.served = append(m.served, took)
	case code == http.StatusServiceUnavailable:
		m.refused = append(m.refused, took)
	default:
		m.other[fmt.Sprint(code)]++
	}
}

func (m *member) exchange() (code int, err error) {
	if m.conn == nil {
		if m.conn, err = net.Dial("tcp", m.address); err != nil {
			return 0, err
		}
		m.reader = bufio.NewReader(m.conn)
	}
	// What was refused before its body was read may be closed while it is
	// being written: its answer is there.
	_, sent := m.conn.Write(m.request)
	code, closing, err := m.read()
	if err != nil {
		err = fmt.Errorf("%w (sent: %v)", err, sent)
	}
	if closing || err != nil {
		m.close()
	}
	return code, err
}

// read reads one answer. It looks at no more than it must: what a client costs
// in these cores, the model has not.
func (m *member) read() (code int, closing bool, err error) {
	length, later := 0, false
	for first := true; ; first = false {
		line, err := m.reader.ReadSlice('\n')
		if err != nil {
			return 0, true, err
		}
		name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		switch {
		case first && len(line) > 12:
			code, err = strconv.Atoi(string(line[9:12]))
		case len(name) == 0:
			if code == http.StatusServiceUnavailable && !later {
				return code, true, errors.New("503 without Retry-After")
			}
			_, err = m.reader.Discard(length)
			return code, closing, err
		case string(name) == "Content-Length":
			length, err = strconv.Atoi(string(value))
		case string(name) == "Retry-After":
			later = true
		case string(name) == "Connection":
			closing = string(value) == "close"
		}
		if err != nil {
			return code, true, err
		}
	}
}

// spent is the CPU time that this process has taken.
func spent(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (m *member) close() {
	if m.conn != nil {
		m.conn.Close()
		m.conn = nil
	}
}

// closed keeps so many clients asking for a time and returns how many were
// served a second.
func (c *crowd) closed(clients int, lasting time.Duration) float64 {
	c.served, c.refused = nil, nil
	var wg sync.WaitGroup
	for end := range slices.Values(slices.Repeat([]time.Time{time.Now().Add(lasting)}, clients)) {
		wg.Go(func() {
			m := &member{crowd: c}
			defer m.close()
			for now := time.Now(); now.Before(end); now = time.Now() {
				m.ask(now)
			}
		})
	}
	wg.Wait()
	return float64(len(c.served)) / lasting.Seconds()
}

// open asks so many times a second, however slow the answers are, and returns
// how many were served a second.
func (c *crowd) open(clients int, rate float64, lasting time.Duration) float64 {
	c.served, c.refused = nil, nil
	due := make(chan time.Time, int(rate*lasting.Seconds())+1)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			m := &member{crowd: c}
			defer m.close()
			for at := range due {
				m.ask(at)
			}
		})
	}
	start, every := time.Now(), time.Duration(float64(time.Second)/rate)
	for at := time.Duration(0); at < lasting; {
		for now := time.Since(start); at <= now; at += every {
			due <- start.Add(at)
		}
		time.Sleep(time.Millisecond)
	}
	close(due)
	wg.Wait()
	return float64(len(c.served)) / time.Since(start).Seconds()
}

func percentile(took []time.Duration, p float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(p*float64(len(took))))]
}

// What others do on the machine is in every figure here, so that a test holds
// only what is promised in seconds, and a soak the rest.
func TestUnderOverloadWhatIsServedStaysAndTheRestIsRefusedAtOnce(t *testing.T) {
	small := []byte(`{"inputs":[{"name":"x","shape":[1,16],"datatype":"FP32","data":[` + strings.TrimSuffix(strings.Repeat("0.5,", 16), ",") + `]}]}`)
	large := append(slices.Clone(small), bytes.Repeat([]byte(" "), 262_144-len(small))...)
	gw := seguetest.Start(t, seguetest.Config{Source: "file:" + longModel(t, "{queue_time: 100ms}")})
	phase := time.Duration(counts(1, 5)) * time.Second
	for _, c := range []struct {
		name  string
		body  []byte
		times float64
	}{{"small bodies, 10 times", small, 10}, {"large bodies, twice", large, 2}} {
		t.Run(c.name, func(t *testing.T) {
			crowd := newCrowd(strings.TrimPrefix(gw.URL, "http://"), "/v2/models/long/infer", c.body)
			crowd.closed(4, phase/5) // until the wait is known
			peak := crowd.closed(4, phase)
			before := spent(t)
			goodput := crowd.open(256, c.times*peak, phase)
			own := (spent(t) - before).Seconds() / phase.Seconds() / float64(goruntime.NumCPU())
			slowest := percentile(crowd.refused, 0.99)
			t.Logf("peak %.0f/s; offered %.0f times as many by a generator that takes %.2f of the cores: %.0f/s (%.2f) served in p99 %v, %d refused in p50 %v, p99 %v",
				peak, c.times, own, goodput, goodput/peak, percentile(crowd.served, 0.99), len(crowd.refused), percentile(crowd.refused, 0.5), slowest)
			if goodput == 0 || len(crowd.refused) == 0 || slowest > 2*time.Second {
				t.Error("nothing served, nothing refused, or refused too late")
			}
			// The generator's own tenth of the cores is missing in it.
			if soak() && goodput < 0.75*peak {
				t.Errorf("%.2f of the peak is served", goodput/peak)
			}
			over := time.Now()
			for m := (&member{crowd: crowd}); ; m.close() {
				began := time.Now()
				if code, err := m.exchange(); err == nil && code == http.StatusOK && time.Since(began) < time.Second {
					break
				}
				if time.Since(over) > 2*time.Second {
					t.Fatal("not served as before 2 s after the overload")
				}
			}
			if len(crowd.other) > 0 {
				t.Errorf("neither served nor refused: %v", crowd.other)
			}
		})
	}
}
