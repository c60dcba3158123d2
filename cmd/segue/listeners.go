package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/segue-serving/segue/gateway"
	"github.com/segue-serving/segue/runtime"
	"github.com/segue-serving/segue/runtime/batch"
)

// listeners are all the places where the gateway answers.
type listeners struct {
	data           *gateway.DataServer
	metrics, admin *gateway.HTTPServer
	open           []listening
	log            *slog.Logger
}

// listening is one open listener and who answers on it.
type listening struct {
	what  string
	ln    net.Listener
	serve func(net.Listener) error
}

// settingsWait is how long the start waits to learn whether there are keys.
const settingsWait = 2 * time.Second

// listen opens every listener that is configured, or none: an address that is
// taken fails the start before anything is served.
func listen(p process, gw *gateway.Gateway, executor *batch.Executor, registry *prometheus.Registry, level *slog.LevelVar, log *slog.Logger) (l *listeners, err error) {
	l = &listeners{log: log}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), settingsWait)
	defer cancel()
	keys, adminKey := gw.Keys(ctx)
	where, _, _ := strings.Cut(p.config, ":")
	l.data = gw.DataServer(gateway.DataOptions{
		Version: version, Platform: "onnxruntime_onnx", Backend: "onnxruntime",
		Executor: executor, Pool: runtime.NewPool(), Log: log,
		ConfiguredIn: map[string]string{"file": "a folder of documents", "consul": "documents in Consul"}[where],
	})
	if err := l.tcp("data", p.httpAddr, p.data, (*gateway.Certificate).Listen, l.data.Serve); err != nil {
		return l, err
	}
	if err := l.tcp("data over gRPC", p.grpcAddr, p.data, (*gateway.Certificate).ListenGRPC, l.data.ServeGRPC); err != nil {
		return l, err
	}
	for _, address := range []string{p.httpAddr, p.grpcAddr} {
		if address != "" && !gateway.Loopback(address) && !keys {
			log.Warn("the data API listens beyond loopback and asks nobody for a key; configure keys in settings to close it", "address", address)
		}
	}
	if err := l.unix(p.unixSocket, l.data.Serve); err != nil {
		return l, err
	}
	if p.metricsAddr != "" {
		l.metrics = gw.MetricsServer(l.data, p.metricsEndpoint, registry)
		if err := l.tcp("metrics", p.metricsAddr, p.metrics, (*gateway.Certificate).Listen, l.metrics.Serve); err != nil {
			return l, err
		}
	}
	if p.adminAddr != "" {
		withTLS := p.admin.cert != ""
		if err := gateway.CheckAdminAddress(p.adminAddr, withTLS, adminKey); err != nil {
			return l, usageError{err}
		}
		admin := gw.AdminServer(gateway.AdminOptions{Exposed: !withTLS && !gateway.Loopback(p.adminAddr), Level: level, Log: log})
		l.admin = admin.HTTPServer
		if err := l.tcp("admin", p.adminAddr, p.admin, (*gateway.Certificate).Listen, l.admin.Serve); err != nil {
			return l, err
		}
	}
	return l, nil
}

// tcp opens a TCP listener, wrapped for TLS where there is a certificate. An
// empty address opens none.
func (l *listeners) tcp(what, address string, pair keyPair, wrap func(*gateway.Certificate, net.Listener) net.Listener,
	serve func(net.Listener) error) error {
	if address == "" {
		return nil
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s listener: %w", what, err)
	}
	if pair.cert != "" {
		certificate, err := gateway.LoadCertificate(pair.cert, pair.key, l.log)
		if err != nil {
			return errors.Join(fmt.Errorf("%s listener: %w", what, err), ln.Close())
		}
		ln = wrap(certificate, ln)
	}
	l.open = append(l.open, listening{what, ln, serve})
	l.log.Info("listening", "what", what, "address", ln.Addr().String(), "tls", pair.cert != "")
	return nil
}

// socketMode lets the owner and the group connect, which in a pod is what its
// containers share. Who else may is a matter of the folder, and of keys.
const socketMode = 0o660

// unix opens a Unix socket. A socket that a process left behind when it was
// killed is replaced; one that somebody listens on is not, and neither is
// anything else.
func (l *listeners) unix(path string, serve func(net.Listener) error) error {
	if path == "" {
		return nil
	}
	// The kernel would only say that an argument is invalid.
	if most := len(unix.RawSockaddrUnix{}.Path) - 1; len(path) > most {
		return fmt.Errorf("unix socket %s: the path has %d bytes, and one of a socket at most %d", path, len(path), most)
	}
	if err := clearSocket(path); err != nil {
		return fmt.Errorf("unix socket %s: %w", path, err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("unix socket: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return errors.Join(fmt.Errorf("unix socket: %w", err), ln.Close())
	}
	l.open = append(l.open, listening{"data", ln, serve})
	l.log.Info("listening", "what", "data", "address", path)
	return nil
}

// clearSocket removes a socket on which nobody listens. Only a refused
// connection says so: one that cannot be made for another reason, such as a
// full backlog or a missing permission, may have somebody behind it.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return errors.New("something else than a socket is there")
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		return errors.Join(errors.New("another process answers on it"), conn.Close())
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("it cannot be seen whether another process answers on it: %w", err)
	}
	return os.Remove(path)
}

// serve answers on every listener. What it returns yields the error of the
// first that ends by itself.
func (l *listeners) serve() <-chan error {
	failed := make(chan error, len(l.open))
	for _, one := range l.open {
		go func() {
			if err := one.serve(one.ln); err != nil {
				failed <- fmt.Errorf("%s listener: %w", one.what, err)
			}
		}()
	}
	return failed
}

// notReady makes readiness say that the gateway is about to leave.
func (l *listeners) notReady() { l.data.NotReady() }

// drain lets the data listeners take requests for delay, then answers what was
// begun, for at most timeout. Metrics and admin answer all the while.
func (l *listeners) drain(delay, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), delay+timeout)
	defer cancel()
	return l.data.Drain(ctx, delay)
}

// close ends the metrics and admin listeners and whatever is still open.
func (l *listeners) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, server := range []*gateway.HTTPServer{l.metrics, l.admin} {
		if server == nil {
			continue
		}
		if err := server.Shutdown(ctx); err != nil {
			l.log.Debug("shutdown", "error", err)
		}
	}
	for _, one := range l.open {
		_ = one.ln.Close() // most are closed already
	}
}
