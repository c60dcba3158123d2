// Package egress says which machines artifacts may be fetched from. A document
// names an address, and whoever may write a document could else make the
// gateway ask what only it can reach: a cloud's metadata service, a database on
// the loopback interface, a neighbour's admin page.
//
// The package promises that a connection is made only to a public address, or
// to one that the process was started with leave for, and that this is checked
// on the address that is dialled, after every redirect and every look-up of a
// name: a name that changes what it stands for gains nothing. The leave is a
// setting of the process and never stands in a document, which would give it
// to itself. The package never looks at what is fetched.
//
//	hosts, err := egress.Parse("10.0.0.0/8, minio.internal")
//	client := &http.Client{Transport: hosts.Transport()}
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/segue-serving/segue/loader/store"
)

// Hosts are the machines beyond the public internet that may be asked. The zero
// value is none.
type Hosts struct {
	all      bool
	names    []string
	networks []netip.Prefix
}

// Everywhere allows every address. It is for a tool whose user names the
// address himself.
func Everywhere() Hosts { return Hosts{all: true} }

// Parse reads names of hosts, addresses and networks (CIDR), separated by
// commas; * is every one.
func Parse(list string) (Hosts, error) {
	var h Hosts
	var problems []error
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.ToLower(strings.TrimSpace(entry))
		if entry == "" {
			continue
		}
		if entry == "*" {
			h.all = true
		} else if prefix, err := netip.ParsePrefix(entry); err == nil {
			h.networks = append(h.networks, prefix.Masked())
		} else if addr, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
			h.networks = append(h.networks, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
		} else if strings.ContainsAny(entry, "/:*@ ") {
			problems = append(problems, fmt.Errorf("%q is no name of a host, address or network (10.0.0.0/8)", entry))
		} else {
			h.names = append(h.names, strings.TrimSuffix(entry, "."))
		}
	}
	return h, errors.Join(problems...)
}

// Named reports whether a host is allowed by its own name or address, and not
// only for being public.
func (h Hosts) Named(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if h.all || slices.Contains(h.names, host) {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && h.covers(addr.Unmap())
}

func (h Hosts) covers(addr netip.Addr) bool {
	return slices.ContainsFunc(h.networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// checkAddr refuses an address that is neither public nor allowed.
func (h Hosts) checkAddr(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if h.all || h.covers(addr) || public(addr) {
		return nil
	}
	return store.Permanent(refusedError{addr})
}

// refusedError is an address that nothing may connect to.
type refusedError struct{ addr netip.Addr }

func (e refusedError) Error() string {
	return fmt.Sprintf("%s is not a public address, and --artifact-hosts does not allow it", e.addr)
}

// RetryableError tells Amazon's client not to try again.
func (refusedError) RetryableError() bool { return false }

// Control is for a net.Dialer: it checks the address before it is connected to.
func (h Hosts) Control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	return h.checkAddr(target.Addr())
}

// How long each part of an answer's beginning may take. The body may take as
// long as bytes arrive; its reader watches over that.
const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 30 * time.Second
)

// DialContext connects to host:port. A host that is allowed by name may lie at
// any address.
func (h Hosts) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: h.Control}
	if host, _, err := net.SplitHostPort(address); err == nil && h.Named(host) {
		dialer.Control = nil
	}
	return dialer.DialContext(ctx, network, address)
}

// Transport returns a client's transport that connects only to what is
// allowed. A proxy of the environment (HTTPS_PROXY) is used: it looks names up
// itself, so that of a name only what this machine makes of it is checked.
func (h Hosts) Transport() http.RoundTripper {
	direct := &http.Transport{
		DialContext: h.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: headerTimeout,
		ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}
	proxied := direct.Clone()
	proxied.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	proxied.Proxy = http.ProxyFromEnvironment
	return &transport{h, direct, proxied, http.ProxyFromEnvironment}
}

type transport struct {
	hosts           Hosts
	direct, proxied *http.Transport
	proxy           func(*http.Request) (*url.URL, error)
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	proxy, err := t.proxy(r)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return t.direct.RoundTrip(r)
	}
	if err := t.hosts.checkName(r.Context(), r.URL.Hostname()); err != nil {
		return nil, err
	}
	return t.proxied.RoundTrip(r)
}

// CloseIdleConnections closes those of both ways.
func (t *transport) CloseIdleConnections() {
	t.direct.CloseIdleConnections()
	t.proxied.CloseIdleConnections()
}

// checkName checks what a name stands for here. One that only the proxy knows
// passes: the proxy decides.
func (h Hosts) checkName(ctx context.Context, host string) error {
	if h.Named(host) {
		return nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return h.checkAddr(addr)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return ctx.Err()
	}
	for _, addr := range addrs {
		if err := h.checkAddr(addr); err != nil {
			return err
		}
	}
	return nil
}
