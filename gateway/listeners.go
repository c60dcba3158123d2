package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// HTTPServer is a listener beside the data path: metrics or admin.
type HTTPServer struct {
	mux *http.ServeMux
	srv *http.Server
}

// newHTTPServer answers what gate lets through with what is registered on the
// mux. An answer may take as long as longest.
func newHTTPServer(log *slog.Logger, longest time.Duration, gate func(http.Handler) http.Handler) *HTTPServer {
	mux := http.NewServeMux()
	return &HTTPServer{mux: mux, srv: &http.Server{
		Handler: inStep(gate(mux)), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: longest,
		IdleTimeout: time.Minute, MaxHeaderBytes: maxHead, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// inStep sees that nothing which follows a body is taken for a request: where a
// body ends is what two servers in a row may disagree about, and of a length
// beside a transfer coding, or a folded line, this library tells nobody. Behind
// an answer to a request with a body, and to a version that is neither HTTP/1.0
// nor 1.1, the connection is closed.
func inStep(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := r.ProtoMajor == 1 && r.ProtoMinor <= 1
		if r.ContentLength != 0 || !known {
			w.Header().Set("Connection", "close")
		}
		if !known {
			http.Error(w, "the HTTP version is not supported: want HTTP/1.1", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Serve answers on a listener until Shutdown.
func (s *HTTPServer) Serve(ln net.Listener) error {
	if err := s.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	}
	return nil
}

// Shutdown closes the listeners and waits for the requests that were begun;
// when ctx ends it closes their connections.
func (s *HTTPServer) Shutdown(ctx context.Context) error {
	if err := s.srv.Shutdown(ctx); err != nil {
		return errors.Join(err, s.srv.Close())
	}
	return nil
}

// newMetricsServer is the listener for Prometheus and the kubelet: read only,
// without keys, and with nothing of admin. ready says whether the gateway is
// ready, and why not.
func newMetricsServer(log *slog.Logger, path string, metrics http.Handler, ready func() (bool, string)) *HTTPServer {
	s := newHTTPServer(log, 30*time.Second, readOnly)
	s.mux.Handle(path, metrics)
	s.mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	s.mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ok, why := ready(); !ok {
			http.Error(w, "not ready: "+why, http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	return s
}

// readOnly refuses every method that changes something.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}
