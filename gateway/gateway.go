package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/segue-serving/segue/configs"
	"github.com/segue-serving/segue/gateway/monitor"
	"github.com/segue-serving/segue/loader"
	"github.com/segue-serving/segue/loader/artifact/signing"
)

// Options are all that a gateway is made of. The wiring fills them; there are
// no defaults but where a field says so.
type Options struct {
	// Source states the configuration, Store takes overrides and the audit,
	// Announcer shows the status to operators.
	Source    configs.Source
	Store     configs.Store
	Announcer configs.Announcer
	// Locker chooses the gateway of the fleet that judges drift and the one that
	// asks registries, Egress says whom alarms may be sent to.
	Locker configs.Locker
	Egress monitor.Egress
	// Resolve asks the registry that a document follows for what its policy
	// wants; By and At of the answer are the gateway's to fill. Nil knows none.
	Resolve func(ctx context.Context, f configs.Follow) (*configs.Resolution, error)
	// SourceID names the source among the copies in StateDir, where the last
	// good configuration is kept; StateDir may be empty.
	SourceID string
	StateDir string
	// Instance is the name under which the gateway is seen, Version that of
	// the program.
	Instance string
	Version  string
	// Loader says how versions are fetched, probed and opened. Its OnChange
	// and Signatures are set by the gateway. The instances that its Open makes must be of
	// type Instance.
	Loader loader.Options
	// Runtime are the process's defaults for what documents leave out.
	Runtime configs.Runtime
	// ModelVersion is the default version policy where a document gives no
	// weights: "latest" or a version.
	ModelVersion string
	// MaxTensorBytes bounds one input tensor of a request.
	MaxTensorBytes int64
	Log            *slog.Logger
	// Metrics are the gateway's own, made by NewMetrics; whoever else writes to
	// the configuration's store counts there too.
	Metrics *Metrics
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Gateway answers prediction requests and puts configuration into force.
type Gateway struct {
	opts       Options
	manager    *loader.Manager
	router     *router
	metrics    *Metrics
	monitor    *monitor.Monitor
	reconciler *reconciler
}

// New makes a gateway, from what was in force when a process with the same
// state folder ended last. It starts nothing.
func New(opts Options) (*Gateway, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	g := &Gateway{opts: opts, router: newRouter(), metrics: opts.Metrics}
	loading := opts.Loader
	loading.OnChange = func() { g.reconciler.loaderChanged() }
	loading.Signatures = func(w loader.Wanted) signing.Policy { return g.reconciler.signatures.policy(w) }
	g.manager = loader.New(loading)
	g.metrics.watchSource(opts.Source.State)
	g.reconciler = newReconciler(opts, g.manager, g.router, g.metrics)
	g.monitor = g.reconciler.monitor
	if err := g.reconciler.seed(); err != nil {
		opts.Log.Warn("last good configuration", "error", err)
	}
	return g, nil
}

// Run keeps the configuration in force in step with the source until ctx ends.
// It returns when all that it began has ended, every version closed.
func (g *Gateway) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	start := func(name string, run func(context.Context) error) {
		wg.Go(func() {
			defer stop()
			if err := run(ctx); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("%s: %w", name, err))
				mu.Unlock()
			}
		})
	}
	start("loader", g.manager.Run)
	start("configuration source", func(ctx context.Context) error { return g.opts.Source.Run(ctx, g.reconciler.offer) })
	start("reconciler", g.reconciler.run)
	start("audit", g.reconciler.audit.run)
	start("rollout decisions", g.reconciler.decisions.run)
	start("rollout evidence", g.reconciler.exchange.run)
	start("registries", g.reconciler.resolver.run)
	start("last good configuration", g.reconciler.keeper.run)
	start("drift", g.monitor.Run)
	start("status", func(ctx context.Context) error {
		// A gateway that cannot be seen serves all the same.
		if err := g.opts.Announcer.Announce(ctx, g.opts.Instance, g.reconciler.status.updates); err != nil {
			g.opts.Log.Warn("the status is not announced", "instance", g.opts.Instance, "error", err)
		}
		<-ctx.Done()
		return nil
	})
	wg.Wait()
	return errors.Join(errs...)
}

// Status is the newest status of the gateway.
func (g *Gateway) Status() configs.GatewayStatus { return *g.reconciler.status.newest.Load() }

// DataServer returns a server of the data API. It answers from the table in
// force, so it may serve before Run was called.
func (g *Gateway) DataServer(opts DataOptions) *DataServer {
	s := newDataServer(g.router, g.metrics, opts)
	s.drained, s.heard = g.reconciler.drain, g.reconciler.feedbackCame
	return s
}

// MetricsServer returns the server of metrics at path, and of liveness and
// readiness.
func (g *Gateway) MetricsServer(data *DataServer, path string, gatherer prometheus.Gatherer) *HTTPServer {
	return newMetricsServer(g.opts.Log, path, metricsHandler(gatherer), data.ready)
}

// AdminServer returns the server for operators.
func (g *Gateway) AdminServer(opts AdminOptions) *AdminServer {
	s := newAdminServer(g.router, g.metrics, opts)
	s.Handle("GET /status", http.HandlerFunc(g.serveStatus))
	s.Handle("GET /drift", http.HandlerFunc(g.serveDriftModels))
	s.Handle("GET /drift/{model}", http.HandlerFunc(g.serveDrift))
	return s
}

// serveStatus answers the newest status, with the connection as it is now.
func (g *Gateway) serveStatus(w http.ResponseWriter, _ *http.Request) {
	status := g.Status()
	status.Config.Connected = g.opts.Source.State().Connected
	writeDocument(w, status)
}

// Keys says what the settings protect: whether the data API asks for a key at
// all, and whether some key may do what operators do. The settings are read
// from the store; where that cannot be reached they are the last good ones.
func (g *Gateway) Keys(ctx context.Context) (any, admin bool) {
	access := g.router.load().access
	item, ok, err := g.opts.Store.Get(ctx, "settings")
	if err == nil && ok {
		settings, _, err := configs.ParseSettings(configs.Entry{Name: "settings", Value: item.Value})
		if err == nil {
			if now, err := newAccess(settings); err == nil {
				access = now
			}
		}
	}
	return !access.open, access.hasAdmin()
}
