package gateway

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// certificateLook is how often the files of a certificate are looked at, at
// most: with the first handshake after that time.
const certificateLook = time.Second

// Certificate is a TLS certificate in two files that may change while the
// process runs, as they do when a renewal or a mounted Secret replaces them. A
// pair that cannot be read or does not fit changes nothing: the last good one
// stays in use.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	stamps  [2]fileStamp
	looked  time.Time
}

// fileStamp tells one state of a file from another.
type fileStamp struct {
	modified time.Time
	size     int64
}

// LoadCertificate reads a certificate and its key, both PEM.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Certificate) stampFiles() (stamps [2]fileStamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamps, err
		}
		stamps[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamps, nil
}

func (c *Certificate) load() error {
	// The stamps are taken first: what changes while the files are read is
	// read again at the next look.
	stamps, err := c.stampFiles()
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", c.certFile, err)
	}
	c.current, c.stamps, c.looked = &pair, stamps, c.now()
	return nil
}

// get returns the certificate, read again where its files changed.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= certificateLook {
		c.looked = now
		if stamps, err := c.stampFiles(); err != nil || stamps != c.stamps {
			if err := c.load(); err != nil {
				c.log.Warn("certificate not read again, the last good one stays in use", "error", err)
			} else {
				c.log.Info("certificate read again", "file", c.certFile)
			}
		}
	}
	return c.current, nil
}

// Config is a server's TLS configuration with this certificate: TLS 1.2 and
// later, HTTP/1.1.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"}}
}

// ListenGRPC wraps a listener so that its connections speak TLS, with HTTP/2
// above it.
func (c *Certificate) ListenGRPC(ln net.Listener) net.Listener {
	config := c.Config()
	config.NextProtos = []string{"h2"}
	return tls.NewListener(ln, config)
}

// Listen wraps a listener so that its connections speak TLS.
func (c *Certificate) Listen(ln net.Listener) net.Listener { return tls.NewListener(ln, c.Config()) }
