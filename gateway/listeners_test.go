package gateway

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/segue-serving/segue/configs"
)

// served answers requests to a server that runs until the test ends.
func served(t *testing.T, s *HTTPServer) func(method, path, body string, headers ...string) answer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	client := &http.Client{}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(method, path, body string, headers ...string) answer {
		t.Helper()
		request, err := http.NewRequest(method, "http://"+ln.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			request.Header.Set(name, value)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		got, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer{response.StatusCode, response.Header, string(got)}
	}
}

func TestTheMetricsListenerIsReadOnlyAndHasNothingOfAdmin(t *testing.T) {
	g := newTestGateway(t)
	send := served(t, newMetricsServer(slog.New(slog.DiscardHandler), "/own-metrics", metricsHandler(g.registry), g.ready))
	send("GET", "/livez", "").want(t, 200, "ok\n")
	send("GET", "/readyz", "").want(t, 503, "not ready: the first configuration has not been read yet\n")
	g.mozart()
	send("GET", "/readyz", "").want(t, 200, "ok\n")
	send("HEAD", "/readyz", "").want(t, 200, "")
	if got := send("GET", "/own-metrics", ""); got.status != 200 || !strings.Contains(got.body, "segue_ready 1\n") {
		t.Errorf("%d %.200s", got.status, got.body)
	}
	for _, path := range []string{"/", "/metrics", "/openapi.json", "/log-level", "/debug/pprof/", "/status", "/v2", infer} {
		if got := send("GET", path, ""); got.status != 404 {
			t.Errorf("%s answers %d", path, got.status)
		}
	}
	if got := send("POST", "/own-metrics", "x"); got.status != 405 || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST answers %d, Allow %q", got.status, got.header.Get("Allow"))
	}
	g.NotReady()
	send("GET", "/readyz", "").want(t, 503, "not ready: the gateway is shutting down\n")
}

func TestTheAdminListenerAnswersOperators(t *testing.T) {
	g := newTestGateway(t)
	level := &slog.LevelVar{}
	admin := newAdminServer(g.router, g.metrics, AdminOptions{Level: level, Log: slog.New(slog.DiscardHandler)})
	admin.Handle("GET /own", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "own") }))
	send := served(t, admin.HTTPServer)
	send("GET", "/openapi.json", "").want(t, 200, string(openAPI))
	send("GET", "/own", "").want(t, 200, "own")
	send("GET", "/log-level", "").want(t, 200, "{\"level\":\"INFO\"}\n")
	send("PUT", "/log-level", `{"level":"debug"}`).want(t, 200, "{\"level\":\"DEBUG\"}\n")
	if level.Level() != slog.LevelDebug {
		t.Errorf("the level is %v", level.Level())
	}
	send("PUT", "/log-level", `{"level":"loud"}`).want(t, 400, `{"error":"want {\"level\": \"debug\"}, or info, warn, error"}`)
	if got := send("GET", "/debug/pprof/goroutine?debug=1", ""); got.status != 200 || !strings.Contains(got.body, "goroutine profile") {
		t.Errorf("%d %.100s", got.status, got.body)
	}
	if got := send("POST", "/log-level", "{}"); got.status != 405 {
		t.Errorf("POST answers %d", got.status)
	}
	if got := send("GET", "/metrics", ""); got.status != 404 {
		t.Errorf("/metrics answers %d", got.status)
	}
}

func TestWhereKeysAreConfiguredAdminNeedsOne(t *testing.T) {
	g := newTestGateway(t)
	table := *g.mozart()
	table.access = mustAccess(t, &configs.Settings{Public: []string{"health", "metadata"},
		Keys: []configs.Key{keyOf("operator", nil, "admin"), keyOf("client", nil, "predict", "health", "feedback")}})
	send := served(t, newAdminServer(g.router, g.metrics, AdminOptions{Level: &slog.LevelVar{}, Log: slog.New(slog.DiscardHandler)}).HTTPServer)
	exposed := served(t, newAdminServer(g.router, g.metrics, AdminOptions{Exposed: true, Level: &slog.LevelVar{}, Log: slog.New(slog.DiscardHandler)}).HTTPServer)
	exposed("GET", "/log-level", "").want(t, 403, `{"error":"no key with the permission admin is configured"}`)
	g.router.publish(&table)
	for _, send := range []func(method, path, body string, headers ...string) answer{send, exposed} {
		for path := range map[string]bool{"/log-level": true, "/openapi.json": true, "/debug/pprof/": true, "/nowhere": true} {
			if got := send("GET", path, ""); got.status != 401 || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s without a key: %d", path, got.status)
			}
			if got := send("GET", path, "", "Authorization: Bearer client"); got.status != 403 {
				t.Errorf("%s with a client's key: %d", path, got.status)
			}
		}
		send("GET", "/log-level", "", "Authorization: Bearer operator").want(t, 200, "{\"level\":\"INFO\"}\n")
	}
}

func TestNothingBehindABodyIsTakenForARequest(t *testing.T) {
	g := newTestGateway(t)
	log := slog.New(slog.DiscardHandler)
	admin := newAdminServer(g.router, g.metrics, AdminOptions{Level: &slog.LevelVar{}, Log: log})
	for name, server := range map[string]*HTTPServer{"metrics": newMetricsServer(log, "/metrics", metricsHandler(g.registry), g.ready), "admin": admin.HTTPServer} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- server.Serve(ln) }()
		const behind = "GET /log-level HTTP/1.1\r\nHost: a\r\n\r\n"
		for what, c := range map[string]struct {
			raw     string
			answers int
			status  string
		}{
			"a length and a coding": {"PUT /log-level HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + behind, 1, ""},
			"a length":              {"PUT /log-level HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}" + behind, 1, ""},
			"HTTP/1.9":              {"GET /livez HTTP/1.9\r\nHost: a\r\n\r\n" + behind, 1, "400"},
			"no body":               {behind + "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 2, ""},
		} {
			nc, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(nc, c.raw)
			got, _ := io.ReadAll(nc) // a reset behind the answer is an end as well
			nc.Close()
			if n := strings.Count(string(got), "HTTP/1.1 "+c.status); n != c.answers {
				t.Errorf("%s, %s: %d answers, want %d: %q", name, what, n, c.answers, got)
			}
		}
		if err := server.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAdminIsNotExposedWithoutProtection(t *testing.T) {
	for _, c := range []struct {
		address          string
		withTLS, withKey bool
		allowed          bool
	}{
		{"127.0.0.1:8003", false, false, true}, {"localhost:8003", false, false, true}, {"[::1]:8003", false, false, true}, {"127.8.8.8:1", false, false, true},
		{":8003", false, false, false}, {"0.0.0.0:8003", false, false, false}, {"[::]:8003", false, false, false}, {"10.0.0.1:8003", false, false, false},
		{"admin.example:8003", false, false, false}, {"nonsense", false, false, false},
		{":8003", true, false, true}, {":8003", false, true, true},
	} {
		if err := CheckAdminAddress(c.address, c.withTLS, c.withKey); (err == nil) != c.allowed {
			t.Errorf("%s, TLS %v, key %v: %v", c.address, c.withTLS, c.withKey, err)
		}
	}
	if a := mustAccess(t, &configs.Settings{Keys: []configs.Key{keyOf("k", nil, "predict")}}); a.hasAdmin() {
		t.Error("a key to predict counts as an admin's")
	}
	if a := mustAccess(t, &configs.Settings{Keys: []configs.Key{keyOf("k", nil, "predict"), keyOf("l", nil, "admin")}}); !a.hasAdmin() {
		t.Error("an admin's key does not count")
	}
}
