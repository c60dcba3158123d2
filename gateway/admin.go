package gateway

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/segue-serving/segue/gateway/oip"
)

// AdminOptions say how the admin listener is protected and what it changes.
type AdminOptions struct {
	// Exposed is true where the listener can be reached from other hosts
	// without TLS. Then nothing is answered without an admin key, even while
	// no keys are configured.
	Exposed bool
	// Level is the log level that may be changed while the process runs.
	Level *slog.LevelVar
	Log   *slog.Logger
}

// AdminServer answers operators: status, profiles, log level and the data
// API's description. Where keys are configured, each request needs one with
// the permission admin, on loopback too.
type AdminServer struct{ *HTTPServer }

// CheckAdminAddress refuses an admin listener that other hosts could reach in
// the clear and without a key. withTLS says that the listener has a
// certificate, withKey that settings hold a key with the permission admin.
func CheckAdminAddress(address string, withTLS, withKey bool) error {
	if Loopback(address) || withTLS || withKey {
		return nil
	}
	return fmt.Errorf("admin address %s can be reached from other hosts: it needs a TLS certificate, or a key with the permission admin in the settings", address)
}

// Loopback reports whether an address to listen on can be reached from its own
// host only.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// hasAdmin reports whether some key may do what operators do.
func (a *access) hasAdmin() bool {
	for i := range a.keys {
		if a.keys[i].groups&groupAdmin != 0 {
			return true
		}
	}
	return false
}

func newAdminServer(rt *router, m *Metrics, opts AdminOptions) *AdminServer {
	gate := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			access := rt.load().access
			if access.open && opts.Exposed {
				writeError(w, http.StatusForbidden, "no key with the permission admin is configured")
				return
			}
			if _, denied := access.admit(groupAdmin, nil, []byte(r.Header.Get("Authorization"))); denied != nil {
				m.deny(denied.reason)
				if denied.challenge != "" {
					w.Header().Set("WWW-Authenticate", denied.challenge)
				}
				writeError(w, denied.status, denied.message)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	s := &AdminServer{newHTTPServer(opts.Log, 5*time.Minute, gate)}
	s.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(openAPI)
	})
	s.mux.HandleFunc("GET /log-level", func(w http.ResponseWriter, _ *http.Request) { writeLevel(w, opts.Level) })
	s.mux.HandleFunc("PUT /log-level", func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Level slog.Level }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&asked); err != nil {
			writeError(w, http.StatusBadRequest, `want {"level": "debug"}, or info, warn, error`)
			return
		}
		opts.Level.Set(asked.Level)
		opts.Log.Warn("log level changed", "level", asked.Level.String())
		writeLevel(w, opts.Level)
	})
	s.mux.HandleFunc("/debug/pprof/", pprof.Index)
	s.mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	s.mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	s.mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	s.mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return s
}

// Handle adds a handler for a pattern of http.ServeMux, behind the same gate
// as everything else. It must be called before Serve.
func (s *AdminServer) Handle(pattern string, handler http.Handler) { s.mux.Handle(pattern, handler) }

func writeLevel(w http.ResponseWriter, level *slog.LevelVar) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "{\"level\":%q}\n", level.Level().String())
}

func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(oip.AppendError(nil, message))
}
