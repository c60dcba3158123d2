// Package toxic puts Toxiproxy between a test's client and a real server, in
// the test's own process: latency, resets in the middle of an answer, answers
// in slices, connections that go silent, little bandwidth.
//
// It promises that a proxy listens when Start returns, that faults count for
// connections that are open already, and that it ends with the test.
//
//	proxy := toxic.Start(t, "127.0.0.1:8333")
//	proxy.Add(toxic.Fault{Type: "bandwidth", Attributes: map[string]int{"rate": 100}})
//	…
//	proxy.Clear()
package toxic

import (
	"bytes"
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Fault is a toxic as Toxiproxy's documentation names it: its type, the share
// of connections that it spoils (0 for all of them) and its attributes.
type Fault struct {
	Type       string         `json:"type"`
	Toxicity   float32        `json:"toxicity"`
	Attributes map[string]int `json:"attributes"`
}

// Proxy is a running proxy. It is safe for concurrent use.
type Proxy struct {
	// Addr is where it listens, HOST:PORT.
	Addr string

	t     testing.TB
	proxy *toxiproxy.Proxy
	down  atomic.Bool
}

// Start runs a proxy in front of a server's address until the test ends.
func Start(t testing.TB, upstream string) *Proxy {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // some faults have a logger of their own
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	p := &Proxy{t: t, proxy: toxiproxy.NewProxy(server, t.Name(), "127.0.0.1:0", upstream)}
	if err := p.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	p.Addr = p.proxy.Listen
	t.Cleanup(func() {
		if !p.down.Load() {
			p.proxy.Stop()
		}
	})
	return p
}

// Add spoils what the server answers. One fault of each type is in force at a
// time.
func (p *Proxy) Add(fault Fault) {
	if fault.Toxicity == 0 {
		fault.Toxicity = 1
	}
	body, err := json.Marshal(fault)
	if err == nil {
		_, err = p.proxy.Toxics.AddToxicJson(bytes.NewReader(body))
	}
	if err != nil {
		p.t.Errorf("fault %s: %v", fault.Type, err)
	}
}

// Clear takes all faults back.
func (p *Proxy) Clear() { p.proxy.Toxics.ResetToxics(context.Background()) }

// Down closes the port and every connection.
func (p *Proxy) Down() {
	p.down.Store(true)
	p.proxy.Stop()
}

// Up listens again, at the same address.
func (p *Proxy) Up() {
	p.down.Store(false)
	if err := p.proxy.Start(); err != nil {
		p.t.Errorf("listen again: %v", err)
	}
}
